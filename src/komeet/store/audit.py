"""The books of a ledger, compared with themselves: kept balances with the rows that they stand for."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, Engine, select

from komeet.ledger.accounts import Account, Balance, Ended, Posting
from komeet.ledger.audit import faults, rebuild
from komeet.ledger.port import Hold, State
from komeet.store.ledger_rows import account_of, ended_of, hold_of, posting_of
from komeet.store.tables import accounts, holds, open_holds, outcomes, postings


class Books(Struct, frozen=True):
    """Every row of a ledger, as of one moment."""

    accounts: Sequence[Account]
    holds: Sequence[Hold]
    ended: Sequence[Ended]
    postings: Sequence[Posting]
    open_holds: dict[str, bool]
    """Whether it is an orphan, for each hold that is not released."""


def read_books(connection: Connection) -> Books:
    """Return the whole ledger; for audits, since it holds all of it in memory.

    Args:
        connection: in a transaction, so that what it reads belongs together.
    """
    return Books(
        [account_of(row) for row in connection.execute(select(accounts)).mappings()],
        [hold_of(row) for row in connection.execute(select(holds)).mappings()],
        [ended_of(row) for row in connection.execute(select(outcomes)).mappings()],
        [posting_of(row) for row in connection.execute(select(postings)).mappings()],
        {row.attempt_id: row.orphan for row in connection.execute(select(open_holds))},
    )


def audit(engine: Engine) -> list[str]:
    """Return what is wrong with the books, a line each; empty when they are right."""
    with engine.connect() as connection, connection.begin():
        books = read_books(connection)
    wrong = [
        f"{attempt}: its rows contradict each other" for attempt in faults(books.holds, books.ended, books.postings)
    ]
    balances = rebuild(books.holds, books.ended, books.postings)
    for account in books.accounts:
        expected, kept = balances.get(account.id, Balance()), Balance(account.posted, account.held)
        if kept != expected:
            wrong.append(f"account {account.id} ({account.kind} {account.name}): {kept}, but its rows say {expected}")
    states = {end.outcome.attempt_id: end.outcome.state for end in books.ended}
    unreleased = {
        hold.attempt_id: hold.attempt_id in states
        for hold in books.holds
        if states.get(hold.attempt_id) in {None, State.ORPHAN}
    }
    differing = unreleased.items() ^ books.open_holds.items()
    return wrong + sorted({f"{attempt}: wrongly listed, or not listed, as open" for attempt, _ in differing})
