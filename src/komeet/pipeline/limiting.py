"""Rate limits of a call: taken before its first attempt, told to the caller, corrected when it has ended."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct, convert

from komeet.access.keys import NO_LIMITS, Key
from komeet.core.errors import KomeetError, LimitExceeded, Unavailable
from komeet.limits.headers import duration, headers_of
from komeet.limits.limit import Grant, Kind, Limit, Scope, Taken, Verdict, Want
from komeet.limits.rules import Amounts, Rule, Subject, amounts_of, limits_of
from komeet.limits.share import share
from komeet.pipeline.call import Call
from komeet.pipeline.queueing import Queues
from komeet.providers.provider import Provider
from komeet.routing.directory import Candidate

_REMEMBERED: Final = 4096
_BYTES_PER_TOKEN: Final = 4
_MEDIUM: Final = 1_000
"""Tokens that a picture or a file is taken for until it is known."""
_OUTPUT: Final = 1_024
"""Tokens that an answer is taken for whose limit the caller does not say."""
_WAITING: Final = 100
"""Calls of a key that may wait, where nobody says how many."""
_TINY: Final = 0.05
"""Seconds between two looks after the end of some other call: nobody tells of one in another process."""


class Table(Protocol):
    """Where limits are counted."""

    def take(self, wants: Sequence[Want]) -> Taken:
        """Take all that is wanted, or nothing.

        Raises:
            Unavailable: it is out of reach.
        """
        ...

    def end(self, grants: Sequence[Grant], tokens: int | None) -> None:
        """Give back what calls under way count for, and correct tokens to what was used (None: not known)."""
        ...


class Nodes(Protocol):
    """The machines that serve together."""

    @property
    def count(self) -> int:
        """How many there are, this one included."""
        ...


class _Alone:
    @property
    def count(self) -> int:
        return 1


class _Bound(Struct, frozen=True):
    """What holds for the calls of a key to a model."""

    key: Key
    nodes: int
    limits: tuple[Limit, ...]
    least_tokens: int
    """The smallest limit of tokens; 0: there is none."""
    wait: float
    """Seconds that a call may wait."""
    waiting: int
    """Calls that may."""


class Limiter:
    """Holds every call to the limits of its key, its user, its model and its provider, all of them or none."""

    __slots__ = ("_bounds", "_nodes", "_queues", "_rules", "_table", "refused")

    def __init__(
        self,
        table: Table | None = None,
        rules: Sequence[Rule] = (),
        nodes: Nodes | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """Know the limits.

        Args:
            table: where they are counted; None: there are no limits.
            rules: the operator's.
            nodes: machines that share each limit.
            sleep: waits for so many seconds; for tests.
        """
        self._table: Final = table
        self._rules: Final = tuple(rules)
        self._nodes: Final[Nodes] = nodes or _Alone()
        self._queues: Final = Queues() if sleep is None else Queues(sleep)
        self._bounds: Final[dict[tuple[str, str, str], _Bound]] = {}
        self.refused = 0
        """Calls that were refused, since the start."""

    async def admit(self, call: Call) -> None:
        """Take what the call may use from every limit, or wait for it where its key may; `end` must follow.

        Raises:
            LimitExceeded: 429, one of them has no room; says which, and when it has.
            Unavailable: the table is out of reach.
        """
        key = call.known_key
        if self._table is None or (not self._rules and key.limits == NO_LIMITS):
            return
        bound = self._bound(key, call.known_plan.first)
        if not bound.limits:
            return
        tokens = _estimate(call, bound.least_tokens) if bound.least_tokens else 0
        wants = [Want(limit, tokens if limit.kind is Kind.TOKENS else 1) for limit in bound.limits]
        taken: Taken | None = None
        if not bound.wait or not self._queues.of(key.id):  # else it would overtake those who wait
            taken = self._table.take(wants)
        if taken is None or _soon(taken.refusal, bound.wait) is not None:
            taken = await self._wait(key, wants, bound)
        self._admitted(call, taken, tokens)

    def refusal(self, call: Call) -> KomeetError | None:
        """Return what `admit` would refuse the call with, were it made now and did not wait; nothing is taken."""
        key = call.known_key
        if self._table is None or (not self._rules and key.limits == NO_LIMITS):
            return None
        bound = self._bound(key, call.known_plan.first)
        tokens = _estimate(call, bound.least_tokens) if bound.least_tokens else 0
        try:
            verdicts = self._table.take([Want(limit, 0) for limit in bound.limits]).verdicts
        except Unavailable as error:
            return error
        for verdict in verdicts:
            units = tokens if verdict.limit.kind is Kind.TOKENS else 1
            if units > verdict.remaining:
                return _without_room(verdict, units)
        return None

    def look(self, call: Call) -> None:
        """Tell the caller of a call that went wrong before it was counted how the limits of its key stand."""
        key = call.key
        if self._table is None or key is None or call.limit_headers or (not self._rules and key.limits == NO_LIMITS):
            return
        limits = self._bound(key, None).limits
        if not limits:
            return
        with suppress(Unavailable):
            call.limit_headers = headers_of(self._table.take([Want(limit, 0) for limit in limits]).verdicts)

    def end(self, call: Call, *, counted: bool) -> None:
        """Give back what the call does not use, once it has ended.

        Args:
            call: may have ended in any way, and in none of the limits' ways too.
            counted: whether its tokens are known as far as they ever will be; else this is to be called again.
        """
        if not call.grants or self._table is None:
            return
        if counted:
            self._table.end(call.grants, _used(call))
            call.grants = ()
            return
        running = [grant for grant in call.grants if grant.limit.kind is Kind.CONCURRENT]
        if running:
            self._table.end(running, None)
            call.grants = tuple(grant for grant in call.grants if grant.limit.kind is not Kind.CONCURRENT)

    async def _wait(self, key: Key, wants: Sequence[Want], bound: _Bound) -> Taken | None:
        """Wait for the call's turn among those of its key, and for room; return the table's last answer, if any."""
        assert self._table is not None
        table = self._table
        last: Taken | None = None

        def attempt() -> float | None:
            nonlocal last
            last = table.take(wants)
            return _soon(last.refusal, bound.wait)

        await self._queues.wait(key.id, attempt, seconds=bound.wait, most=bound.waiting)
        return last

    def _admitted(self, call: Call, taken: Taken | None, tokens: int) -> None:
        refusal = None
        if taken is not None:
            call.limit_headers = headers_of(taken.verdicts)
            refusal = taken.refusal
            if refusal is None:
                call.grants = tuple(grant for grant in taken.grants if grant.limit.kind is not Kind.REQUESTS)
                return
        self.refused += 1
        raise _kept_waiting() if refusal is None else _refused(refusal, tokens)

    def _bound(self, key: Key, candidate: Candidate[Provider] | None) -> _Bound:
        """Return what holds; remembered, since it changes only with the key, and with the number of machines."""
        which = (key.id, "", "") if candidate is None else (key.id, candidate.provider.name, candidate.model)
        nodes = self._nodes.count
        found = self._bounds.get(which)
        if found is None or found.key is not key or found.nodes != nodes:
            if len(self._bounds) >= _REMEMBERED:
                self._bounds.clear()
            found = self._bounds[which] = self._made(key, candidate, nodes)
        return found

    def _made(self, key: Key, candidate: Candidate[Provider] | None, nodes: int) -> _Bound:
        subject = Subject(scope=Scope.KEY, id=key.id, name=key.name, names=(key.name, key.id), tags=key.tags)
        amounts = amounts_of(subject, self._rules, convert(key.limits, Amounts, from_attributes=True))
        limits = list(limits_of(subject, amounts))
        for other in _others(key, candidate):
            limits += limits_of(other, amounts_of(other, self._rules))
        limits = [share(limit, nodes) for limit in limits]
        tokens = [limit.amount for limit in limits if limit.kind is Kind.TOKENS]
        wait, waiting = amounts.wait_seconds or 0.0, amounts.waiting or _WAITING
        return _Bound(key, nodes, tuple(limits), min(tokens, default=0), wait, waiting)


def _others(key: Key, candidate: Candidate[Provider] | None) -> list[Subject]:
    """Return whom else a call concerns: the key's user, the model, the provider."""
    found: list[Subject] = []
    if key.user is not None:
        found.append(Subject(scope=Scope.USER, id=key.user, names=(key.user,), tags=key.tags))
    if candidate is not None:
        provider, model = candidate.provider.name, f"{candidate.provider.name}/{candidate.model}"
        found.append(Subject(scope=Scope.MODEL, id=model, names=(*candidate.names, model)))
        found.append(Subject(scope=Scope.PROVIDER, id=provider, names=(provider,)))
    return found


