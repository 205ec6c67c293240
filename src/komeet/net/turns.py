"""Overload, seen from inside: how long what is ready waits for its turn on the event loop, and what is refused then."""

from collections.abc import Callable
from typing import Final

from komeet.core.clock import Clock

_LASTING: Final = 1.0
"""Seconds for which every turn has to be late before anything is refused: a burst is served, and so is a pause."""
_PROMPT: Final = 0.05
"""Seconds that a turn should take while calls are refused, so that those that are served are served soon."""
_A_TURN: Final = 32
"""Calls that are let in per turn meanwhile: one read of all sockets can bring thousands."""
_WINDOW: Final = 2.0
"""Seconds after which it is asked whether refusing is still needed …"""
_FEW: Final = 20
"""… which it is where more than one call of so many was refused."""


class Turns:
    """Refuses calls while the loop cannot keep up; calls that merely wait for a provider cost it nothing."""

    __slots__ = (
        "_asked", "_asked_at", "_before", "_clock", "_last", "_late_since", "_let_in", "_marked", "_most", "_refused",
        "_soon", "_window", "overloaded", "wait",
    )  # fmt: skip

    def __init__(self, clock: Clock, soon: Callable[[Callable[[], None]], object], most: float) -> None:
        """Watch a loop.

        Args:
            clock: tells how long a turn takes.
            soon: calls something when what is ready now has had its turn: the loop's `call_soon`.
            most: seconds that a turn may take; where each takes longer for a while, calls are refused.
        """
        self._clock: Final = clock
        self._soon: Final = soon
        self._most: Final = most
        self.overloaded = False
        """Whether calls are refused."""
        self.wait = self._before = 0.0
        """How long the last turn took that began with a call."""
        self._marked = False
        self._asked_at = self._last = self._window = clock.monotonic()
        self._late_since: float | None = None
        self._let_in = self._asked = self._refused = 0

    def refuses(self) -> bool:
        """Return whether a call that comes now is one too many; to be asked once of each."""
        if not self._marked:
            self._marked = True
            self._asked_at = self._clock.monotonic()
            if self._asked_at - self._last > _PROMPT + self.wait:
                self.wait = 0.0  # for a while nobody came: the loop has had time for whatever there was
            self._let_in = 0
            self._soon(self._begun)
        if not self.overloaded:
            return False
        self._asked += 1
        if self.wait > _PROMPT or self._let_in >= _A_TURN:
            self._refused += 1
            return True
        self._let_in += 1
        return False

    def _begun(self) -> None:
        # Sockets have been read; now what they brought is begun. A turn is over when that has been done too.
        self._soon(self._over)

    def _over(self) -> None:
        self._marked = False
        now = self._clock.monotonic()
        self._before, self.wait = self.wait, now - self._asked_at
        if self.overloaded:
            self._recover(now)
        elif self.wait <= self._most:
            self._late_since = None
        elif self._late_since is None or self._asked_at - self._last > self._most + self._before:
            self._late_since = self._asked_at  # for a while nobody came
        elif now - self._late_since >= _LASTING:
            self.overloaded = True
            self._window = now
            self._asked = self._refused = 0
        self._last = now

    def _recover(self, now: float) -> None:
        if now - self._window < _WINDOW:
            return
        if self._refused * _FEW <= self._asked:
            self.overloaded = False
            self._late_since = None
        self._window = now
        self._asked = self._refused = 0
