"""Budgets: what they concern, their windows in time, and which of them a call has to do with."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, final
from zoneinfo import ZoneInfo

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.port import Hold, Share, Subject

_HOUR_MS: Final = 3_600_000


class Scope(StrEnum):
    """What a budget concerns."""

    KEY = "key"
    USER = "user"
    PROJECT = "project"
    ORGANISATION = "organisation"
    PROVIDER = "provider"
    MODEL = "model"
    """A pattern of `provider/model`."""


class Span(StrEnum):
    """How long a window of a budget lasts; each begins at its start by the calendar of the budget's time zone."""

    TOTAL = "total"
    """One window for all time."""
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday."""
    MONTH = "month"


class Budget(Struct, frozen=True, kw_only=True):
    """An amount that may be spent in each window."""

    id: int
    scope: Scope
    subject: str
    """The id of a key, user, project or organisation; a provider's name; a pattern of models."""
    label: str = ""
    """What people call the subject."""
    span: Span = Span.TOTAL
    zone: str = "UTC"
    """The name of a time zone (`Europe/Amsterdam`)."""
    amount: Nano
    hard: bool = True
    """Whether it is a limit, or else only watched."""
    prepaid: bool = False
    """Whether the amount is the sum of what was paid in."""
    thresholds: tuple[int, ...] = ()
    """Percents of the amount at which somebody is told."""
    blocked: bool = False
    """A provider billed above a reservation: nothing is admitted until an operator lifts it."""

    @property
    def charged(self) -> bool:
        """Whether it counts what customers are charged; budgets of providers and models count what these bill."""
        return self.scope not in {Scope.PROVIDER, Scope.MODEL}

    @property
    def title(self) -> str:
        """What it is called in messages: `key 'app'`, `organisation 'acme', each month`."""
        each = "" if self.span is Span.TOTAL else f", each {self.span}"
        return f"{self.scope} {(self.label or self.subject)!r}{each}"


class Window(NamedTuple):
    """One window of one budget: what is counted together."""

    budget: int
    starts_at: int
    """Unix milliseconds; 0 where there is but one."""


def window_of(share: Share) -> Window:
    """Return the window of which a share is held."""
    return Window(share.budget, share.starts_at)


class Bounds(NamedTuple):
    """The moments between which a window lies, in Unix milliseconds."""

    start: int
    end: int | None
    """Exclusive; None: it never ends."""


def bounds(span: Span, zone: str, at_ms: int) -> Bounds:
    """Return the bounds of the window of this span that `at_ms` lies in.

    By the zone's own calendar: a day in which clocks change has 23 or 25 hours; an hour is one of the clock, the one
    that happens twice in autumn is two windows. Source: `zoneinfo`, IANA's database.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    if span is Span.TOTAL:
        return Bounds(0, None)
    if span is Span.HOUR:
        offset = _offset_ms(zone, at_ms)
        start = (at_ms + offset) // _HOUR_MS * _HOUR_MS - offset
        return Bounds(start, start + _HOUR_MS)
    local = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    match span:
        case Span.DAY:
            first, following = midnight, midnight + timedelta(days=1)
        case Span.WEEK:
            first = midnight - timedelta(days=midnight.weekday())
            following = first + timedelta(days=7)
        case Span.MONTH:
            first = midnight.replace(day=1)
            following = (first + timedelta(days=32)).replace(day=1)
    return Bounds(_unix_ms(first, zone), _unix_ms(following, zone))


def _offset_ms(zone: str, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _unix_ms(wall: datetime, zone: str) -> int:
    """The first moment of a wall clock's time; where clocks leave it out, the moment at which they are put forward."""
    return round(wall.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@final
class BudgetBook:
    """The budgets that there are, ready to be looked up for a call; made anew when one changes."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._by_subject: Final[dict[tuple[Scope, str], list[Budget]]] = {}
        patterns: defaultdict[str, list[Budget]] = defaultdict(list)
        for budget in budgets:
            if budget.scope is Scope.MODEL:
                patterns[budget.subject].append(budget)
            else:
                self._by_subject.setdefault((budget.scope, budget.subject), []).append(budget)
        self._patterns: Final = tuple(patterns.items())
        self._by_id: Final = {budget.id: budget for budget in budgets}
        self._bounds: Final[dict[int, Bounds]] = {}
        """The last window that was asked for, by budget."""

    def get(self, budget: int) -> Budget | None:
        """Return a budget by its id."""
        return self._by_id.get(budget)

    def concerning(self, subject: Subject, provider: str, model: str) -> Sequence[Budget]:
        """Return the budgets that a call has to do with."""
        if not self._by_id:
            return ()
        found: list[Budget] = []
        of = self._by_subject.get
        for scope, name in (
            (Scope.KEY, subject.key),
            (Scope.USER, subject.user),
            (Scope.PROJECT, subject.project),
            (Scope.ORGANISATION, subject.organisation),
            (Scope.PROVIDER, provider),
        ):
            if name is not None:
                found += of((scope, name), ())
        full = f"{provider}/{model}"
        for pattern, budgets in self._patterns:
            if fnmatchcase(full, pattern):
                found += budgets
        return found

    def is_bounded(self, subject: Subject, provider: str, model: str) -> bool:
        """Whether one of them is hard."""
        return any(budget.hard for budget in self.concerning(subject, provider, model))

    def shares(self, hold: Hold, subject: Subject) -> tuple[Share, ...]:
        """Return what the hold takes of each budget that it has to do with, in the order of the budgets' ids."""
        budgets = self.concerning(subject, hold.provider, hold.model)
        if not budgets:
            return ()
        return tuple(
            Share(
                budget.id,
                self.window(budget, hold.held_at).starts_at,
                hold.most_charged if budget.charged else hold.amount,
                budget.hard,
                budget.charged,
            )
            for budget in sorted(budgets, key=_id_of)
        )

    def window(self, budget: Budget, at_ms: int) -> Window:
        """Return the window of a budget that a moment lies in."""
        if budget.span is Span.TOTAL:
            return Window(budget.id, 0)
        known = self._bounds.get(budget.id)
        if known is None or not known.start <= at_ms < (known.end or at_ms + 1):
            known = self._bounds[budget.id] = bounds(budget.span, budget.zone, at_ms)
        return Window(budget.id, known.start)


def _id_of(budget: Budget) -> int:
    return budget.id


def hard_shares(shares: Iterable[Share]) -> list[Share]:
    """Return those of hard budgets."""
    return [share for share in shares if share.hard]
