"""The control process: its page, its port, and that it neither outlives the supervisor nor befalls the workers."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.whole.gateway import Gateway, clean_environment, towards
from tests.whole.processes import Load, alive, asleep, at, children, paced, program, serving, until
from tests.whole.upstream import Upstream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def control(gateway: Gateway) -> int:
    """Wait for the control process, and return its id."""

    def there() -> list[int]:
        said = gateway.errors()
        pids = [pid for pid in children(gateway.process.pid) if program(pid) == "komeet.serving.control"]
        return [pid for pid in pids if f"control process {pid} takes connections" in said]

    until(there)
    return there()[0]


def console(gateway: Gateway) -> int:
    """The port that Komeet says the console has; read once."""
    assert gateway.process.stdout is not None
    for line in gateway.process.stdout:
        if found := re.match(r"Console: http://127\.0\.0\.1:(\d+)/", line):
            return int(found[1])
        assert "    -d " not in line, "there is none"
    raise AssertionError


def get(port: int, path: str, host: str = "localhost") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    said = answer.status, answer.read().decode()
    connection.close()
    return said


def health(port: int) -> dict[str, Any]:
    return json.loads(get(port, "/health")[1])


@contextmanager
def taken() -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def serve(*options: str, data_dir: Path, file: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    data_dir.mkdir(exist_ok=True)
    (data_dir / "test.yaml").write_text(yaml.safe_dump(file or {}))
    return subprocess.run(
        [sys.executable, "-m", "komeet", "serve", "--config", str(data_dir / "test.yaml"), *options],
        env=clean_environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_says_how_everything_stands_and_no_secret(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        port = console(gateway)
        pair = serving(gateway, 2)
        secret = gateway.create_key("name-of-a-key")
        for _ in range(5):
            assert gateway.chat(secret).status == 200
        control(gateway)
        until(lambda: health(port)["calls_total"] == 5)
        said = health(port)
        assert said["status"] == "ok"
        assert sorted(worker["pid"] for worker in said["workers"]) == sorted(pair)
        assert {worker["state"] for worker in said["workers"]} == {"ready"}
        assert said["data"] == {"directory": str(tmp_path), "locked_by": gateway.process.pid}
        assert said["config"] == said["config"] | {"file": str(tmp_path / "test.yaml"), "problem": None}
        assert {model["name"]: model["state"] for model in said["models"]}["smollm2-135m"] == "off"
        status, page = get(port, "/")
        assert status == 200
        assert "everything runs" in page
        for text in (page, json.dumps(said)):
            for hidden in (secret, secret[-4:], "name-of-a-key", "sk-upstream-canary", upstream.url):
                assert hidden not in text
        assert get(port, "/", host="evil.example")[0] == 403


def test_it_gets_neither_arguments_nor_an_environment_that_tell_anything(tmp_path: Path) -> None:
    with Upstream() as upstream:
        gateway = Gateway(tmp_path, at(upstream, workers=1), {"SOME_API_KEY": "sk-canary-4711"})
        with gateway:
            pid = control(gateway)
            assert b"sk-canary-4711" not in Path(f"/proc/{pid}/environ").read_bytes()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            shown = words[words.index(b"komeet.serving.control") + 1 : -1]
            assert len(shown) == 3
            assert all(word.isdigit() for word in shown)
            opened = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]  # noqa: PTH115, PTH208
            assert not [name for name in opened if "komeet.db" in name or "komeet.lock" in name]
            resident = int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0])
            assert resident < 45_000, "it is to be cheap"


def test_killed_it_is_replaced_and_the_workers_never_notice(tmp_path: Path) -> None:
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        port = console(gateway)
        pair = serving(gateway, 2)
        with Load(gateway, 10) as load:
            for _ in range(3):
                victim = control(gateway)
                os.kill(victim, signal.SIGKILL)
                until(lambda: not alive(victim))  # noqa: B023
                assert get(port, "/health")[0] == 200  # it waits in the socket for the next one
                assert control(gateway) != victim
        assert (load.cut, load.refused) == ([], [])
        assert serving(gateway, 2) == pair
        assert "the control process stopped: it was ended by SIGKILL; starting another in 0.1 s" in gateway.errors()


def test_a_worker_that_is_halted_does_not_keep_the_page(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        port = console(gateway)
        first, _ = serving(gateway, 2)
        control(gateway)
        with asleep(gateway, first):
            assert get(port, "/")[0] == 200


def test_a_reload_replaces_it_and_a_mistake_in_the_file_is_shown(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream, workers=1)) as gateway:
        port = console(gateway)
        before = control(gateway)
        loaded = health(port)["config"]["loaded_at"]
        file = tmp_path / "test.yaml"
        good = file.read_text()
        file.write_text(good + "\nserver: {wrokers: 3}\n")
        until(lambda: "`server` is given twice" in (health(port)["config"]["problem"] or ""))
        assert health(port)["status"] == "degraded"
        assert control(gateway) == before
        file.write_text(good + "\n# put right\n")
        until(lambda: not alive(before))
        until(lambda: health(port)["config"]["problem"] is None)
        assert health(port)["config"]["loaded_at"] > loaded


def test_it_ends_with_the_supervisor_however_that_ends(tmp_path: Path) -> None:
    with Upstream() as upstream:
        gateway = Gateway(tmp_path, at(upstream, workers=1)).start()
        port = console(gateway)
        pid = control(gateway)
        gateway.kill()
        until(lambda: not alive(pid), 5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        (tmp_path / "test.log").unlink()
        gateway.start()
        pid = control(gateway)
        gateway.stop()
        assert not alive(pid)


def test_stopped_while_it_starts_it_is_not_left_behind(tmp_path: Path) -> None:
    def left(supervisor: int) -> list[int]:
        """Those that run still; the last argument of each is its supervisor's id."""
        found = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        mine = [pid for pid in found if alive(pid) and program(pid) == "komeet.serving.control"]
        return [pid for pid in mine if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] == b"%d" % supervisor]

    with Upstream() as upstream:
        gateway = Gateway(tmp_path, at(upstream, workers=1)).start()
        until(lambda: left(gateway.process.pid))
        gateway.stop()
        assert left(gateway.process.pid) == []
        assert gateway.process.returncode == 0
        assert "cancelled at shutdown" not in gateway.errors()
        assert "Traceback" not in gateway.errors()


