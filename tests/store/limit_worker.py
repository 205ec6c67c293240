"""A worker in a process of its own that hammers a table of limits, or is killed in the middle of it."""

import os
import signal
import sys
from pathlib import Path

import msgspec

from komeet.core.clock import SystemClock
from komeet.limits.limit import Limit, Want
from komeet.store import limit_table
from komeet.store.limit_slots import Slots
from komeet.store.limit_table import LimitTable


def main() -> None:
    """Do what the arguments say: directory, session, what, how often, the limits."""
    directory, session, what, times, limits = sys.argv[1:]
    table = LimitTable(Path(directory), SystemClock(), session)
    wants = [Want(limit, 1) for limit in msgspec.json.decode(limits, type=list[Limit])]
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "hold":
        for _ in range(int(times)):
            table.take(wants)
        _wait()
    if what == "die_locked":
        assert limit_table._locked(table._file, 1.0)  # pyright: ignore[reportPrivateUsage]
        _wait()
    if what == "die_between":
        # What is left when it is killed after the part was written, and before the total was.
        type.__setattr__(Slots, "set_total", _stopped)
        table.take(wants)
    admitted = sum(bool(table.take(wants).grants) for _ in range(int(times)))
    print(admitted, flush=True)


def _stopped(*_: object) -> None:
    _wait()


def _wait() -> None:
    print("there", flush=True)
    signal.pause()
    os._exit(1)


if __name__ == "__main__":
    main()
