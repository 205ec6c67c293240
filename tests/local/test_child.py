"""The process of the embedded model: when it ends, and what it says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.local.endpoint import KEY, child, orders, ready, user


def test_it_answers_as_soon_as_it_says_so_and_ends_with_its_standard_input() -> None:
    with child(orders()) as process:
        status, _ = ready(process).chat(messages=user("hi"), max_tokens=1)
        assert status == 200
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def test_it_ends_with_its_standard_input_while_it_loads() -> None:
    with child(orders()) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def test_sigterm_ends_it_and_ctrl_c_does_not() -> None:
    with child(orders()) as process:
        model = ready(process)
        process.send_signal(signal.SIGINT)
        status, _ = model.chat(messages=user("hi"), max_tokens=1)
        assert status == 200
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM


def test_it_says_one_line_and_nothing_of_the_calls_unless_they_fail() -> None:
    with child(orders()) as process:
        model = ready(process)
        model.chat(messages=user("hi"), max_tokens=1)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_the_key_is_not_among_what_other_users_can_read() -> None:
    with child(orders()) as process:
        ready(process)
        assert KEY.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_it_yields_the_processor_to_the_gateway() -> None:
    with child(orders()) as process:
        ready(process)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5


def test_weights_that_are_none_end_it_with_a_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, it says")
    with child(orders(broken)) as process:
        said, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert said == b""
        assert b"broken.gguf" in errors


def test_somebody_who_starts_it_by_hand_is_told_what_it_is() -> None:
    command = [sys.executable, "-m", "komeet.local.child"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"komeet serve" in done.stderr


def test_its_orders_do_not_print_the_key() -> None:
    assert KEY not in repr(orders())
    assert KEY not in str(orders())
