"""Deadlines without a timer per request: one look at every open connection, a few times a second."""

import asyncio
from typing import Protocol

from komeet.core.clock import Clock


class Swept(Protocol):
    """Something that has deadlines."""

    def sweep(self, now: float, since: float) -> None:
        """Act on what is overdue. `now` is monotonic seconds; the sweep before was at `since`."""
        ...


class Sweeper:
    """Looks at its members every `interval` seconds while it has any: a deadline is met up to `interval` late."""

    __slots__ = ("_before", "_clock", "_interval", "_members", "_timer")

    def __init__(self, clock: Clock, interval: float) -> None:
        self._clock = clock
        self._interval = interval
        self._members: set[Swept] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._before = 0.0

    def add(self, member: Swept) -> None:
        """Look at `member` from now on; the first member starts the sweep."""
        self._members.add(member)
        if self._timer is None:
            self._before = self._clock.monotonic()
            self._start()

    def remove(self, member: Swept) -> None:
        """Leave `member` alone; the last one to go stops the sweep."""
        self._members.discard(member)
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def running(self) -> bool:
        """Whether it will look again by itself."""
        return self._timer is not None

    def sweep(self) -> None:
        """Look at every member now."""
        now = self._clock.monotonic()
        since, self._before = self._before, now
        for member in list(self._members):
            member.sweep(now, since)

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        # First the next sweep, so that a member that fails cannot stop it for the others.
        self._start()
        self.sweep()
