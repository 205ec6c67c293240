"""Reads a ledger's rows in portions and compares what follows from them with the balances that are kept."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from sqlalchemy import Connection, bindparam, select

from komeet.ledger.accounts import Kind, Leg
from komeet.ledger.budget import Window, window_of
from komeet.ledger.derive import Cause, Derivation, Multiset, PostedLeg, chain_of, shares_of
from komeet.store.tables import (
    accounts,
    budget_windows,
    entries,
    holds,
    leases,
    open_holds,
    outcomes,
    postings,
    uncertain,
)

_NEAR: Final = 50_000
"""Within so many ids stand the postings of one cause: they are written together."""

_PORTION: Final = (
    select(
        postings.c.id,
        postings.c.attempt_id,
        postings.c.entry_id,
        postings.c.account_id,
        postings.c.leg,
        postings.c.amount,
    )
    .where(postings.c.id > bindparam("after"), postings.c.id <= bindparam("until"))
    .order_by(postings.c.id)
    .limit(bindparam("most"))
)
_ATTEMPTS: Final = (
    select(
        holds.c.attempt_id, holds.c.accounts, holds.c.provider, holds.c.shares, outcomes.c.cost, outcomes.c.charge
    )
    .join(outcomes, outcomes.c.attempt_id == holds.c.attempt_id)
    .where(outcomes.c.attempt_id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip
_ENTRIES: Final = (
    select(entries.c.id, holds.c.accounts, holds.c.provider, holds.c.shares, entries.c.cost, entries.c.charge)
    .outerjoin(holds, holds.c.attempt_id == entries.c.attempt_id)
    .where(entries.c.id.in_(bindparam("ids", expanding=True)))
)
_NEARBY: Final = select(postings.c.account_id, postings.c.leg, postings.c.amount).where(
    postings.c.id > bindparam("after"), postings.c.id < bindparam("before")
)
_AT_ONCE: Final = 900
"""Ids in one question."""

CauseId = tuple[str | None, int | None]
"""The attempt, or else the entry."""


@final
class Rederivation:
    """What follows from the postings up to `at`; the rest is read for each comparison."""

    def __init__(self, connection: Connection) -> None:
        """Begin before the first posting."""
        self.at = 0
        self.faults: list[str] = []
        """What is wrong with postings up to `at`, a line each."""
        self._providers: dict[str, int] = {}
        margin = self._learn(connection)
        self.derived = Derivation(margin)

    def _learn(self, connection: Connection) -> int:
        wanted = select(accounts.c.kind, accounts.c.name, accounts.c.id)
        rows = connection.execute(wanted.where(accounts.c.kind.in_((Kind.PROVIDER.value, Kind.MARGIN.value)))).all()
        self._providers = {row.name: row.id for row in rows if row.kind == Kind.PROVIDER.value}
        return next((row.id for row in rows if row.kind == Kind.MARGIN.value), 0)

    def advance(self, connection: Connection, until: int, most: int, seen: Multiset | None = None) -> bool:
        """Count a portion of postings; whether there are more.

        Args:
            connection: in a transaction.
            until: the last id that is to be counted: none appears below it any more.
            most: postings of a portion.
            seen: is told of each.
        """
        last, count, faults = self._portion(connection, self.derived, self.at, until, most, seen)
        self.faults += faults
        self.at = max(last, until if count < most else last)
        return count == most

    def compare(self, connection: Connection) -> list[str]:
        """Return what is wrong, a line each, counting postings after `at` too; those are counted again the next time.

        Args:
            connection: in a transaction that sees one moment.
        """
        derived, wrong, after = self.derived.copy(), list(self.faults), self.at
        while True:
            after, count, faults = self._portion(connection, derived, after, 2**62, 5_000, None)
            wrong += faults
            if count < 5_000:
                break
        held, windows_held, in_flight = _open(connection)
        wrong += _accounts(connection, derived, held)
        return wrong + _windows(connection, derived, windows_held, in_flight)

    def cause(self, name: str, row: Any) -> Cause:
        """Return the cause of a row with accounts, provider, shares, cost and charge; a credit has no accounts."""
        if row.accounts is None:
            return Cause(name, (), 0, 0, row.charge, ())
        provider = self._providers.get(row.provider, 0)
        return Cause(name, chain_of(row.accounts), provider, row.cost, row.charge, shares_of(row.shares))

    def _portion(
        self, connection: Connection, derived: Derivation, after: int, until: int, most: int, seen: Multiset | None
    ) -> tuple[int, int, list[str]]:
        """Count a portion; returns its last id, how many postings it has, and what is wrong with it."""
        rows = connection.execute(_PORTION, {"after": after, "until": until, "most": most}).all()
        groups: defaultdict[CauseId, list[PostedLeg]] = defaultdict(list)
        for row in rows:
            cause_id = (row.attempt_id, None) if row.entry_id is None else (None, row.entry_id)
            groups[cause_id].append((row.account_id, Leg(row.leg), row.amount))
        causes = self._causes(connection, groups)
        faults: list[str] = []
        for cause_id, posted in groups.items():
            cause = causes.get(cause_id)
            if cause is None:
                derived.add(posted, ())
                faults.append(f"{_name(cause_id)}: postings without an outcome or an entry")
                continue
            derived.add(posted, cause.shares)
            if seen is not None:
                seen.add(cause, posted)
            if not derived.agrees(cause, posted):
                nearby = self._nearby(connection, cause_id, rows[0].id, rows[-1].id)
                if not derived.agrees(cause, nearby):
                    faults.append(f"{cause.name}: its postings are not those of its cost and charge")
        return (rows[-1].id if rows else after), len(rows), faults

    def _causes(self, connection: Connection, groups: dict[CauseId, Any]) -> dict[CauseId, Cause]:
        attempts = [attempt for attempt, _ in groups if attempt is not None]
        numbers = [entry for _, entry in groups if entry is not None]
        found: dict[CauseId, Cause] = {}
        for ids in _portions(attempts):
            for row in connection.execute(_ATTEMPTS, {"ids": ids}):
                found[row.attempt_id, None] = self._known(connection, row.attempt_id, row)
        for ids in _portions(numbers):
            for row in connection.execute(_ENTRIES, {"ids": ids}):
                found[None, row.id] = self._known(connection, f"entry {row.id}", row)
        return found

    def _known(self, connection: Connection, name: str, row: Any) -> Cause:
        """Accounts of providers are made when they are first called."""
        if row.accounts is not None and row.provider not in self._providers:
            self.derived.margin = self._learn(connection)
        return self.cause(name, row)

    def _nearby(self, connection: Connection, cause_id: CauseId, first: int, last: int) -> list[PostedLeg]:
        """All postings of a cause of which the portion may have a part only."""
        attempt, entry = cause_id
        is_it = postings.c.attempt_id == attempt if entry is None else postings.c.entry_id == entry
        rows = connection.execute(_NEARBY.where(is_it), {"after": first - _NEAR, "before": last + _NEAR})
        return [(row.account_id, Leg(row.leg), row.amount) for row in rows]


def _portions(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _name(cause_id: CauseId) -> str:
    attempt, entry = cause_id
    return f"entry {entry}" if attempt is None else attempt


def _open(connection: Connection) -> tuple[dict[int, int], dict[Window, int], dict[Window, int]]:
    """What open holds hold: of accounts; orphans of windows; calls in flight of windows."""
    held: defaultdict[int, int] = defaultdict(int)
    orphans: defaultdict[Window, int] = defaultdict(int)
    in_flight: defaultdict[Window, int] = defaultdict(int)
    chosen = select(holds.c.accounts, holds.c.charge, holds.c.shares, open_holds.c.orphan).join_from(
        open_holds, holds, holds.c.attempt_id == open_holds.c.attempt_id
    )
    for row in connection.execution_options(yield_per=1_000).execute(chosen):
        for account in chain_of(row.accounts):
            held[account] += row.charge
        for share in shares_of(row.shares):
            if share.hard:
                (orphans if row.orphan else in_flight)[window_of(share)] += share.amount
    return held, orphans, in_flight


def _accounts(connection: Connection, derived: Derivation, held: dict[int, int]) -> list[str]:
    wrong: list[str] = []
    kept = {row.id: row for row in connection.execute(select(accounts))}
    for account in sorted({*kept, *derived.posted, *held}):
        row, posted, holding = kept.get(account), derived.posted.get(account, 0), held.get(account, 0)
        if row is None:
            if posted or holding:
                wrong.append(f"account {account}: it is missing, and its rows say posted {posted}, held {holding} n$")
        elif (row.posted, row.held) != (posted, holding):
            wrong.append(
                f"account {account} ({row.kind} {row.name}): posted {row.posted}, held {row.held} n$,"
                f" but its rows say posted {posted}, held {holding} n$"
            )
    return wrong


def _windows(
    connection: Connection, derived: Derivation, orphans: dict[Window, int], in_flight: dict[Window, int]
) -> list[str]:
    posted, held = dict(derived.windows), dict(orphans)
    for row in connection.execute(select(uncertain)):
        window = Window(row.budget_id, row.starts_at)
        numbers, amount = (held, row.amount) if row.resolved_at is None else (posted, row.spent or 0)
        numbers[window] = numbers.get(window, 0) + amount
    leased: defaultdict[Window, int] = defaultdict(int)
    for row in connection.execute(select(leases)):
        leased[Window(row.budget_id, row.starts_at)] += row.amount
    kept = {Window(row.budget_id, row.starts_at): row for row in connection.execute(select(budget_windows))}
    wrong: list[str] = []
    for window in sorted({*kept, *posted, *held, *leased}):
        row = kept.get(window)
        numbers = (0, 0, 0) if row is None else (row.posted, row.held, row.leased)
        wanted = (posted.get(window, 0), held.get(window, 0), leased.get(window, 0))
        name = f"budget {window.budget} from {window.starts_at}"
        if numbers != wanted:
            wrong.append(f"{name}: posted, held, leased are {_three(numbers)}, but its rows say {_three(wanted)}")
        if in_flight.get(window, 0) > wanted[2]:
            wrong.append(f"{name}: calls in flight hold {in_flight[window]} n$, but {wanted[2]} n$ are leased")
    return wrong


def _three(numbers: tuple[int, int, int]) -> str:
    return ", ".join(map(str, numbers)) + " n$"
