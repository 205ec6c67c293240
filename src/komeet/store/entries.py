"""The rows of entries: what is posted besides calls, each with its balances, windows and sums in one transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from msgspec import Struct
from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from komeet.core.clock import Clock
from komeet.core.money import Nano
from komeet.ledger.accounts import Kind
from komeet.ledger.audit import Uncertain
from komeet.ledger.budget import Window
from komeet.ledger.entries import Attempt, Books, Effect, Entry, EntryError, EntryKind, Note, correct, resolve
from komeet.ledger.port import State
from komeet.store.errors import StoreError
from komeet.store.hours import add_to_hour
from komeet.store.keys import Owner
from komeet.store.ledger_rows import add_windows, ended_of, hold_of
from komeet.store.tables import (
    accounts,
    budget_windows,
    entries,
    holds,
    keys,
    open_holds,
    outcomes,
    postings,
    uncertain,
)
from komeet.store.transactions import in_order, writing


class Amounts(Struct, frozen=True):
    """What an attempt comes to in all."""

    cost: Nano
    charge: Nano


Deciding = Callable[[Attempt], Amounts]
"""Says what an attempt is to come to, from what it comes to now."""


def resolve_attempt(engine: Engine, attempt: str, decide: Deciding, note: Note) -> Entry:
    """Resolve an orphan: release what it held, and post what it cost.

    Args:
        engine: of the ledger.
        attempt: its id.
        decide: what it comes to; may raise StoreError.
        note: why, by whom, when.

    Raises:
        StoreError: there is no such attempt, or it is no orphan, or has been resolved.
    """
    with writing(engine) as connection:
        found = lock_attempt(connection, attempt)
        amounts = decide(found)
        try:
            effect = resolve(found, books_of(connection, found), amounts.cost, amounts.charge, note)
        except EntryError as error:
            raise StoreError(str(error)) from None
        is_orphan = (open_holds.c.attempt_id == attempt) & open_holds.c.orphan
        if connection.execute(delete(open_holds).where(is_orphan)).rowcount != 1:
            raise StoreError(f"{attempt} is not listed as an orphan; see `komeet ledger audit`.")
        return write_effect(connection, effect)


def correct_attempt(
    engine: Engine, attempt: str, decide: Deciding, note: Note, kind: EntryKind = EntryKind.CORRECTION
) -> Entry | None:
    """Enter what makes an attempt come to what `decide` says; None where it does already.

    Raises:
        StoreError: there is no such attempt, or it has not ended, or is an orphan that is to be resolved first.
    """
    with writing(engine) as connection:
        found = lock_attempt(connection, attempt)
        amounts = decide(found)
        try:
            effect = correct(found, books_of(connection, found), amounts.cost, amounts.charge, note, kind)
        except EntryError as error:
            raise StoreError(str(error)) from None
        return None if effect is None else write_effect(connection, effect)


def lock_attempt(connection: Connection, attempt: str) -> Attempt:
    """Return an attempt with its entries; nobody else enters anything about it until the transaction ends.

    Raises:
        StoreError: it is not known, or has not ended.
    """
    in_order(connection)  # of accounts and windows it touches several, as the transactions of calls do
    hold = connection.execute(select(holds).where(holds.c.attempt_id == attempt)).mappings().first()
    if hold is None:
        raise StoreError(f"There is no attempt {attempt!r}; `komeet ledger show` takes the id of a request, too.")
    locking = select(outcomes).where(outcomes.c.attempt_id == attempt).with_for_update()
    outcome = connection.execute(locking).mappings().first()
    if outcome is None:
        raise StoreError(f"{attempt} is still under way: what ends it is on its way, or the next start finds it.")
    about = select(entries).where(entries.c.attempt_id == attempt).order_by(entries.c.id)
    known = tuple(entry_of(row) for row in connection.execute(about).mappings())
    return Attempt(hold=hold_of(hold), ended=ended_of(outcome), entries=known)


def books_of(connection: Connection, attempt: Attempt) -> Books:
    """Return the accounts that an entry about an attempt needs; both were made when the attempt ended."""
    wanted = select(accounts.c.kind, accounts.c.id).where(
        ((accounts.c.kind == Kind.PROVIDER.value) & (accounts.c.name == attempt.hold.provider))
        | (accounts.c.kind == Kind.MARGIN.value)
    )
    found = {row.kind: row.id for row in connection.execute(wanted)}
    return Books(found[Kind.PROVIDER.value], found[Kind.MARGIN.value])


def write_effect(connection: Connection, effect: Effect) -> Entry:
    """Write an entry and all that follows from it; in a write transaction. Returns it with its id."""
    entry = effect.entry
    added = connection.execute(
        insert(entries).values(
            kind=entry.kind.value,
            attempt_id=entry.attempt_id,
            reference=entry.reference,
            cost=entry.cost,
            charge=entry.charge,
            reason=entry.reason,
            actor=entry.actor,
            created_at=entry.created_at,
        )
    ).inserted_primary_key
    assert added is not None
    number = int(added[0])
    rows = [
        {"entry_id": number, "account_id": account, "leg": leg.value, "amount": amount, "posted_at": entry.created_at}
        for account, leg, amount in effect.legs
    ]
    if rows:
        connection.execute(insert(postings), rows)
    for account, change in effect.changes.items():
        moved = {"posted": accounts.c.posted + change.posted, "held": accounts.c.held + change.held}
        connection.execute(update(accounts).where(accounts.c.id == account).values(moved))
    add_windows(connection, effect.windows)
    for window, moves in effect.windows.items():
        move_window(connection, window, posted=moves.posted, held=moves.held)
    if entry.attempt_id is not None and (entry.cost or entry.charge):
        add_to_hour(connection, entry.attempt_id, entry.created_at, cost=entry.cost, charge=entry.charge)
    return Entry(
        id=number,
        kind=entry.kind,
        attempt_id=entry.attempt_id,
        reference=entry.reference,
        cost=entry.cost,
        charge=entry.charge,
        reason=entry.reason,
        actor=entry.actor,
        created_at=entry.created_at,
    )


def move_window(connection: Connection, window: Window, *, posted: int, held: int) -> None:
    """Add to what is spent and held in a window that has a row; in a write transaction."""
    moved = {"posted": budget_windows.c.posted + posted, "held": budget_windows.c.held + held}
    one = (budget_windows.c.budget_id == window.budget) & (budget_windows.c.starts_at == window.starts_at)
    connection.execute(update(budget_windows).where(one).values(moved))


def find_entries(connection: Connection) -> list[Entry]:
    """Return all entries, oldest first."""
    return [entry_of(row) for row in connection.execute(select(entries).order_by(entries.c.id)).mappings()]


def entry_of(row: RowMapping) -> Entry:
    """Return the entry of a row of `entries`."""
    return Entry(
        id=row["id"],
        kind=EntryKind(row["kind"]),
        attempt_id=row["attempt_id"],
        reference=row["reference"],
        cost=Nano(row["cost"]),
        charge=Nano(row["charge"]),
        reason=row["reason"],
        actor=row["actor"],
        created_at=row["created_at"],
    )


def settled_between(connection: Connection, first: int, last: int | None) -> Iterator[tuple[Attempt, Owner]]:
    """Yield the attempts that were settled in a time, with whose they are, in the order in which they were held.

    Args:
        connection: in a transaction.
        first: Unix milliseconds.
        last: exclusive; None: until now.
    """
    chosen = (
        select(
            holds,
            *(column.label(f"outcome_{column.name}") for column in outcomes.c),
            keys.c.organisation_id,
            keys.c.project_id,
            keys.c.user_id,
        )
        .join_from(outcomes, holds, holds.c.attempt_id == outcomes.c.attempt_id)
        .join(keys, keys.c.id == holds.c.key_id)
        .where(outcomes.c.ended_at >= first, outcomes.c.state == State.SETTLED.value)
        .order_by(holds.c.held_at, holds.c.attempt_id)
    )
    if last is not None:
        chosen = chosen.where(outcomes.c.ended_at < last)
    about: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in find_entries(connection):
        about[entry.attempt_id or ""].append(entry)
    for row in connection.execute(chosen.execution_options(yield_per=1000)).mappings():
        ended = cast("RowMapping", {column.name: row[f"outcome_{column.name}"] for column in outcomes.c})
        yield (
            Attempt(hold=hold_of(row), ended=ended_of(ended), entries=tuple(about.get(row["attempt_id"], ()))),
            Owner(row["organisation_id"], row["project_id"], row["user_id"]),
        )


class Orphan(Struct, frozen=True, kw_only=True):
    """An attempt that was sent and whose cost nobody knows."""

    attempt_id: str
    request_id: str
    key_id: str
    provider: str
    model: str
    held: Nano
    """The most that it may have cost; held until it is resolved."""
    charge: Nano
    """The most that the customer may be charged."""
    reason: str
    ended_at: int
    """Unix milliseconds."""


def find_orphans(engine: Engine) -> list[Orphan]:
    """Return the orphans that nobody has resolved, oldest first."""
    chosen = (
        select(holds, outcomes.c.reason, outcomes.c.ended_at)
        .join(outcomes, outcomes.c.attempt_id == holds.c.attempt_id)
        .where(holds.c.attempt_id.in_(select(open_holds.c.attempt_id).where(open_holds.c.orphan)))
    )
    with engine.connect() as connection:  # joined or ordered by SQL, SQLite would read all holds to find the few
        found = [
            Orphan(
                attempt_id=row["attempt_id"],
                request_id=row["request_id"],
                key_id=row["key_id"],
                provider=row["provider"],
                model=row["model"],
                held=Nano(row["amount"]),
                charge=Nano(row["charge"]),
                reason=row["reason"],
                ended_at=row["ended_at"],
            )
            for row in connection.execute(chosen).mappings()
        ]
    return sorted(found, key=lambda orphan: (orphan.ended_at, orphan.attempt_id))


class UncertainLease(Struct, frozen=True, kw_only=True):
    """What a process had leased of a budget when the end of its journal may have been lost."""

    id: int
    session: str
    lease: Uncertain
    noted_at: int
    """Unix milliseconds."""
    resolved_at: int | None


def find_uncertain(connection: Connection) -> list[UncertainLease]:
    """Return all of them, resolved ones too, oldest first."""
    return [_lease(row) for row in connection.execute(select(uncertain).order_by(uncertain.c.id)).mappings()]


def uncertain_leases(engine: Engine) -> Sequence[UncertainLease]:
    """Return those that nobody has resolved, oldest first."""
    with engine.connect() as connection:
        return [one for one in find_uncertain(connection) if one.resolved_at is None]


def resolve_uncertain(engine: Engine, clock: Clock, number: int, spent: Nano) -> UncertainLease:
    """Say what was spent of an uncertain lease: that counts as spent of its budget, and the rest is free again.

    Args:
        engine: of the ledger.
        clock: says when it was resolved.
        number: its id.
        spent: nano-dollars, as the provider bills it or the customer is charged, whichever the budget counts.

    Raises:
        StoreError: there is none, or it has been resolved.
    """
    with writing(engine) as connection:
        in_order(connection)
        locking = select(uncertain).where(uncertain.c.id == number).with_for_update()
        row = connection.execute(locking).mappings().first()
        if row is None or row["resolved_at"] is not None:
            what = f"There is no uncertain lease {number}" if row is None else f"{number} has been resolved"
            raise StoreError(f"{what}; `komeet ledger uncertain` lists those that there are.")
        done = {"resolved_at": clock.unix_ms(), "spent": spent}
        connection.execute(update(uncertain).where(uncertain.c.id == number).values(done))
        window = Window(row["budget_id"], row["starts_at"])
        move_window(connection, window, posted=spent, held=-row["amount"])
        return next(one for one in find_uncertain(connection) if one.id == number)


def _lease(row: RowMapping) -> UncertainLease:
    spent = row["spent"]
    window = Window(row["budget_id"], row["starts_at"])
    return UncertainLease(
        id=row["id"],
        session=row["session"],
        lease=Uncertain(window, Nano(row["amount"]), None if spent is None else Nano(spent)),
        noted_at=row["noted_at"],
        resolved_at=row["resolved_at"],
    )