def test_a_port_that_was_asked_for_and_is_taken_keeps_komeet_from_starting(tmp_path: Path) -> None:
    with taken() as port:
        for said in (
            serve("--port", "0", "--console-port", str(port), data_dir=tmp_path),
            serve("--port", "0", data_dir=tmp_path, file={"console": {"port": port}}),
        ):
            assert (said.returncode, said.stdout) == (1, "")
            assert said.stderr == (
                f"komeet: the console cannot listen on 127.0.0.1 port {port}: another program listens there already;"
                " --console-port takes another port\n"
            )


def test_a_port_that_nobody_asked_for_and_is_taken_leaves_komeet_without_a_console(tmp_path: Path) -> None:
    with Upstream() as upstream, taken() as port:
        setting = f"import komeet.cli.serve as serve; serve.CONSOLE_PORT = {port}\nimport komeet.cli as cli; cli.main()"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            calls = listener.getsockname()[1]
        (tmp_path / "test.yaml").write_text(yaml.safe_dump(towards(upstream.url)))
        process = subprocess.Popen(
            [sys.executable, "-c", setting, "serve", "--port", str(calls), "--config", str(tmp_path / "test.yaml")],
            env=clean_environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = ""
        while "    -d " not in said:
            said += process.stdout.readline()
        assert get(calls, "/healthz") == (200, '{"status":"ok"}')
        assert "Console" not in said
        assert not [pid for pid in children(process.pid) if program(pid) == "komeet.serving.control"]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert errors.startswith(
            f"komeet: there is no console: 127.0.0.1 port {port}: another program listens there already;"
        )


def test_it_may_be_switched_off_and_is_never_for_other_machines(tmp_path: Path) -> None:
    with Upstream() as upstream:
        off = towards(upstream.url) | {"server": {"workers": 1}, "console": {"enabled": False}}
        with Gateway(tmp_path / "off", off) as gateway, pytest.raises(AssertionError, match="there is none"):
            console(gateway)
    said = serve("--port", "0", data_dir=tmp_path / "open", file={"console": {"host": "0.0.0.0"}})
    assert said.returncode == 1
    assert "console.host: the console has no sign-in yet, so it is for this machine alone" in said.stderr
    said = serve("--console-port", "0", data_dir=tmp_path / "both", file={"console": {"enabled": False}})
    assert said.returncode == 1
    assert "`console.enabled`" in said.stderr


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_page_with_its_style_and_has_nothing_to_complain_of(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        port = console(gateway)
        serving(gateway, 2)
        assert CHROMIUM is not None
        picture = tmp_path / "page.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        options += [f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1100,900", f"--screenshot={picture}"]
        done = subprocess.run(
            [CHROMIUM, *options, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True, timeout=60
        )
        assert "CONSOLE" not in done.stderr, "the browser refused a part of the page"
        dumped = subprocess.run(
            [CHROMIUM, *options[:-2], "--dump-dom", f"http://127.0.0.1:{port}/"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert "everything runs" in dumped.stdout
        assert picture.stat().st_size > 20_000, "without its style it is smaller"
