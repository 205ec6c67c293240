"""The ledger's rows: one batch of records as one transaction, in a handful of statements however long it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, insert, not_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.accounts import Account, Ended, Kind, Leg, Posting
from komeet.ledger.budget import Window
from komeet.ledger.decide import Command, Decision, decide
from komeet.ledger.port import Hold, Outcome, Share, State
from komeet.store.bulk import Bulk
from komeet.store.tables import (
    USAGE_COLUMNS,
    accounts,
    budget_windows,
    budgets,
    epochs,
    holds,
    leases,
    open_holds,
    outcomes,
    postings,
    usage_hours,
)
from komeet.store.transactions import in_order

_FIND_OPEN = (
    select(holds)
    .join(open_holds, open_holds.c.attempt_id == holds.c.attempt_id)
    .where(open_holds.c.attempt_id.in_(bindparam("attempts", expanding=True)), open_holds.c.orphan.is_(False))
)
_FIND_ACCOUNTS = select(accounts.c.kind, accounts.c.name, accounts.c.id).where(
    accounts.c.kind.in_((Kind.PROVIDER.value, Kind.MARGIN.value)),
    accounts.c.name.in_(bindparam("names", expanding=True)),
)
_ADD_ACCOUNT = insert(accounts)
_ADD_HOLD = Bulk(insert(holds), *(column.name for column in holds.c))
_ADD_OPEN = Bulk(insert(open_holds), "attempt_id", "orphan", "session")
_ADD_OUTCOME = Bulk(insert(outcomes), *(column.name for column in outcomes.c))
_ADD_POSTING = Bulk(insert(postings), "attempt_id", "account_id", "leg", "amount", "posted_at")
_IS_OPEN = and_(open_holds.c.attempt_id == bindparam("attempt"), not_(open_holds.c.orphan))
_RELEASE = Bulk(delete(open_holds).where(_IS_OPEN), "attempt")
_ORPHAN = Bulk(update(open_holds).where(_IS_OPEN).values(orphan=true()), "attempt")
_MOVE = Bulk(
    update(accounts)
    .where(accounts.c.id == bindparam("account"))
    .values(posted=accounts.c.posted + bindparam("more_posted"), held=accounts.c.held + bindparam("more_held")),
    "more_posted",
    "more_held",
    "account",
)
_MOVE_WINDOW = Bulk(
    update(budget_windows)
    .where(budget_windows.c.budget_id == bindparam("budget"), budget_windows.c.starts_at == bindparam("start"))
    .values(
        posted=budget_windows.c.posted + bindparam("more_posted"),
        held=budget_windows.c.held + bindparam("more_held"),
        leased=budget_windows.c.leased + bindparam("more_leased"),
    ),
    "more_posted",
    "more_held",
    "more_leased",
    "budget",
    "start",
)
_MOVE_LEASE = Bulk(
    update(leases)
    .where(
        leases.c.session == bindparam("whose"),
        leases.c.budget_id == bindparam("budget"),
        leases.c.starts_at == bindparam("start"),
    )
    .values(amount=leases.c.amount + bindparam("more")),
    "more",
    "whose",
    "budget",
    "start",
)
_BLOCK = Bulk(update(budgets).where(budgets.c.id == bindparam("budget")).values(blocked=true()), "budget")
_HOUR_MS = 3_600_000
_HOUR_KEYS = ("hour", "key_id", "provider", "model", "tags")
_HOUR_SUMS = tuple(column.name for column in usage_hours.c if column.name not in _HOUR_KEYS)


def _add_hour(dialect: Any) -> Bulk:
    added = dialect.insert(usage_hours)
    sums = {name: usage_hours.c[name] + added.excluded[name] for name in _HOUR_SUMS}
    return Bulk(
        added.on_conflict_do_update(index_elements=list(_HOUR_KEYS), set_=sums),
        *(column.name for column in usage_hours.c),
    )


_ADD_HOUR = {"sqlite": _add_hour(sqlite), "postgresql": _add_hour(postgresql)}
_ADD_WINDOW = {
    name: dialect.insert(budget_windows).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_MARGIN = "margin"


class Memory(Struct):
    """What a writer of the ledger remembers between transactions, so that it need not ask the database again."""

    providers: dict[str, int] = {}
    """The accounts of providers, by name; they never change."""
    margin: int | None = None
    """The account of margins."""
    windows: set[Window] = set()
    """Windows that have a row."""
    open_holds: dict[str, Hold] = {}
    """Its own holds without an outcome, as far as it knows; those that are not here are looked up."""

    def learn(self, applied: "Applied") -> None:
        """Take in what a transaction did, now that it is committed."""
        self.providers.update(applied.providers)
        self.margin = applied.margin
        self.windows.update(applied.decision.windows)
        self.open_holds.update((hold.attempt_id, hold) for hold in applied.decision.holds)
        for end in applied.decision.ended:
            self.open_holds.pop(end.outcome.attempt_id, None)

    def forget(self) -> None:
        """Forget everything: after a transaction of which nobody knows whether it was committed."""
        self.providers.clear()
        self.margin = None
        self.windows.clear()
        self.open_holds.clear()


class Outdated(Exception):
    """Another process has ended a hold that the memory takes for open: nothing is to be committed."""


class Applied(Struct, frozen=True):
    """What a transaction did, to be believed once it is committed."""

    decision: Decision
    providers: Mapping[str, int]
    """The accounts of the providers that the records name."""
    margin: int


def apply(
    connection: Connection, commands: Sequence[Command], memory: Memory, session: str = "", *, replayed: bool = False
) -> Applied:
    """Decide what the records do, and write what follows from them.

    What is remembered is proved by the writing itself, which finds each hold that it ends still open.

    Args:
        connection: in a write transaction.
        commands: in the order in which they happened.
        memory: is read only.
        session: names the process whose records these are, for the holds and the leases.
        replayed: whether that process has ended, and the database may have forgotten leases that the records prove.

    Raises:
        Outdated: roll back, and apply the records again without the memory.
    """
    new = {command.attempt_id: command for command in commands if isinstance(command, Hold)}
    ending = {c.attempt_id for c in commands if isinstance(c, Outcome)} - new.keys()
    ended = _open(connection, ending, memory.open_holds)
    names = {hold.provider for hold in (*new.values(), *ended.values())}
    providers, margin = _accounts(connection, names, memory)
    decision = decide(commands, ended, providers, margin)
    if replayed:
        _remember_leases(connection, decision, session)
    _write(connection, decision, memory, session)
    return Applied(decision, providers, margin)


def _open(connection: Connection, attempts: set[str], known: Mapping[str, Hold]) -> dict[str, Hold]:
    found = {attempt: known[attempt] for attempt in attempts if attempt in known}
    if len(found) < len(attempts):
        rows = connection.execute(_FIND_OPEN, {"attempts": list(attempts - found.keys())})
        found.update((hold.attempt_id, hold) for hold in map(hold_of, rows.mappings()))
    return found


def _accounts(connection: Connection, names: set[str], memory: Memory) -> tuple[dict[str, int], int]:
    """The accounts of providers, made where they are not there yet, and that of margins."""
    found = {name: memory.providers[name] for name in names if name in memory.providers}
    if len(found) == len(names) and memory.margin is not None:
        return found, memory.margin
    rows = connection.execute(_FIND_ACCOUNTS, {"names": [*names, _MARGIN]}).all()
    found.update((row.name, row.id) for row in rows if row.kind == Kind.PROVIDER)
    for name in sorted(names - found.keys()):
        added = connection.execute(_ADD_ACCOUNT, {"kind": Kind.PROVIDER.value, "name": name}).inserted_primary_key
        assert added is not None
        found[name] = added[0]
    return found, next(row.id for row in rows if row.kind == Kind.MARGIN)


def add_windows(connection: Connection, windows: Iterable[Window]) -> None:
    """Make rows of windows that have none; somebody else may do so at the same time."""
    rows = [
        {"budget_id": window.budget, "starts_at": window.starts_at, "posted": 0, "held": 0, "leased": 0, "recall": 0}
        for window in sorted(windows)
    ]
    if rows:
        connection.execute(_ADD_WINDOW[connection.dialect.name], rows)


def _write(connection: Connection, decision: Decision, memory: Memory, session: str) -> None:
    states = {end.outcome.attempt_id: end.outcome.state for end in decision.ended}
    added = {hold.attempt_id for hold in decision.holds}
    _close(connection, _RELEASE, [a for a, state in states.items() if state is not State.ORPHAN and a not in added])
    _close(connection, _ORPHAN, [a for a, state in states.items() if state is State.ORPHAN and a not in added])
    _ADD_HOLD.run(connection, [_hold_row(hold) for hold in decision.holds])
    _ADD_OPEN.run(
        connection,
        [
            (hold.attempt_id, hold.attempt_id in states, session)
            for hold in decision.holds
            if states.get(hold.attempt_id) in (None, State.ORPHAN)
        ],
    )
    _ADD_OUTCOME.run(connection, [_outcome_row(end) for end in decision.ended])
    _ADD_POSTING.run(
        connection, [(p.attempt_id, p.account, p.leg.value, p.amount, p.posted_at) for p in decision.postings]
    )
    _MOVE.run(connection, [(change.posted, change.held, account) for account, change in decision.changes.items()])
    _write_windows(connection, decision, memory, session)
    _ADD_HOUR[connection.dialect.name].run(connection, _hour_rows(decision))


def _remember_leases(connection: Connection, decision: Decision, session: str) -> None:
    """Lease what the records take of leases that are not there, or not as large: who had leased it is known by that.

    Where commits do not wait for the disk, a loss of power takes the last ones, and may leave the journal.
    """
    taken = {window: -change.leased for window, change in decision.windows.items() if change.leased < 0}
    known = {
        Window(row.budget_id, row.starts_at): row.amount
        for row in connection.execute(select(leases).where(leases.c.session == session))
    }
    missing = {window: amount - known.get(window, 0) for window, amount in sorted(taken.items())}
    missing = {window: amount for window, amount in missing.items() if amount > 0}
    add_windows(connection, missing)
    for window in missing.keys() - known.keys():
        row = {"session": session, "budget_id": window.budget, "starts_at": window.starts_at}
        connection.execute(insert(leases), row | {"amount": 0, "answered": 0})
    _MOVE_WINDOW.run(connection, [(0, 0, amount, *window) for window, amount in missing.items()])
    _MOVE_LEASE.run(connection, [(amount, session, *window) for window, amount in missing.items()])


def _write_windows(connection: Connection, decision: Decision, memory: Memory, session: str) -> None:
    if not decision.windows:
        return
    add_windows(connection, decision.windows.keys() - memory.windows)
    changes = decision.windows.items()
    _MOVE_WINDOW.run(connection, [(change.posted, change.held, change.leased, *window) for window, change in changes])
    leased = [(change.leased, session, *window) for window, change in changes if change.leased]
    if _MOVE_LEASE.run(connection, leased) != len(leased):
        raise Outdated  # the lease was taken back: this process was given up for dead
    blocked = sorted({budget for overrun in decision.overruns for budget in overrun.blocked})
    if _BLOCK.run(connection, [(budget,) for budget in blocked]):
        bump(connection, "budgets")


def bump(connection: Connection, name: str) -> None:
    """Raise the counter by which others see that something has changed: before what has changed is written.

    Budgets are of the ledger: whoever changes them takes turns with its transactions.
    """
    if name == "budgets":
        in_order(connection)
    connection.execute(update(epochs).where(epochs.c.name == name).values(epoch=epochs.c.epoch + 1))


def _close(connection: Connection, how: Bulk, attempts: Sequence[str]) -> None:
    """Before anything else is written: were one of them not open any more, nothing would be right."""
    if how.run(connection, [(attempt,) for attempt in attempts]) != len(attempts):
        raise Outdated


def _hour_rows(decision: Decision) -> list[tuple[Any, ...]]:
    """In the order of the table's columns, and of its key, so that two writers take the rows in one order."""
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(_HOUR_SUMS))
    for end, hold in zip(decision.ended, decision.ended_holds, strict=True):
        outcome = end.outcome
        hour = outcome.ended_at // _HOUR_MS * _HOUR_MS
        numbers = sums[hour, hold.key_id, hold.provider, hold.model, names_text(hold.tags)]
        settled = outcome.state is State.SETTLED
        new = (
            settled,
            outcome.state is State.VOIDED,
            outcome.state is State.ORPHAN,
            settled and outcome.estimated,
            settled and outcome.unpriced,
            *structs.astuple(outcome.usage),
            outcome.cost,
            outcome.charged,
            end.overrun,
        )
        for place, more in enumerate(new):
            numbers[place] += more
    return [(*key, *numbers) for key, numbers in sorted(sums.items())]


