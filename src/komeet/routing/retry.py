"""What follows on an attempt that failed: the next candidate, the same one once more, or the error."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, final

from msgspec import Struct

from komeet.core.errors import (
    BudgetExceeded,
    ConnectFailed,
    ContextTooLong,
    KomeetError,
    ModelNotFound,
    Unrepresentable,
    UpstreamAuth,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
)

_CAP: Final = 10.0
_REFILL: Final = 0.3
"""Retries per second that even a provider with few calls is given, up to the reserve."""
_FIRST: Final = 0.25
_LONGEST: Final = 2.0


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How much is tried for one call."""

    attempts: int = 3
    """Most attempts that reach a provider, the first one included; 1: nothing is tried again."""
    seconds: float = 60.0
    """After its arrival, no further attempt begins."""
    wait_seconds: float = 5.0
    """The longest that a provider's Retry-After is waited for; else the caller is told it."""
    percent: int = 10
    """Of a provider's calls, so many may be repeated there."""
    reserve: int = 3
    """Repeats that are always had in hand."""


class Move(StrEnum):
    """What to do next."""

    STOP = "stop"
    """The caller gets the error."""
    OTHER = "other"
    """Ask the next candidate."""
    SAME = "same"
    """Ask the same candidate again, after a while."""


class Step(Struct, frozen=True):
    """What follows."""

    move: Move
    wait: float = 0.0
    """Seconds."""


STOP: Final = Step(Move.STOP)
OTHER: Final = Step(Move.OTHER)


@final
class RetryBudget:
    """How often calls to one provider may still be repeated there: a tenth of them, and a reserve."""

    __slots__ = ("_at", "_left", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy: Final = policy
        self._left = float(policy.reserve)
        self._at = 0.0

    def deposit(self) -> None:
        """Note a call."""
        self._left = min(self._left + self._policy.percent / 100, max(_CAP, self._policy.reserve))

    def withdraw(self, now: float) -> bool:
        """Take a repeat; False: there is none."""
        gained = (now - self._at) * _REFILL
        self._at = now
        if self._left < self._policy.reserve:
            self._left = min(self._left + gained, self._policy.reserve)
        if self._left < 1:
            return False
        self._left -= 1
        return True


@final
class Retries:
    """The budgets of all providers, in one process."""

    __slots__ = ("_budgets", "policy")

    def __init__(self, policy: RetryPolicy | None = None) -> None:
        self.policy: Final = policy or RetryPolicy()
        self._budgets: Final[dict[str, RetryBudget]] = {}

    def of(self, provider: str) -> RetryBudget:
        """Return the budget of a provider."""
        found = self._budgets.get(provider)
        if found is None:
            found = self._budgets[provider] = RetryBudget(self.policy)
        return found


class Failure(Struct, frozen=True, kw_only=True):
    """An attempt that did not answer the call."""

    error: KomeetError
    sent: bool
    """Whether a byte of it may have reached the provider."""
    shown: bool
    """Whether a byte of the answer has reached the caller."""


def may_go_elsewhere(error: KomeetError) -> bool:
    """Whether another candidate may do better: what fails is this provider, or what this model cannot do."""
    return isinstance(error, UpstreamError | Unrepresentable | ModelNotFound | BudgetExceeded | ContextTooLong)


def next_step(
    failure: Failure,
    policy: RetryPolicy,
    *,
    attempts: int,
    elapsed: float,
    others: bool,
    repeat: Callable[[], bool],
    jitter: float,
) -> Step:
    """Decide what follows on a failure.

    What has been shown is never tried again. Another candidate is asked for whatever is this one's fault: also where
    nobody knows whether it was billed (a deadline, a broken connection), since waiting for it is over and the caller
    has nothing yet; its reservation stays an orphan's. The same one is asked again only where it has done nothing: it
    could not be reached, or refused with a status that may pass, within its budget of repeats.

    Args:
        failure: what happened.
        policy: how much is tried.
        attempts: made so far that may have reached a provider.
        elapsed: seconds since the call arrived.
        others: whether there are candidates that have not been asked.
        repeat: takes a repeat from the provider's budget; asked only where one is wanted.
        jitter: 0 to 1, of chance: so that those who failed together do not come back together.
    """
    error = failure.error
    if failure.shown or not may_go_elsewhere(error):
        return STOP
    if not isinstance(error, UpstreamError):
        return OTHER if others else STOP
    if attempts >= policy.attempts or elapsed >= policy.seconds:
        return STOP
    if others:
        return OTHER
    if not _passes(error):
        return STOP
    wait = _wait(error, attempts, jitter)
    if wait > policy.wait_seconds or elapsed + wait >= policy.seconds or not repeat():
        return STOP
    return Step(Move.SAME, wait)


def _passes(error: UpstreamError) -> bool:
    """Whether the same provider may do better in a moment, and has done nothing yet."""
    return isinstance(error, ConnectFailed | UpstreamRefused) and not isinstance(error, UpstreamAuth)


def _wait(error: UpstreamError, attempts: int, jitter: float) -> float:
    """Return the seconds until the next attempt: never less than the provider asks for."""
    pause = min(_FIRST * 2 ** max(0, attempts - 1), _LONGEST) * (0.5 + jitter / 2)
    if error.retry_after is not None:
        return error.retry_after + (pause / 4 if isinstance(error, UpstreamLimited) else 0.0)
    return pause
