"""Drills other gateways: `python -m bench.rivals.drill litellm PROGRAM` and `… portkey FOLDER`.

Both are installed by who runs this, outside of this repository:

    python -m venv litellm && litellm/bin/pip install 'litellm[proxy]'     PROGRAM is litellm/bin/litellm
    npm install --prefix portkey @portkey-ai/gateway                       FOLDER is portkey (docs/drill.md has more)

Each gets the two upstreams of `komeet drill` with one as the other's fallback, two retries, and deadlines of two
seconds, since their own would outlast anybody's patience; otherwise it is as it comes. Prints rows of Markdown.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

_DEADLINE: Final = 2
_PATIENCE: Final = 15
_KEY: Final = "sk-drill"


class Rival(NamedTuple):
    """How a gateway is started, and how it is called."""

    command: Sequence[str]
    environment: Mapping[str, str]
    headers: Sequence[str]
    port: int


def litellm(program: Path, folder: Path, upstreams: tuple[str, str]) -> Rival:
    """Write its configuration: a model for each upstream, and fallbacks between them."""
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/drill-{which}",
                "api_base": url,
                "api_key": _KEY,
                "timeout": _DEADLINE,
                "stream_timeout": _DEADLINE,
            },
        }
        for name, which, url in (("drill", "first", upstreams[0]), ("drill-second", "second", upstreams[1]))
    ]
    settings = {"fallbacks": [{"drill": ["drill-second"]}], "num_retries": 2, "cooldown_time": 1}
    config = folder / "litellm.json"  # which is YAML, too
    config.write_text(json.dumps({"model_list": models, "router_settings": settings}))
    port = free_port()
    command = (str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    return Rival(command, {"LITELLM_MASTER_KEY": _KEY}, (), port)


def portkey(folder: Path, _: Path, upstreams: tuple[str, str]) -> Rival:
    """Its configuration comes with each call, in a header."""
    targets = [
        {
            "provider": "openai",
            "custom_host": url,
            "api_key": _KEY,
            "override_params": {"model": f"drill-{which}"},
            "retry": {"attempts": 2},
            "request_timeout": 1000 * _DEADLINE,
        }
        for which, url in zip(("first", "second"), upstreams, strict=True)
    ]
    config = {"strategy": {"mode": "fallback"}, "targets": targets}
    port = free_port()
    start = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ("node", str(start), f"--port={port}", "--headless")
    headers = (f"x-portkey-config:{json.dumps(config)}",)
    return Rival(command, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}, headers, port)


def drill(rival: Rival, first: int, only: Path) -> dict[str, Any]:
    """Run `komeet drill` against it, and return its report."""
    command = [sys.executable, "-m", "komeet", "drill", "--json", "--model", "drill"]
    command += ["--against", f"http://127.0.0.1:{rival.port}/v1", "--listen", f"127.0.0.1:{first}"]
    command += ["--patience", str(_PATIENCE), "--key", "DRILL_KEY"]
    for header in rival.headers:
        command += ["--header", header]
    environment = os.environ | {"DRILL_KEY": _KEY, "KOMEET_DATA_DIR": str(only)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit("the drill did not begin")
    return json.loads(done.stdout)


@contextlib.contextmanager
def started(rival: Rival, log: Path) -> Generator[None]:
    """Run it until the end, once it takes connections."""
    with log.open("wb") as out:
        process = subprocess.Popen(rival.command, env=os.environ | rival.environment, stdout=out, stderr=out)
        try:
            _await(rival.port, process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # it waits for what the drill has left hanging
                process.kill()
                process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit("it did not start; see its log")


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def main() -> None:
    """Drill one rival and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["litellm", "portkey"])
    parser.add_argument("where", type=Path)
    parser.add_argument("--first", type=int, default=9311, metavar="PORT", help="of the first upstream (default: 9311)")
    parser.add_argument(
        "--log", type=Path, default=Path("rival.log"), help="what the gateway writes (default: rival.log)"
    )
    given = parser.parse_args()
    upstreams = (f"http://127.0.0.1:{given.first}/v1", f"http://127.0.0.1:{given.first + 1}/v1")
    with tempfile.TemporaryDirectory() as folder:
        make = {"litellm": litellm, "portkey": portkey}[given.name]
        rival = make(given.where.absolute(), Path(folder), upstreams)
        with started(rival, given.log):
            report = drill(rival, given.first, Path(folder) / "data")
    print(f"| scenario | {given.name} | why |\n| --- | --- | --- |")
    for one in report["scenarios"]:
        print(f"| `{one['name']}` | {one['result']} | {one['why']} |")


if __name__ == "__main__":
    main()
