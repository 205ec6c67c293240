"""`komeet serve`: it says where it listens and what to paste; what keeps it from starting is said in one line."""

import asyncio
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import Komeet

from komeet.core.clock import SystemClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Subject
from komeet.store.database import Store
from komeet.store.keys import create_key

SCRIPT = Path(sys.executable).with_name("komeet")


@contextmanager
def serving(*command: str, cwd: Path, env: Mapping[str, str], stop: signal.Signals = signal.SIGINT) -> Generator[str]:
    """Run `komeet serve` until it has said what there is to paste; give what it said, and stop it."""
    server = subprocess.Popen(
        [*command, "serve", "--port", "0"],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    said = ""
    try:
        for line in server.stdout:
            said += line
            if line.startswith("    -d "):
                break
        assert "    -d " in said, server.stderr.read()
        yield said
    finally:
        server.send_signal(stop)
        rest = server.stdout.read()
        status = server.wait(30)
        server.stdout.close()
        server.stderr.close()
    assert status == 0
    assert rest.endswith("Stopped; everything is settled.\n")


@pytest.mark.parametrize("how", ["script", "module", "inside"])
def test_what_is_shown_can_be_pasted_into_another_terminal(tmp_path: Path, how: str) -> None:
    """From the same folder, with nothing of the environment that the server was started in."""
    if not SCRIPT.exists() or shutil.which("curl", path="/usr/bin:/bin") is None:
        pytest.skip("komeet is not installed as a script, or there is no curl")
    env = {"KOMEET_DATA_DIR": str(tmp_path / "data"), "OPENAI_API_KEY": "sk-canary", "HOME": str(tmp_path)}
    command, cwd = [str(SCRIPT)], tmp_path
    match how:
        case "module":
            command = [sys.executable, "-m", "komeet"]
        case "inside":  # as `uv run` starts it: found by a PATH that another terminal does not have
            cwd = SCRIPT.parents[2]
            env |= {"VIRTUAL_ENV": str(SCRIPT.parents[1]), "PATH": f"{SCRIPT.parent}:/usr/bin:/bin"}
            command = ["komeet"]
        case _:
            pass
    with serving(*command, cwd=cwd, env=env) as said:
        lines = [line.strip() for line in said.splitlines()]
        start = next(number for number, line in enumerate(lines) if line.startswith("export "))
        (listens,) = re.findall(r"listens on (http://127\.0\.0\.1:\d+/v1) ", said)
        pasted = (
            lines[start]
            + '\necho "$KOMEET_API_KEY"\n'
            + f'curl -s {listens}/models -H "Authorization: Bearer $KOMEET_API_KEY"'
        )
        done = subprocess.run(
            ["/bin/sh", "-c", pasted],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stderr == ""
        assert done.stdout.startswith("sk-km-")
        assert '"gpt-5.2"' in done.stdout
        assert "Providers: openai, local" in said
        assert "sk-canary" not in said


def test_it_ends_in_good_order_on_sigterm_too(tmp_path: Path) -> None:
    env = {"KOMEET_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}
    with serving(sys.executable, "-m", "komeet", cwd=tmp_path, env=env, stop=signal.SIGTERM) as said:
        assert "Providers: local" in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one loopback address")
def test_it_listens_on_one_address_of_this_machine_unless_told_otherwise(tmp_path: Path) -> None:
    env = {"KOMEET_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}
    with serving(sys.executable, "-m", "komeet", cwd=tmp_path, env=env) as said:
        (port,) = re.findall(r"listens on http://127\.0\.0\.1:(\d+)/v1 ", said)
        socket.create_connection(("127.0.0.1", int(port))).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", int(port)))


def test_calls_that_a_crash_left_open_are_said(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    store = Store.open(data_dir, SystemClock())
    key, _ = create_key(store.files.ledger, SystemClock(), name="app")
    hold = Hold(
        attempt_id="1",
        request_id="req",
        key_id=key.id,
        accounts=(key.account,),
        provider="openai",
        model="gpt-5.2",
        model_asked="gpt-5.2",
        amount=Nano(1),
        held_at=0,
    )
    asyncio.run(store.ledger.hold(hold, Subject(key.id)))
    store.close()
    env = {"KOMEET_DATA_DIR": str(data_dir), "HOME": str(tmp_path)}
    with serving(sys.executable, "-m", "komeet", cwd=tmp_path, env=env) as said:
        assert "1 call was under way when Komeet last ended; its hold stays (an orphan)." in said
    with serving(sys.executable, "-m", "komeet", cwd=tmp_path, env=env) as said:
        assert "under way" not in said


def test_a_port_that_is_taken(komeet: Komeet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.close()
        with socket.create_server(("127.0.0.1", port)):
            said = komeet("serve", "--port", str(port))
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        f"komeet: cannot listen on 127.0.0.1 port {port}: another program listens there already;"
        " --port takes another port\n"
    )
    assert not komeet.data_dir.exists()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machine_s(komeet: Komeet, host: str) -> None:
    said = komeet("serve", "--port", "0", "--host", host)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"komeet: cannot listen on {host} port 0: ")
    assert "Unknown error" not in said.err


def test_a_worker_that_cannot_start_says_why(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text("server: {tls: {cert_file: /nowhere/cert.pem, key_file: /nowhere/key.pem}}\n")
    said = komeet("serve", "--port", "0", "--config", str(file))
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("komeet: server.tls: /nowhere/cert.pem")
    assert len(said.err.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a terminal is closed in another way")
def test_when_its_terminal_is_closed_it_ends_and_sighup_alone_reloads(tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    takes_it = "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); runpy.run_module('komeet')"
    server = subprocess.Popen(
        [sys.executable, "-c", takes_it, "serve", "--port", "0", "--workers", "1"],
        env={"KOMEET_DATA_DIR": str(tmp_path), "HOME": str(tmp_path)},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    said = b""
    while b"    -d " not in said:
        said += os.read(terminal, 4096)
    server.send_signal(signal.SIGHUP)
    while b"1 worker has the new configuration" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert server.wait(30) >= 0, "ended by a signal, not by itself"  # what it says last cannot be written


def test_a_data_directory_that_another_server_has(komeet: Komeet) -> None:
    store = Store.open(komeet.data_dir, SystemClock())
    said = komeet("serve", "--port", "0")
    store.close()
    assert (said.status, said.out) == (1, "")
    assert f"Another Komeet server (process {os.getpid()}) is using {komeet.data_dir}." in said.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_data_directory_that_may_not_be_used(komeet: Komeet) -> None:
    komeet.data_dir.mkdir(mode=0o500)
    for command in (("serve", "--port", "0"), ("key", "create")):
        said = komeet(*command)
        assert (said.status, said.out) == (1, "")
        assert "Permission denied" in said.err


def test_a_data_directory_that_cannot_be_made(komeet: Komeet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (("serve", "--port", "0"), ("key", "create"), ("key", "list"), ("usage",)):
        said = komeet(*command, "--data-dir", str(tmp_path / "file" / "below"))
        assert (said.status, said.out) == (1, "")
        assert said.err.startswith("komeet: ")
        assert str(tmp_path / "file") in said.err
