"""What was used and what it cost, from the ledger: the same rows that budgets are checked against."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, select

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.port import State
from komeet.store.ledger_rows import names_of
from komeet.store.tables import USAGE_COLUMNS, holds, keys, open_holds, outcomes

By = Literal["key", "model", "day", "tag", "provider"]

_DAY_MS = 86_400_000


class UsageRow(Struct, frozen=True, kw_only=True):
    """The sums of some attempts."""

    name: str
    """What they have in common: a key's name, `provider/model`, a day (UTC), a tag (empty: none), a provider."""
    key_id: str = ""
    """Only by key: names need not be unique."""
    calls: int = 0
    """Attempts that are settled, and orphans."""
    voided: int = 0
    """Attempts that cost nothing, since nothing was sent or the provider refused; in no other number."""
    usage: Usage = Usage()
    cost: Nano = Nano(0)
    estimated: int = 0
    """Calls whose tokens were counted here."""
    unpriced: int = 0
    """Calls that cost something which is not known; it is not in `cost`."""
    orphans: int = 0
    """Calls that were sent and whose cost is not known; what may have been billed is in `held`."""
    overrun: Nano = Nano(0)
    """How much of the cost lies above what was reserved."""
    held: Nano = Nano(0)
    """Reserved at this moment: calls in flight, and orphans."""


class UsageReport(Struct, frozen=True, kw_only=True):
    """The rows, and the sum of all attempts: each counts once there, however many tags it has."""

    by: By
    rows: tuple[UsageRow, ...]
    total: UsageRow


def report_usage(engine: Engine, by: By, since: int | None = None, until: int | None = None) -> UsageReport:
    """Return what was used, the dearest first (by day: the earliest first).

    Args:
        engine: of the ledger.
        by: what the rows have in common. By tag, an attempt counts in each of its tags' rows.
        since: Unix milliseconds, inclusive: when attempts ended, or for those in flight when they began.
        until: Unix milliseconds, exclusive.
    """
    with engine.connect() as connection, connection.begin():
        sums = _sums(connection, by, since, until)
        names: Mapping[str, str] = _key_names(connection) if by == "key" else {}
    groups: defaultdict[str, list[dict[str, int]]] = defaultdict(list)
    for group, numbers in sums:
        for name in _names(by, group):
            groups[name].append(numbers)
    rows = [_row(names.get(name, name), name if by == "key" else "", numbers) for name, numbers in groups.items()]
    order: Callable[[UsageRow], tuple[Any, ...]] = (
        (lambda row: (row.name,)) if by == "day" else (lambda row: (-row.cost, -row.calls, row.name, row.key_id))
    )
    total = _row("total", "", [numbers for _, numbers in sums])
    return UsageReport(by=by, rows=tuple(sorted(rows, key=order)), total=total)


def _sums(connection: Connection, by: By, since: int | None, until: int | None) -> list[tuple[str, dict[str, int]]]:
    """Sum in the database, by what the rows have in common (by tag: by the whole list of tags)."""
    settled = outcomes.c.state == State.SETTLED.value
    voided = outcomes.c.state == State.VOIDED.value
    orphan = outcomes.c.state == State.ORPHAN.value
    ended = select(
        _group(by, outcomes.c.ended_at),
        _count(settled | orphan).label("calls"),
        _count(voided).label("voided"),
        _count(outcomes.c.estimated & settled).label("estimated"),
        _count(outcomes.c.unpriced & settled).label("unpriced"),
        _count(orphan).label("orphans"),
        *(func.sum(outcomes.c[name]).label(name) for name in ("cost", "overrun", *USAGE_COLUMNS)),
    ).join_from(outcomes, holds, holds.c.attempt_id == outcomes.c.attempt_id)
    held = select(_group(by, holds.c.held_at), func.sum(holds.c.amount).label("held")).join_from(
        open_holds, holds, holds.c.attempt_id == open_holds.c.attempt_id
    )
    return [
        *_grouped(connection, _within(ended, outcomes.c.ended_at, since, until)),
        *_grouped(connection, _within(held, holds.c.held_at, since, until)),
    ]


def _group(by: By, at: ColumnElement[int]) -> ColumnElement[Any]:
    match by:
        case "key":
            group = holds.c.key_id
        case "model":
            group = holds.c.provider + "/" + holds.c.model
        case "day":
            group = at // _DAY_MS
        case "tag":
            group = holds.c.tags
        case "provider":
            group = holds.c.provider
    return group.label("common")


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _within(
    chosen: Select[*tuple[Any, ...]], at: ColumnElement[int], since: int | None, until: int | None
) -> Select[*tuple[Any, ...]]:
    if since is not None:
        chosen = chosen.where(at >= since)
    if until is not None:
        chosen = chosen.where(at < until)
    return chosen.group_by("common")


def _grouped(connection: Connection, chosen: Select[*tuple[Any, ...]]) -> Iterable[tuple[str, dict[str, int]]]:
    for row in connection.execute(chosen).mappings():
        yield str(row["common"]), {name: int(number) for name, number in row.items() if name != "common"}


def _names(by: By, group: str) -> tuple[str, ...]:
    match by:
        case "tag":
            return names_of(group) or ("",)
        case "day":
            return (datetime.fromtimestamp(int(group) * _DAY_MS // 1000, UTC).date().isoformat(),)
        case _:
            return (group,)


def _key_names(connection: Connection) -> Mapping[str, str]:
    return {row.id: row.name for row in connection.execute(select(keys.c.id, keys.c.name))}


def _row(name: str, key_id: str, parts: Iterable[Mapping[str, int]]) -> UsageRow:
    numbers: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for field, number in part.items():
            numbers[field] += number
    usage = Usage(
        **{field: numbers[column] for field, column in zip(Usage.__struct_fields__, USAGE_COLUMNS, strict=True)}
    )
    return UsageRow(
        name=name,
        key_id=key_id,
        calls=numbers["calls"],
        voided=numbers["voided"],
        usage=usage,
        cost=Nano(numbers["cost"]),
        estimated=numbers["estimated"],
        unpriced=numbers["unpriced"],
        orphans=numbers["orphans"],
        overrun=Nano(numbers["overrun"]),
        held=Nano(numbers["held"]),
    )
