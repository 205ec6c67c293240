"""Log lines for what may happen thousands of times a second: one a second, with a count of the others."""

import logging
from threading import Lock
from typing import final

from komeet.core.clock import Clock


@final
class QuietLog:
    """Writes at most one line in `every` seconds; may be called from any thread."""

    __slots__ = ("_clock", "_every", "_kept_back", "_lock", "_logger", "_next")

    def __init__(self, logger: logging.Logger, clock: Clock, every: float = 1.0) -> None:
        self._logger = logger
        self._clock = clock
        self._every = every
        self._next: float | None = None
        self._kept_back = 0
        self._lock = Lock()

    def write(self, level: int, message: str, *args: object) -> None:
        """Log the message, unless there was a line less than `every` seconds ago: then count it for the next one."""
        now = self._clock.monotonic()
        with self._lock:
            if self._next is not None and now < self._next:
                self._kept_back += 1
                return
            kept_back, self._kept_back = self._kept_back, 0
            self._next = now + self._every
        if kept_back:
            message, args = f"{message} (and %d times more since the last such line)", (*args, kept_back)
        self._logger.log(level, message, *args)
