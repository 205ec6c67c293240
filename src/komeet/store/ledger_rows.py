"""The ledger's rows: one batch of commands as one transaction, in a handful of statements however long it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, insert, not_, select, true, update

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.accounts import Account, Ended, Kind, Leg, Posting
from komeet.ledger.decide import Command, Decision, decide
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.bulk import Bulk
from komeet.store.tables import USAGE_COLUMNS, accounts, holds, open_holds, outcomes, postings

_FIND_OPEN = (
    select(holds)
    .join(open_holds, open_holds.c.attempt_id == holds.c.attempt_id)
    .where(open_holds.c.attempt_id.in_(bindparam("attempts", expanding=True)), open_holds.c.orphan.is_(False))
)
_FIND_ACCOUNTS = (
    select(accounts)
    .where(accounts.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(accounts.c.id)  # one order for all, so that two writers cannot wait for each other
    .with_for_update()
)
_FIND_PROVIDERS = select(accounts.c.name, accounts.c.id).where(
    accounts.c.kind == Kind.PROVIDER.value, accounts.c.name.in_(bindparam("names", expanding=True))
)
_ADD_PROVIDER = insert(accounts)
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
_BLOCK = Bulk(update(accounts).where(accounts.c.id == bindparam("account")).values(blocked=true()), "account")


class Memory(Struct):
    """What a writer of the ledger remembers between transactions, so that it need not ask the database again."""

    providers: dict[str, int] = {}
    """The accounts of providers, by name; they never change."""
    open_holds: dict[str, Hold] = {}
    """Its own holds without an outcome, as far as it knows; those that are not here are looked up."""

    def learn(self, applied: "Applied") -> None:
        """Take in what a transaction did, now that it is committed."""
        self.providers.update(applied.providers)
        self.open_holds.update((hold.attempt_id, hold) for hold in applied.decision.holds)
        for end in applied.decision.ended:
            self.open_holds.pop(end.outcome.attempt_id, None)

    def forget(self) -> None:
        """Forget everything: after a transaction of which nobody knows whether it was committed."""
        self.providers.clear()
        self.open_holds.clear()


class Outdated(Exception):
    """Another process has ended a hold that the memory takes for open: nothing is to be committed."""


class Applied(Struct, frozen=True):
    """What a transaction did, to be believed once it is committed."""

    decision: Decision
    providers: Mapping[str, int]
    """The accounts of the providers that the commands name."""


def apply(connection: Connection, commands: Sequence[Command], memory: Memory, session: str = "") -> Applied:
    """Decide the commands and write what follows from them.

    Balances and limits are read within the transaction rather than remembered: it is one statement for the whole
    batch, beside a commit that waits for the disk, and what another process held, posted or limited counts from its
    commit on. What is remembered is proved by the writing itself, which finds each hold that it ends still open.

    Args:
        connection: in a transaction that has the write lock.
        commands: in the order in which they were handed in.
        memory: is read only.
        session: names the process, for the holds.

    Raises:
        Outdated: roll back, and apply the commands again without the memory.
    """
    new = {command.attempt_id: command for command in commands if isinstance(command, Hold)}
    ending = {c.attempt_id for c in commands if isinstance(c, Outcome)} - new.keys()
    ended = _open(connection, ending, memory.open_holds)
    named = (*new.values(), *ended.values())
    providers = _providers(connection, {hold.provider for hold in named}, memory.providers)
    chains = _accounts(connection, {account for hold in named for account in hold.accounts})
    decision = decide(commands, chains, ended, providers)
    _write(connection, decision, session)
    return Applied(decision, providers)


def _open(connection: Connection, attempts: set[str], known: Mapping[str, Hold]) -> dict[str, Hold]:
    found = {attempt: known[attempt] for attempt in attempts if attempt in known}
    if len(found) < len(attempts):
        rows = connection.execute(_FIND_OPEN, {"attempts": list(attempts - found.keys())})
        found.update((hold.attempt_id, hold) for hold in map(hold_of, rows.mappings()))
    return found


def _accounts(connection: Connection, ids: Iterable[int]) -> dict[int, Account]:
    rows = connection.execute(_FIND_ACCOUNTS, {"ids": list(ids)})
    return {account.id: account for account in map(account_of, rows.mappings())}


def _providers(connection: Connection, names: set[str], known: Mapping[str, int]) -> dict[str, int]:
    found = {name: known[name] for name in names if name in known}
    if len(found) == len(names):
        return found
    rows = connection.execute(_FIND_PROVIDERS, {"names": list(names - found.keys())})
    found.update((row.name, row.id) for row in rows)
    for name in sorted(names - found.keys()):
        added = connection.execute(_ADD_PROVIDER, {"kind": Kind.PROVIDER.value, "name": name}).inserted_primary_key
        assert added is not None
        found[name] = added[0]
    return found


def _write(connection: Connection, decision: Decision, session: str) -> None:
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
    _BLOCK.run(connection, [(account,) for account, change in decision.changes.items() if change.blocks])


def _close(connection: Connection, how: Bulk, attempts: Sequence[str]) -> None:
    """Before anything else is written: were one of them not open any more, nothing would be right."""
    if how.run(connection, [(attempt,) for attempt in attempts]) != len(attempts):
        raise Outdated


def account_of(row: RowMapping) -> Account:
    """Return the account of a row of `accounts`."""
    return Account(
        id=row["id"],
        kind=Kind(row["kind"]),
        name=row["name"],
        limit=row["hard_limit"],
        posted=row["posted"],
        held=row["held"],
        blocked=row["blocked"],
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
        held_at=row["held_at"],
    )


def ended_of(row: RowMapping) -> Ended:
    """Return the end of an attempt from a row of `outcomes`."""
    outcome = Outcome(
        attempt_id=row["attempt_id"],
        state=State(row["state"]),
        cost=Nano(row["cost"]),
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
    return Posting(row["attempt_id"], row["account_id"], Leg(row["leg"]), Nano(row["amount"]), row["posted_at"])


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
    )