def _estimate(call: Call, least: int) -> int:
    """Return the tokens that the call is taken for: what it sends, and its answer at the limit that the caller set."""
    envelope = call.known_envelope
    extent = call.format.measure(envelope)
    sent = -(-extent.bytes // _BYTES_PER_TOKEN) + extent.media * _MEDIUM
    if call.format.kind != "generation":
        return sent
    if extent.output_limit is not None:
        return sent + extent.output_limit * max(1, extent.candidates)
    limit = call.known_plan.first.profile.output_limit
    guess = (_OUTPUT if limit is None else min(_OUTPUT, limit)) * max(1, extent.candidates)
    return max(sent, min(sent + guess, least))  # a guess of ours is no reason to refuse it for ever


def _used(call: Call) -> int | None:
    """Return the tokens that the call used; None where nobody knows."""
    used = 0
    for attempt in call.attempts:
        if attempt.usage is not None:
            used += attempt.usage.input + attempt.usage.output
        elif attempt.sent and not attempt.refused and attempt.failed is None:
            return None
    return used


def _soon(refusal: Verdict | None, wait: float) -> float | None:
    """Return after how many seconds to try again; None where there is no need, or no use: not within `wait`."""
    if refusal is None or wait <= 0:
        return None
    if refusal.limit.kind is Kind.CONCURRENT:
        return _TINY
    if refusal.retry_after is None or refusal.retry_after / 1e9 > wait:
        return None
    return refusal.retry_after / 1e9


def _kept_waiting() -> LimitExceeded:
    return LimitExceeded("More calls of this API key wait for their turn than will have it in time.", retry_after=1.0)


def _without_room(verdict: Verdict, units: int) -> LimitExceeded:
    limit, left = verdict.limit, max(0, verdict.remaining)
    needed = f"{units:,} tokens" if limit.kind is Kind.TOKENS else "1"
    if units > limit.amount:
        return LimitExceeded(f"The limit is {limit}: this call, which may take {needed}, would never fit.")
    again = "" if limit.kind is Kind.CONCURRENT else f" It has all its room again in {duration(verdict.reset)}."
    return LimitExceeded(f"The limit of {limit} has room for {left:,}, and this call needs {needed}.{again}")


def _refused(refusal: Verdict, tokens: int) -> LimitExceeded:
    limit = refusal.limit
    taken = limit.amount - refusal.remaining
    if limit.kind is Kind.CONCURRENT:
        return LimitExceeded(
            f"The limit of {limit} is reached: {taken:,} are under way. Wait until one ends.", retry_after=1.0
        )
    if refusal.retry_after is None:
        return LimitExceeded(
            f"This call may take {tokens:,} tokens, and the limit is {limit}: it would never fit. Send less, or set a"
            " lower limit of output tokens.",
        )
    asked = f", and this call may take {tokens:,}" if limit.kind is Kind.TOKENS else ""
    return LimitExceeded(
        f"The limit of {limit} is reached: {taken:,} are used{asked}. There is room again in"
        f" {duration(refusal.retry_after)}.",
        retry_after=refusal.retry_after / 1e9,
    )
