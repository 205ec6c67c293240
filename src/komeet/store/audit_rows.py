"""The attempts of a ledger one after the other, against everything that follows from them but balances."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from komeet.ledger.derive import Multiset
from komeet.ledger.entries import EntryKind
from komeet.ledger.free import FreeBook, Taken
from komeet.ledger.port import State
from komeet.store.free_rows import free_kept
from komeet.store.ledger_rows import free_of
from komeet.store.rederive import Rederivation
from komeet.store.tables import USAGE_COLUMNS, entries, holds, open_holds, outcomes, postings, usage_hours

_HOUR_MS: Final = 3_600_000
_AT_ONCE: Final = 5_000
_SUMS: Final = (
    "settled",
    "voided",
    "orphans",
    "estimated",
    "unpriced",
    "cost",
    "charge",
    "overrun",
    "free",
    *USAGE_COLUMNS,
)
_TAKEN: Final = ("cost", "charge", "overrun", "free", *USAGE_COLUMNS)

_ROWS: Final = (
    select(
        holds.c.attempt_id,
        holds.c.accounts,
        holds.c.provider,
        holds.c.shares,
        holds.c.free.label("allowed"),
        outcomes.c.free_tokens,
        open_holds.c.orphan,
        *(outcomes.c[name] for name in ("state", "estimated", "unpriced", "ended_at", *_TAKEN)),
    )
    .outerjoin_from(holds, outcomes, outcomes.c.attempt_id == holds.c.attempt_id)
    .outerjoin(open_holds, open_holds.c.attempt_id == holds.c.attempt_id)
    .where(holds.c.attempt_id > bindparam("after"))
    .order_by(holds.c.attempt_id)
    .limit(_AT_ONCE)
)


def check_attempts(connection: Connection, rederivation: Rederivation, posted: Multiset) -> Iterator[str]:
    """Return what is wrong, a line each.

    Each attempt is looked at once: whether it is listed as open as it should be, whether its postings are there, once
    (`posted` holds all that are), whether the sums by the hour are those of the attempts and corrections, and whether
    what is free is what allowances have given.

    Args:
        connection: in a transaction that sees one moment.
        rederivation: knows the accounts.
        posted: every posting that is there.
    """
    chosen = select(entries.c.attempt_id).where(entries.c.kind == EntryKind.RESOLUTION.value)
    resolved = set(connection.execute(chosen).scalars())
    expected, hours, free = Multiset(), _Hours(), FreeBook()
    after = ""
    while rows := connection.execute(_ROWS, {"after": after}).all():
        for row in rows:
            faults = [_listed(row, resolved)]
            if row.state is not None:
                hours.add(row)
                tokens = row.input_tokens + row.output_tokens
                taken = Taken(row.free, row.free_tokens)
                faults.append(free.add(free_of(row.allowed), row.charge, taken, tokens))
            for fault in filter(None, faults):
                yield f"{row.attempt_id}: {fault}"
            if row.state == State.SETTLED.value:
                cause = rederivation.cause(row.attempt_id, row)
                expected.add(cause, rederivation.derived.legs(cause))
        after = rows[-1].attempt_id
    for row in _entries(connection):
        cause = rederivation.cause(f"entry {row.id}", row)
        expected.add(cause, rederivation.derived.legs(cause))
        if row.attempt_id is not None:
            hours.correct(row)
    if not expected.is_like(posted):
        yield from _unpaired(connection, expected, posted)
    yield from hours.compare(connection)
    yield from free.compare(free_kept(connection))


def _listed(row: Any, resolved: set[Any]) -> str | None:
    is_open = row.state is None or (row.state == State.ORPHAN.value and row.attempt_id not in resolved)
    if is_open and row.orphan is None:
        return "holds something and is not listed as open"
    if not is_open and row.orphan is not None:
        return "is listed as open, and holds nothing"
    if is_open and bool(row.orphan) != (row.state is not None):
        return "is listed as in flight, and is an orphan" if row.state else "is listed as an orphan, and has no outcome"
    return None


def _entries(connection: Connection) -> Iterator[Any]:
    chosen = (
        select(
            entries.c.id, entries.c.attempt_id, entries.c.created_at, entries.c.cost, entries.c.charge,
            holds.c.accounts, holds.c.provider, holds.c.shares,
        )
        .outerjoin(holds, holds.c.attempt_id == entries.c.attempt_id)
        .order_by(entries.c.id)
    )  # fmt: skip
    yield from connection.execution_options(yield_per=1_000).execute(chosen)


def _unpaired(connection: Connection, expected: Multiset, posted: Multiset) -> Iterator[str]:
    """Find what is posted twice, or not at all: by sorting everything, since no index is kept for it."""
    of_attempts = postings.c.entry_id.is_(None)
    twice = (
        select(postings.c.attempt_id)
        .where(of_attempts)
        .group_by(postings.c.attempt_id, postings.c.account_id, postings.c.leg)
        .having(func.count() > 1)
        .order_by(postings.c.attempt_id)
        .limit(1)
    )
    there = select(postings.c.attempt_id).where(of_attempts)
    missing = (
        select(outcomes.c.attempt_id)
        .where((outcomes.c.cost != 0) | (outcomes.c.charge != 0))
        .except_(there)
        .order_by("attempt_id")
        .limit(1)
    )
    for what, chosen in (("is posted twice", twice), ("has no postings", missing)):
        name = connection.execute(chosen).scalar()
        if name is not None:
            yield f"{name}: {what}"
    yield f"{posted.count} postings are there, and {expected.count} follow from attempts and entries, or others do"


class _Hours:
    """The sums by the hour."""

    def __init__(self) -> None:
        self._sums: defaultdict[int, list[int]] = defaultdict(lambda: [0] * len(_SUMS))

    def add(self, row: Any) -> None:
        settled = row.state == State.SETTLED.value
        sums = self._sums[row.ended_at // _HOUR_MS * _HOUR_MS]
        sums[0] += settled
        sums[1] += row.state == State.VOIDED.value
        sums[2] += row.state == State.ORPHAN.value
        sums[3] += settled and bool(row.estimated)
        sums[4] += settled and bool(row.unpriced)
        for place, number in enumerate(row[-len(_TAKEN) :], 5):
            if number:
                sums[place] += number

    def correct(self, row: Any) -> None:
        if row.cost or row.charge:
            sums = self._sums[row.created_at // _HOUR_MS * _HOUR_MS]
            sums[5] += row.cost
            sums[6] += row.charge

    def compare(self, connection: Connection) -> Iterator[str]:
        columns = (func.sum(usage_hours.c[name]).label(name) for name in _SUMS)
        chosen = select(usage_hours.c.hour, *columns).group_by(usage_hours.c.hour)
        kept = {row[0]: [int(number) for number in row[1:]] for row in connection.execute(chosen)}
        nothing = [0] * len(_SUMS)
        for hour in sorted({*kept, *self._sums}):
            have, want = kept.get(hour, nothing), self._sums.get(hour, nothing)
            for name, one, other in zip(_SUMS, have, want, strict=True):
                if one != other:
                    yield f"usage_hours at {hour}: {name} is {one}, but its rows say {other}"
                    break