def account_of(row: RowMapping) -> Account:
    """Return the account of a row of `accounts`."""
    return Account(
        id=row["id"],
        kind=Kind(row["kind"]),
        name=row["name"],
        posted=row["posted"],
        held=row["held"],
    )


def hold_of(row: RowMapping) -> Hold:
    """Return the hold of a row of `holds`."""
    return Hold(
        attempt_id=row["attempt_id"],
        request_id=row["request_id"],
        key_id=row["key_id"],
        accounts=msgspec.json.decode(row["accounts"], type=tuple[int, ...]),
        provider=row["provider"],
        model=row["model"],
        model_asked=row["model_asked"],
        tags=names_of(row["tags"]),
        amount=Nano(row["amount"]),
        charge=Nano(row["charge"]),
        held_at=row["held_at"],
        shares=msgspec.json.decode(row["shares"], type=tuple[Share, ...]),
    )


def ended_of(row: RowMapping) -> Ended:
    """Return the end of an attempt from a row of `outcomes`."""
    outcome = Outcome(
        attempt_id=row["attempt_id"],
        state=State(row["state"]),
        cost=Nano(row["cost"]),
        charge=Nano(row["charge"]),
        usage=usage_of(row),
        estimated=row["estimated"],
        unpriced=row["unpriced"],
        price_version=row["price_version"],
        model_served=row["model_served"],
        reason=row["reason"],
        latency_us=row["latency_us"],
        first_token_us=row["first_token_us"],
        ended_at=row["ended_at"],
    )
    return Ended(outcome, Nano(row["overrun"]))


