"""The only source of time: handed in, so that a test can hold it still."""

import time
from typing import Final, Protocol

_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Clocks: two that only go forward, of one process and of the machine; and one that people read, for records."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def unix_ms(self) -> int:
        """Milliseconds since 1970 (UTC); may jump."""
        ...

    def boot_ns(self) -> int:
        """Nanoseconds since the machine started, sleep included where it can tell: every process reads the same."""
        ...


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - the one place

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(_BOOT)


class ManualClock:
    """All clocks, moved by hand; for tests and simulations."""

    __slots__ = ("now", "unix")

    def __init__(self, unix_ms: int = 1_763_800_000_000) -> None:
        self.now = 0.0
        self.unix = unix_ms

    def monotonic(self) -> float:
        return self.now

    def unix_ms(self) -> int:
        return self.unix

    def boot_ns(self) -> int:
        return round(self.now * 1_000_000_000)

    def advance(self, seconds: float) -> None:
        """Move all clocks forward."""
        self.now += seconds
        self.unix += round(seconds * 1000)
