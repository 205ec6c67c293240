"""How much may be under way at once: what is above it is refused before it costs anything; the rest goes well."""

from typing import Final

from komeet.access.keys import Key
from komeet.core.errors import LimitExceeded, Overloaded
from komeet.pipeline.call import Call

_SOON: Final = 1.0
"""Seconds after which a refused caller may try again."""
_NO_LIMIT: Final = 1 << 62


class Admission:
    """Counts the calls that are under way in this process: all, and those of each key."""

    __slots__ = ("_most", "_most_of_key", "crowded", "each", "running", "shed")

    def __init__(self, most: int = _NO_LIMIT, most_of_key: int = _NO_LIMIT) -> None:
        self._most: Final = most
        self._most_of_key: Final = most_of_key
        self.each: Final[dict[str, int]] = {}
        """The calls of each key that has any."""
        self.crowded: Final[set[str]] = set()
        """The keys that have as many as may be."""
        self.running = 0
        self.shed = 0
        """Calls that were refused because there were too many, since the start."""

    @property
    def full(self) -> bool:
        """Whether there are as many calls as may be."""
        return self.running >= self._most

    def refusal(self) -> Overloaded:
        """Return what a call too many is told."""
        return Overloaded(
            f"As many calls are under way as this gateway takes at once ({self._most}); try again.", retry_after=_SOON
        )

    def refusal_of(self, key: Key) -> LimitExceeded:
        """Return what a call too many of one key is told."""
        return LimitExceeded(
            f"As many calls of this API key ({key.name}) are under way as may be at once ({self._most_of_key});"
            " wait until one ends.",
            retry_after=_SOON,
        )

    def enter(self, call: Call) -> None:
        """Count `call` among all; `leave` must follow.

        Raises:
            Overloaded: 503, there are as many as may be.
        """
        if self.full:
            self.shed += 1
            raise self.refusal()
        self.running += 1
        call.admitted = True

    def enter_key(self, call: Call) -> None:
        """Count `call` among those of its key.

        Raises:
            LimitExceeded: 429, there are as many as may be.
        """
        key = call.known_key
        running = self.each.get(key.id, 0)
        if running >= self._most_of_key:
            self.shed += 1
            raise self.refusal_of(key)
        self.each[key.id] = running + 1
        if running + 1 >= self._most_of_key:
            self.crowded.add(key.id)
        call.admitted_key = True

    def leave(self, call: Call) -> None:
        """Count `call` no longer, wherever it was counted."""
        if call.admitted:
            self.running -= 1
            call.admitted = False
        if call.admitted_key:
            key, call.admitted_key = call.known_key.id, False
            left = self.each[key] - 1
            self.crowded.discard(key)
            if left:
                self.each[key] = left
            else:
                del self.each[key]