def posting_of(row: RowMapping) -> Posting:
    """Return the posting of a row of `postings`."""
    leg, amount = Leg(row["leg"]), Nano(row["amount"])
    return Posting(row["attempt_id"] or "", row["account_id"], leg, amount, row["posted_at"], row["entry_id"])


def usage_of(row: RowMapping) -> Usage:
    """Return the usage of a row that has the columns of one."""
    return Usage(**{name: row[column] for name, column in zip(Usage.__struct_fields__, USAGE_COLUMNS, strict=True)})


def names_text(names: tuple[str, ...]) -> str:
    """Return names as they are kept: a JSON array."""
    return msgspec.json.encode(names).decode()


def names_of(text: str) -> tuple[str, ...]:
    """Return the names that `names_text` wrote."""
    return msgspec.json.decode(text, type=tuple[str, ...])


def _hold_row(hold: Hold) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        hold.attempt_id,
        hold.request_id,
        hold.key_id,
        msgspec.json.encode(hold.accounts).decode(),
        hold.provider,
        hold.model,
        hold.model_asked,
        names_text(hold.tags),
        hold.amount,
        hold.held_at,
        hold.most_charged,
        msgspec.json.encode(hold.shares).decode() if hold.shares else "[]",
    )


def _outcome_row(end: Ended) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    outcome = end.outcome
    return (
        outcome.attempt_id,
        outcome.state.value,
        outcome.cost,
        end.overrun,
        outcome.estimated,
        outcome.unpriced,
        *structs.astuple(outcome.usage),
        outcome.price_version,
        outcome.model_served,
        outcome.reason,
        outcome.latency_us,
        outcome.first_token_us,
        outcome.ended_at,
        outcome.charged,
    )
