"""Notices when something keeps the event loop to itself, and logs what it was: the stack at that moment."""

import asyncio
import logging
import sys
import threading
import traceback
from typing import Final, final

from komeet.core.clock import Clock

_LOG: Final = logging.getLogger(__name__)
_QUIET: Final = 10.0
"""Seconds between two lines of the log."""


@final
class StallWatch:
    """A thread that expects a sign of the loop again and again."""

    def __init__(self, clock: Clock, seconds: float = 0.25) -> None:
        """Know what a stall is.

        Args:
            clock: tells how long there was no sign.
            seconds: without a sign that make a stall; one is looked for twice as often.
        """
        self._clock: Final = clock
        self._seconds: Final = seconds
        self._stop: Final = threading.Event()
        self._last = 0.0
        self._logged = float("-inf")
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self.count = 0
        """Stalls so far."""

    def start(self) -> None:
        """Watch the running loop, until `close`."""
        self._loop_thread = threading.get_ident()
        self._sign(asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._watch, name="komeet-stalls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more; in the loop's thread."""
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _sign(self, loop: asyncio.AbstractEventLoop) -> None:
        self._last = self._clock.monotonic()
        self._timer = loop.call_later(self._seconds / 2, self._sign, loop)

    def _watch(self) -> None:
        seen = counted = 0.0
        while not self._stop.wait(self._seconds / 2):
            before, seen = seen, self._clock.monotonic()
            if seen - before > self._seconds:
                continue  # this thread was kept waiting itself: it is the machine that is busy
            last = self._last
            if seen - last > self._seconds * 1.5 and last != counted:
                counted = last
                self.count += 1
                self._say(seen - last)

    def _say(self, seconds: float) -> None:
        now = self._clock.monotonic()
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented
        if frame is None or now - self._logged < _QUIET:
            return
        self._logged = now
        stack = "".join(traceback.format_stack(frame)).rstrip()
        _LOG.warning("the event loop has stood still for %.2f s (%d times so far), in:\n%s", seconds, self.count, stack)
