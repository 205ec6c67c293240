"""Turns: the one that is next is not overtaken, a turn ends with its process, and none is waited for without end."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from komeet.store.turn import Turn

_GREEDY = """
import sys, time
from pathlib import Path
from komeet.store.turn import Turn
turn = Turn(Path(sys.argv[1]))
while True:
    with turn.taken():
        print("mine", flush=True)
        time.sleep(float(sys.argv[2]))
"""


@contextmanager
def greedy(path: Path, seconds: float) -> Generator[subprocess.Popen[bytes]]:
    """Another process that takes one turn after the other, each as long."""
    program = [sys.executable, "-c", _GREEDY, str(path), str(seconds)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_one_that_has_much_to_do_does_not_overtake_those_who_wait(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with closing(Turn(path, patience=60)) as turn, greedy(path, 0.02) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        for _ in range(20):
            with turn.taken():
                pass
        other.kill()
        assert len(other.stdout.readlines()) <= 2 * 20


def test_one_that_is_halted_in_its_turn_is_waited_for_no_longer_than_the_patience(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with closing(Turn(path, patience=0.05)) as turn, greedy(path, 600) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with turn.taken():
            assert other.poll() is None


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with closing(Turn(path, patience=3_600)) as turn, greedy(path, 600) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        other.kill()
        other.wait()
        with turn.taken():
            pass
