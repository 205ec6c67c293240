"""The only source of time: handed in, so that a test can hold it still."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that only goes forward, for deadlines and latencies; one that people read, for records."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def unix_ms(self) -> int:
        """Milliseconds since 1970 (UTC); may jump."""
        ...


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - the one place

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """Both clocks, moved by hand; for tests and simulations."""

    __slots__ = ("now", "unix")

    def __init__(self, unix_ms: int = 1_763_800_000_000) -> None:
        self.now = 0.0
        self.unix = unix_ms

    def monotonic(self) -> float:
        return self.now

    def unix_ms(self) -> int:
        return self.unix

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self.now += seconds
        self.unix += round(seconds * 1000)
