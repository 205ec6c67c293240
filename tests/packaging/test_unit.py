"""The unit of systemd: it is valid, it gives the drain its time, and it leaves the service little to harm."""

import ctypes
import errno
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.test_examples import mistakes
from tests.whole.gateway import clean_environment

from komeet.config.load import parse

UNIT = Path(__file__).parents[2] / "packaging" / "komeet.service"
_SETTLING = 10
"""Seconds that a stop may take after the drain: see `Gateway.stop`, and the store's own patience."""
_PR_SET_MDWE = 65
_PR_MDWE_REFUSE_EXEC_GAIN = 1


def _section(name: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    here = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        elif line and not line.startswith("#") and here == name:
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    """The directives, those that may stand more than once joined."""
    found: dict[str, str] = {}
    for key, value in _section("Service"):
        found[key] = f"{found[key]} {value}" if key in found else value
    return found


def test_it_runs_what_there_is_as_a_user_of_its_own(service: dict[str, str]) -> None:
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/komeet/bin/komeet"
    assert list(mistakes(words)) == []
    assert service["User"] == service["Group"] == "komeet"
    assert service["Type"] == "exec", "`notify` only when Komeet notifies"


def test_a_stop_has_time_to_drain_and_to_settle(service: dict[str, str]) -> None:
    assert int(service["TimeoutStopSec"]) >= parse("", {}).server.drain_seconds + _SETTLING
    assert service["KillMode"] == "mixed", "the main process drains; the others are its own to stop"
    assert "SendSIGKILL" not in service


def test_a_reload_is_sighup(service: dict[str, str]) -> None:
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_it_writes_its_data_directory_and_nothing_else(service: dict[str, str]) -> None:
    assert service["ProtectSystem"] == "strict"
    assert "ReadWritePaths" not in service
    environment = dict(pair.split("=", 1) for pair in shlex.split(service["Environment"]))
    assert environment["KOMEET_DATA_DIR"] == f"/var/lib/{service['StateDirectory']}"
    assert service["StateDirectoryMode"] == "0700"
    assert not [name for name in environment if "KEY" in name or "TOKEN" in name]


def _copy(tmp_path: Path) -> Path:
    """The unit with a program that there is: systemd looks whether it can be run."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/komeet/bin/komeet", sys.executable))
    return copy


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd here")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60, env={"SYSTEMD_COLORS": "0"}
    )


def test_systemd_finds_no_mistake_in_it(tmp_path: Path) -> None:
    done = _analyze("verify", "--man=no", str(_copy(tmp_path)))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_rates_what_it_may_do_as_little(tmp_path: Path) -> None:
    """A unit without any hardening is rated 9.6; what is left here is the network, which it is for."""
    done = _analyze("security", "--offline=true", "--no-pager", "--threshold=15", str(_copy(tmp_path)))
    if "unrecognized option" in done.stderr:
        pytest.skip("a systemd that knows nothing of --offline")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a rule of Linux")
def test_no_part_of_it_needs_memory_that_is_written_and_run(tmp_path: Path) -> None:
    """`MemoryDenyWriteExecute`, by the kernel's own form of it: the server, and the engine of the embedded model."""

    def forbid() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if library.prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")

    try:
        denied = subprocess.run(
            [sys.executable, "-c", "import mmap; mmap.mmap(-1, 4096, prot=7)"],
            preexec_fn=forbid,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.SubprocessError:
        pytest.skip("a kernel older than 6.3")
    assert os.strerror(errno.EACCES) in denied.stderr
    done = subprocess.run(
        [sys.executable, "-m", "komeet", "chat", "--port", "1", "--model", "smollm2-135m", "--max-tokens", "3", "Hi"],
        preexec_fn=forbid,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "not installed" in done.stderr:
        pytest.skip("the embedded model is not installed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
