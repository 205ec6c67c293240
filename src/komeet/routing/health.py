"""How those who can be asked have done lately: a breaker, how long they take, how much they have to do.

One record for each of them (a provider, a model, a credential), kept by each process for itself: nothing is shared,
nothing is written, and a new process begins with trust. All times are seconds of a clock that only goes forward.
"""

import math
from typing import Final, NamedTuple, final

from msgspec import Struct

_HALF_LIFE: Final = 10.0
"""Seconds after which what happened counts half."""
_LEAST_SEEN: Final = 20.0
"""Of so many calls, weighed by their age, the share of failures says something."""
_REMEMBERED: Final = 4096


class Who(NamedTuple):
    """Who can be asked, as one whose failures say something about the next call."""

    provider: str
    model: str
    credential: str = ""


class BreakerPolicy(Struct, frozen=True, kw_only=True):
    """When nobody is sent there any more, and for how long."""

    failures: int = 10
    """In a row."""
    share: float = 0.5
    """Of the calls of the last seconds, once there are enough of them to tell."""
    seconds: float = 1.0
    """Until one call may find out whether it is better; twice as long after each that finds out it is not."""
    longest: float = 4.0


@final
class Health:
    """What is known of one of them. The breaker is closed, open, or lets a single call find out (half-open)."""

    __slots__ = ("_at", "_calls", "_failures", "_policy", "_probing", "_row", "_slow_at", "_wait", "cool_until",
                 "open_until", "running", "slow")  # fmt: skip

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy: Final = policy
        self._calls = self._failures = 0.0
        self._at = self._slow_at = 0.0
        self._row = 0
        """Failures in a row."""
        self._wait = 0.0
        """Seconds that it was open for last; 0: it is closed."""
        self._probing = False
        self.open_until = 0.0
        self.cool_until = 0.0
        """It asked to be left alone until then (Retry-After), or refused our credential: others go first."""
        self.running = 0
        """Calls under way."""
        self.slow = 0.0
        """Peak-weighted average of seconds to the first byte: rises at once, falls by and by."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker has opened, and no call has found it better since."""
        return self._wait > 0

    def usable(self, now: float) -> bool:
        """Whether a call that may go elsewhere goes here."""
        return now >= self.cool_until and self.admits(now)

    def admits(self, now: float) -> bool:
        """Whether a call may go here at all: the breaker is closed, or this one would find out whether it can be."""
        return not self._wait or (now >= self.open_until and not self._probing)

    def began(self) -> bool:
        """Note that a call goes here: `left` must follow, and before it what it has found out, if anything.

        Returns whether it is the one that finds out whether the breaker can be closed.
        """
        self.running += 1
        self._probing = probes = self._probing or self._wait > 0
        return probes

    def left(self, *, probe: bool) -> None:
        """Note that the call has ended; `probe`: what `began` said of it."""
        self.running -= 1
        if probe:
            self._probing = False

    def succeeded(self, now: float, seconds: float) -> None:
        """Note an answer, be it a refusal of what the caller did; `seconds` to its first byte."""
        self._count(now, failed=False)
        self._row = 0
        self._wait = 0.0
        fade = math.exp(min(0.0, self._slow_at - now) / _HALF_LIFE)
        self._slow_at = now
        self.slow = seconds if seconds > self.slow else self.slow * fade + seconds * (1 - fade)

    def failed(self, now: float) -> None:
        """Note a failure; the breaker may open."""
        self._count(now, failed=True)
        self._row += 1
        if self._wait:
            if now >= self.open_until:  # the one that was to find out; those that began before do not count again
                self._open(now, min(2 * self._wait, self._policy.longest))
            return
        many = self._calls >= _LEAST_SEEN and self._failures >= self._policy.share * self._calls
        if many or self._row >= self._policy.failures:
            self._open(now, self._policy.seconds)

    def cool(self, now: float, seconds: float) -> None:
        """Note that it wants to be left alone for so many seconds: no failure, and others go first."""
        self.cool_until = max(self.cool_until, now + seconds)

    def load(self) -> float:
        """How long a further call might take, as far as anybody can tell: what is slow and busy comes last."""
        return self.slow * (self.running + 1)

    def _open(self, now: float, seconds: float) -> None:
        self._wait = seconds
        self.open_until = now + seconds

    def _count(self, now: float, *, failed: bool) -> None:
        fade = 0.5 ** (max(0.0, now - self._at) / _HALF_LIFE)
        self._calls = self._calls * fade + 1
        self._failures = self._failures * fade + failed
        self._at = now


@final
class HealthBook:
    """The records of all who can be asked; forgets those that nobody has asked for longest."""

    __slots__ = ("_kept", "_policy")

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy: Final = policy or BreakerPolicy()
        self._kept: Final[dict[Who, Health]] = {}

    def of(self, who: Who) -> Health:
        """Return the record of `who`: the same one each time."""
        found = self._kept.get(who)
        if found is None:
            if len(self._kept) >= _REMEMBERED:
                self._forget()
            found = self._kept[who] = Health(self._policy)
        return found

    def all(self) -> dict[Who, Health]:
        """Return every record."""
        return dict(self._kept)

    def _forget(self) -> None:
        for who in [who for who, health in self._kept.items() if not health.running][: _REMEMBERED // 2]:
            del self._kept[who]
