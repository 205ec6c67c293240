"""What was used and what it cost, from the ledger: by the sums of each hour, which the drain keeps with the rows."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, select

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.budget import Span, bounds
from komeet.ledger.port import State
from komeet.store.ledger_rows import names_of
from komeet.store.tables import (
    USAGE_COLUMNS,
    entries,
    holds,
    keys,
    open_holds,
    organisations,
    outcomes,
    projects,
    usage_hours,
    users,
)

By = Literal["model", "provider", "key", "user", "project", "organisation", "tag", "hour", "day", "month"]
"""What the rows of a report have in common."""

HOUR_MS: Final = 3_600_000
_QUARTER_MS: Final = 900_000
"""Days begin on a quarter of an hour of UTC, in every zone since 1972."""
_COUNTS: Final = ("settled", "voided", "orphans", "estimated", "unpriced")
_AMOUNTS: Final = ("cost", "charge", "overrun", "free")
_SUMS: Final = (*_COUNTS, *_AMOUNTS, *USAGE_COLUMNS)
_SPANS: Final[Mapping[By, Span]] = {"hour": Span.HOUR, "day": Span.DAY, "month": Span.MONTH}
_OWNERS: Final = {"user": users, "project": projects, "organisation": organisations}

Part = tuple[str, Mapping[str, int]]
"""What some attempts have in common, and their sums."""


class UsageRow(Struct, frozen=True, kw_only=True):
    """The sums of some attempts."""

    name: str
    """What they have in common: a key's, user's, project's or organisation's name, `provider/model`, a provider, a tag
    (empty: none), the beginning of an hour, a day, a month."""
    id: str = ""
    """Of the key, user, project or organisation: names need not be unique."""
    calls: int = 0
    """Attempts that are settled, and orphans."""
    voided: int = 0
    """Attempts that cost nothing, since nothing was sent or the provider refused; in no other number."""
    usage: Usage = Usage()
    cost: Nano = Nano(0)
    """What providers bill, corrections included."""
    charge: Nano = Nano(0)
    """What customers are charged."""
    free: Nano = Nano(0)
    """What they would be charged besides, without free allowances."""
    estimated: int = 0
    """Calls whose tokens were counted here."""
    unpriced: int = 0
    """Calls that cost something which is not known; it is not in `cost`."""
    orphans: int = 0
    """Calls that were sent and of which no cost was reported; what may have been billed is in `held` until resolved."""
    overrun: Nano = Nano(0)
    """How much of the cost lies above what was reserved."""
    held: Nano = Nano(0)
    """Reserved at this moment: calls in flight, and orphans."""

    @property
    def margin(self) -> Nano:
        """What was charged beyond the cost."""
        return Nano(self.charge - self.cost)


class UsageReport(Struct, frozen=True, kw_only=True):
    """The rows, and the sum of all attempts: each counts once there, however many tags it has."""

    by: By
    rows: tuple[UsageRow, ...]
    total: UsageRow


def report_usage(
    engine: Engine, by: By, since: int | None = None, until: int | None = None, zone: str = "UTC"
) -> UsageReport:
    """Return what was used, the dearest first (by time: the earliest first).

    Whole hours are read from their sums. Of an hour that `since`, `until` or the end of a day cuts in two, the attempts
    are read one by one: any bound is exact, and one on the hour is fast.

    Args:
        engine: of the ledger.
        by: what the rows have in common. By tag, an attempt counts in each of its tags' rows.
        since: Unix milliseconds, inclusive: when attempts ended, or for those in flight when they began; when
            corrections were entered.
        until: Unix milliseconds, exclusive.
        zone: whose days and months are meant, and whose clock hours are written by.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    with engine.connect() as connection, connection.begin():
        parts = [*_ended(connection, by, since, until, zone), *_held(connection, by, since, until, zone)]
        names = _names(connection, by)
    groups: defaultdict[tuple[str, str], list[Mapping[str, int]]] = defaultdict(list)
    for common, numbers in parts:
        for name in names(common):
            groups[name].append(numbers)
    rows = [_row(name, id_, numbers) for (name, id_), numbers in groups.items()]
    order: Callable[[UsageRow], tuple[Any, ...]] = (
        (lambda row: (row.id,)) if by in _SPANS else (lambda row: (-row.cost, -row.calls, row.name, row.id))
    )
    rows.sort(key=order)
    if by in _SPANS:
        rows = [_label(row, by, zone) for row in rows]
    return UsageReport(by=by, rows=tuple(rows), total=_row("total", "", [numbers for _, numbers in parts]))


