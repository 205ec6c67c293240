"""A running Komeet, with a scripted provider of each wire format and the embedded model: where clients are run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

from tests.clients import environments
from tests.clients.manifest import HERE, Client
from tests.clients.provider import FORMATS, Provider
from tests.clients.results import Ran
from tests.whole.gateway import Gateway, clean_environment
from tests.whole.upstream import Upstream

from komeet.wire.formats import FORMATS as SPOKEN

EMBEDDED: Final = "smollm2-135m"


class Stage:
    """Runs clients; what goes wrong behind them counts as theirs."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.formats: Final = tuple(name for name in FORMATS if name in SPOKEN)
        self._verbose = verbose
        self._provider = Provider()
        self._folder = Path(tempfile.mkdtemp(prefix="komeet-clients-"))
        self._upstream = Upstream(answer=self._provider.answer)

    def __enter__(self) -> Self:
        url = self._upstream.__enter__().url
        rows = [
            {"name": name, "base_url": url, "formats": [name], "models": [f"other-{name}"]} for name in self.formats
        ]
        self._gateway = Gateway(self._folder / "data", config={"providers": rows}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gateway.stop()
        self._upstream.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, client: Client, folder: Path, surface: str, provider: str) -> Ran:
        """Run a client from its environment, on a surface, with a provider (or `embedded`)."""
        self._provider.unread.clear()
        before = len(self._gateway.errors())
        which = "embedded" if provider == "embedded" else "scripted"
        model = EMBEDDED if provider == "embedded" else f"{provider}/scripted"
        url = f"http://127.0.0.1:{self._gateway.port}"
        argv = [*environments.command(client, folder), url, self._gateway.key, model, surface, which]
        ended, out, err = _ended(argv, self._environment(folder), client.seconds)
        if self._verbose:
            sys.stderr.write(err)
        ran = _read(out)
        if (ended or not ran.passed) and not ran.failed:
            ran.failed["script"] = err.strip()[-500:] or "nothing ran"
        for number, unread in enumerate(self._provider.unread):
            ran.failed[f"provider: request {number}"] = unread
        logged = self._gateway.errors()[before:]
        if "Traceback" in logged:
            ran.failed["komeet: traceback"] = logged.strip().splitlines()[-1]
        return ran

    def _environment(self, folder: Path) -> dict[str, str]:
        """A home of its own, and nothing that names a provider."""
        home = Path(tempfile.mkdtemp(dir=self._folder))
        kept = {name: value for name, value in clean_environment(home).items() if not name.startswith(("XDG_", "UV_"))}
        return kept | {
            "HOME": str(home),
            "PYTHONPATH": str(HERE / "kit"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CLIENT_FOLDER": str(folder),
            "NO_PROXY": "127.0.0.1",
        }


def _ended(argv: list[str], env: dict[str, str], seconds: int) -> tuple[int, str, str]:
    """Run to the end; where it does not come, all that was started is stopped."""
    with subprocess.Popen(
        argv,
        cwd=env["HOME"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            return -1, out, f"not done within {seconds} s"
    return process.returncode, out, err


def _read(said: str) -> Ran:
    ran = Ran()
    for line in said.splitlines():
        if not line.startswith('{"case"'):
            continue
        told = json.loads(line)
        match told["outcome"]:
            case "passed":
                ran.passed += 1
            case "skipped":
                ran.skipped[told["case"]] = told["why"]
            case _:
                ran.failed[told["case"]] = told["why"]
    return ran
