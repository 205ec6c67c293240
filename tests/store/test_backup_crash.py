"""`kill -9` at every step of a backup and of a restore: the old is there, or the new, and never half of either.

The steps are the program's own calls that open, make, rename or remove something (Python's audit events): a child is
killed at the first, the next one at the second, and so on until one gets to its end.
"""

import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from komeet.canonical.record import CallRecord
from komeet.core.clock import ManualClock
from komeet.store.audit import audit
from komeet.store.backup import back_up, check
from komeet.store.database import Store
from komeet.store.keys import create_key, list_keys
from komeet.store.request_log import recent_requests

pytestmark = pytest.mark.slow

_CHILD = """
import os, signal, sys
from pathlib import Path
from komeet.canonical.record import CallRecord
from komeet.core.clock import ManualClock
from komeet.store.backup import back_up
from komeet.store.restore import restore

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "sqlite3.connect", "fcntl.flock"}

def run(what, step, source, target):
    left = step
    def at(event, arguments):
        nonlocal left
        if event in STEPS and not str(arguments[0]).endswith((".py", ".pyc")):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.addaudithook(at)
    if what == "backup":
        back_up(source, target, ManualClock(), version="1.2.3")
    else:
        restore(source, target, force=True)

print("ready", flush=True)
for line in sys.stdin:
    what, step, source, target = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        try:
            run(what, int(step), Path(source), Path(target))
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer:
    """Runs a backup or a restore in a child, and kills it at a step."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def steps(self, what: str, source: Path, target: Path) -> Iterator[int]:
        """Kill it at one step after the other; ends once it was not killed any more."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        for step in range(500):
            self._child.stdin.write(f"{what}\t{step}\t{source}\t{target}\n")
            self._child.stdin.flush()
            status = int(self._child.stdout.readline())
            if status == 0:
                return
            assert status == -signal.SIGKILL, f"step {step} of {what} failed by itself"
            yield step
        raise AssertionError("it never ends")


@contextmanager
def _started() -> Generator[Killer]:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield Killer(child)
        child.kill()


@pytest.fixture
def killer() -> Iterator[Killer]:
    with _started() as killer:
        yield killer


def _data(place: Path, name: str) -> Path:
    """A data directory whose databases both say its name."""
    with closing(Store.open(place, ManualClock())) as store:
        create_key(store.files.ledger, ManualClock(), name=name)
        store.requests.ended(CallRecord(request_id=name, at=1, surface="x", status=200, key_id="key_1"))
    return place


def _found(place: Path) -> set[str]:
    """What a server finds there: the names in both databases, which are one."""
    with closing(Store.open(place, ManualClock())) as store:
        assert audit(store.files.ledger) == []
        names = {key.name for key in list_keys(store.files.ledger)}
        assert {record.request_id for record in recent_requests(store.files.requests)} == names
        return names


def test_a_backup_that_is_killed_leaves_no_file_of_that_name_or_a_whole_one(killer: Killer, tmp_path: Path) -> None:
    data_dir = _data(tmp_path / "data", "old")
    out = tmp_path / "out"
    out.mkdir()
    steps = 0
    for _ in killer.steps("backup", data_dir, out / "a.tar.gz"):
        steps += 1
        if (out / "a.tar.gz").exists():
            check(out / "a.tar.gz")
            (out / "a.tar.gz").unlink()
    assert steps > 20
    check(out / "a.tar.gz")
    assert [path.name for path in out.iterdir()] == ["a.tar.gz"], "what the killed ones left is still there"
    assert _found(data_dir) == {"old"}


def test_a_restore_that_is_killed_leaves_the_old_or_the_new(killer: Killer, tmp_path: Path) -> None:
    archive, _ = back_up(_data(tmp_path / "other", "new"), tmp_path / "a.tar.gz", ManualClock(), version="1.2.3")
    data_dir = _data(tmp_path / "data", "old")
    seen: list[set[str]] = []
    for _ in killer.steps("restore", archive, data_dir):
        seen.append(_found(data_dir))
        assert not (data_dir / "restoring").exists()
        if seen[-1] == {"new"}:  # the decision has been made: from here on, each step starts from the old again
            for path in data_dir.glob("*.db*"):
                path.unlink()
            _data(data_dir, "old")
    assert len(seen) > 20
    assert set(map(frozenset, seen)) == {frozenset({"old"}), frozenset({"new"})}
    assert seen == sorted(seen, key=lambda names: names == {"new"}), "decided, and then not"
    assert _found(data_dir) == {"new"}
    assert [path.name for path in data_dir.iterdir() if path.is_dir()] == ["journal"]