def _ended(connection: Connection, by: By, since: int | None, until: int | None, zone: str) -> Iterator[Part]:
    """The sums of the attempts that ended, and of corrections."""
    first = None if since is None else -(-since // HOUR_MS) * HOUR_MS
    last = None if until is None else until // HOUR_MS * HOUR_MS
    calendar = _Calendar(by, zone)
    if since is not None and until is not None and first is not None and last is not None and first > last:
        yield from _cut(connection, calendar, since, until)
        return
    if since is not None and first is not None and since < first:
        yield from _cut(connection, calendar, since, first)
    for common, numbers in _hours(connection, by, first, last):
        if not calendar.divides:
            yield common, numbers
        elif calendar.of(int(common)).end < (end := int(common) + HOUR_MS):
            yield from _cut(connection, calendar, int(common), end)
        else:
            yield calendar.start(int(common)), numbers
    if until is not None and last is not None and last < until:
        yield from _cut(connection, calendar, last, until)


class _Between(NamedTuple):
    start: int
    end: int


class _Calendar:
    """The days or months of a zone; the hours of UTC, which are those that are summed; or one group for all time."""

    def __init__(self, by: By, zone: str) -> None:
        self.by: By = by
        self.divides = by in _SPANS
        self._zone = zone
        self._last = _Between(0, 0)

    def of(self, at: int) -> _Between:
        """What a moment lies in."""
        if not self._last.start <= at < self._last.end:
            span = _SPANS[self.by]
            if span is Span.HOUR:
                start = at // HOUR_MS * HOUR_MS
                self._last = _Between(start, start + HOUR_MS)
            else:
                start, end = bounds(span, self._zone, at)
                self._last = _Between(start, start if end is None else end)
        return self._last

    def start(self, at: int) -> str:
        """Its beginning, so that texts sort by time."""
        return f"{self.of(at).start:015d}"


def _cut(connection: Connection, calendar: _Calendar, since: int, until: int) -> Iterator[Part]:
    """The sums of a part of an hour, from the rows; by time: of each part of it that lies in another day."""
    by = calendar.by
    while since < until:
        end = min(until, calendar.of(since).end) if calendar.divides else until
        for common, numbers in (*_attempts(connection, by, since, end), *_corrections(connection, by, since, end)):
            yield (calendar.start(since) if calendar.divides else common), numbers
        since = end


def _hours(connection: Connection, by: By, since: int | None, until: int | None) -> Iterable[Part]:
    group = _group(by, usage_hours, usage_hours.c.hour)
    chosen = select(*group, *(func.sum(usage_hours.c[name]).label(name) for name in _SUMS))
    return _grouped(connection, _within(chosen, usage_hours.c.hour, since, until, group))


def _attempts(connection: Connection, by: By, since: int, until: int) -> Iterable[Part]:
    settled = outcomes.c.state == State.SETTLED.value
    counts = {
        "settled": settled,
        "voided": outcomes.c.state == State.VOIDED.value,
        "orphans": outcomes.c.state == State.ORPHAN.value,
        "estimated": outcomes.c.estimated & settled,
        "unpriced": outcomes.c.unpriced & settled,
    }
    group = _group(by, holds, outcomes.c.ended_at // HOUR_MS)
    chosen = select(
        *group,
        *(func.sum(case((condition, 1), else_=0)).label(name) for name, condition in counts.items()),
        *(func.sum(outcomes.c[name]).label(name) for name in (*_AMOUNTS, *USAGE_COLUMNS)),
    ).join_from(outcomes, holds, holds.c.attempt_id == outcomes.c.attempt_id)
    return _grouped(connection, _within(chosen, outcomes.c.ended_at, since, until, group))


def _corrections(connection: Connection, by: By, since: int, until: int) -> Iterable[Part]:
    group = _group(by, holds, entries.c.created_at // HOUR_MS)
    chosen = select(*group, *(func.sum(entries.c[name]).label(name) for name in ("cost", "charge"))).join_from(
        entries, holds, holds.c.attempt_id == entries.c.attempt_id
    )
    return _grouped(connection, _within(chosen, entries.c.created_at, since, until, group))


def _held(connection: Connection, by: By, since: int | None, until: int | None, zone: str) -> Iterator[Part]:
    """The few holds that are open are looked up in all that there are: joined, SQLite would read those instead."""
    calendar, group = _Calendar(by, zone), _group(by, holds, holds.c.held_at - holds.c.held_at % _QUARTER_MS)
    chosen = select(*group, func.sum(holds.c.amount).label("held"))
    held = chosen.where(holds.c.attempt_id.in_(select(open_holds.c.attempt_id)))
    for common, numbers in _grouped(connection, _within(held, holds.c.held_at, since, until, group)):
        yield (calendar.start(int(common)) if calendar.divides else common), numbers


def _group(by: By, table: Any, at: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    match by:
        case "key" | "user" | "project" | "organisation":
            return (table.c.key_id.label("common"),)
        case "model":
            return (table.c.provider.label("common"), table.c.model.label("more"))
        case "provider":
            return (table.c.provider.label("common"),)
        case "tag":
            return (table.c.tags.label("common"),)
        case "hour" | "day" | "month":
            return (at.label("common"),)


def _within(
    chosen: Select[*tuple[Any, ...]],
    at: ColumnElement[int],
    since: int | None,
    until: int | None,
    group: Iterable[ColumnElement[Any]],
) -> Select[*tuple[Any, ...]]:
    if since is not None:
        chosen = chosen.where(at >= since)
    if until is not None:
        chosen = chosen.where(at < until)
    return chosen.group_by(*(column.name for column in group))


def _grouped(connection: Connection, chosen: Select[*tuple[Any, ...]]) -> Iterable[Part]:
    """Numbers that are 0 are left out: most are, and by the hour there are many."""
    found = connection.execute(chosen)
    names = list(found.keys())
    place = 2 if "more" in names else 1
    for row in found:
        numbers = {name: int(number) for name, number in zip(names[place:], row[place:], strict=True) if number}
        common = f"{row[0]:015d}" if isinstance(row[0], int) else str(row[0])
        yield common if place == 1 else f"{common}/{row[1]}", numbers


def _names(connection: Connection, by: By) -> Callable[[str], Iterable[tuple[str, str]]]:
    """What says in which rows a part counts: their names and ids (by time: their beginning as the id)."""
    if by == "tag":
        return lambda common: [(name, "") for name in names_of(common) or ("",)]
    if by in _SPANS:
        return lambda common: [("", common)]
    if by == "key":
        known = {row.id: (row.name, row.id) for row in connection.execute(select(keys.c.id, keys.c.name))}
        return lambda common: [known.get(common, (common, common))]
    owner = _OWNERS.get(by)
    if owner is None:
        return lambda common: [(common, "")]
    owned = select(keys.c.id.label("key"), owner.c.id, owner.c.name).join(owner, owner.c.id == keys.c[f"{by}_id"])
    owners = {row.key: (row.name, row.id) for row in connection.execute(owned)}
    return lambda common: [owners.get(common, ("", ""))]


def _label(row: UsageRow, by: By, zone: str) -> UsageRow:
    begins = datetime.fromtimestamp(int(row.id) // 1000, ZoneInfo(zone))
    match by:
        case "hour":
            name = begins.isoformat(timespec="minutes")
        case "month":
            name = f"{begins:%Y-%m}"
        case _:
            name = begins.date().isoformat()
    return replace(row, name=name, id="")


def _row(name: str, id_: str, parts: Iterable[Mapping[str, int]]) -> UsageRow:
    numbers: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for field, number in part.items():
            numbers[field] += number
    usage = Usage(
        **{field: numbers[column] for field, column in zip(Usage.__struct_fields__, USAGE_COLUMNS, strict=True)}
    )
    return UsageRow(
        name=name,
        id=id_,
        calls=numbers["settled"] + numbers["orphans"],
        voided=numbers["voided"],
        usage=usage,
        cost=Nano(numbers["cost"]),
        charge=Nano(numbers["charge"]),
        free=Nano(numbers["free"]),
        estimated=numbers["estimated"],
        unpriced=numbers["unpriced"],
        orphans=numbers["orphans"],
        overrun=Nano(numbers["overrun"]),
        held=Nano(numbers["held"]),
    )
