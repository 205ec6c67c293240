"""The books of a ledger, compared with themselves: kept balances with the rows that they stand for."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct
from sqlalchemy import Connection, Engine, select

from komeet.ledger.accounts import Account, Balance, Ended, Leg, Posting
from komeet.ledger.audit import Spent, Uncertain, faults, rebuild, rebuild_windows
from komeet.ledger.budget import Window
from komeet.ledger.entries import CREDITS, Entry, EntryKind
from komeet.ledger.free import FreeBook, FreeWindow, Taken
from komeet.ledger.port import Hold, State
from komeet.store.entries import find_entries, find_uncertain
from komeet.store.free_rows import free_kept
from komeet.store.ledger_rows import account_of, ended_of, hold_of, posting_of
from komeet.store.tables import (
    accounts,
    budget_windows,
    budgets,
    holds,
    leases,
    open_holds,
    organisations,
    outcomes,
    postings,
)


class Numbers(Struct, frozen=True):
    """The numbers of a budget's window that are kept."""

    posted: int = 0
    held: int = 0
    leased: int = 0


class Prepaid(Struct, frozen=True):
    """A prepaid budget, of an organisation that never had another one."""

    budget: int
    amount: int
    account: int
    """The organisation's."""


class Books(Struct, frozen=True):
    """Every row of a ledger, as of one moment."""

    accounts: Sequence[Account]
    holds: Sequence[Hold]
    ended: Sequence[Ended]
    postings: Sequence[Posting]
    open_holds: dict[str, bool]
    """Whether it is an orphan, for each hold that is not released."""
    entries: Sequence[Entry] = ()
    uncertain: Sequence[Uncertain] = ()
    windows: dict[Window, Numbers] = {}
    leases: dict[Window, int] = {}
    """The sum of the leases of each window."""
    prepaid: Sequence[Prepaid] = ()
    free: dict[FreeWindow, int] = {}
    """What is used of free allowances."""


def read_books(connection: Connection) -> Books:
    """Return the whole ledger; for audits, since it holds all of it in memory.

    Args:
        connection: in a transaction, so that what it reads belongs together.
    """
    leased: defaultdict[Window, int] = defaultdict(int)
    for row in connection.execute(select(leases)):
        leased[Window(row.budget_id, row.starts_at)] += row.amount
    return Books(
        [account_of(row) for row in connection.execute(select(accounts)).mappings()],
        [hold_of(row) for row in connection.execute(select(holds)).mappings()],
        [ended_of(row) for row in connection.execute(select(outcomes)).mappings()],
        [posting_of(row) for row in connection.execute(select(postings)).mappings()],
        {row.attempt_id: row.orphan for row in connection.execute(select(open_holds))},
        find_entries(connection),
        [one.lease for one in find_uncertain(connection)],
        {
            Window(row.budget_id, row.starts_at): Numbers(row.posted, row.held, row.leased)
            for row in connection.execute(select(budget_windows))
        },
        dict(leased),
        _prepaid(connection),
        free_kept(connection),
    )


def audit(engine: Engine) -> list[str]:
    """Return what is wrong with the books, a line each; empty when they are right."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
        with connection.begin():
            books = read_books(connection)
    return [*_rows(books), *_accounts(books), *_open(books), *_windows(books), *_prepayments(books), *_free(books)]


def _rows(books: Books) -> Iterator[str]:
    for name in faults(books.holds, books.ended, books.postings, books.entries):
        yield f"{name}: its rows contradict each other"


def _accounts(books: Books) -> Iterator[str]:
    balances = rebuild(books.holds, books.ended, books.postings, books.entries)
    for account in books.accounts:
        expected, kept = balances.get(account.id, Balance()), Balance(account.posted, account.held)
        if kept != expected:
            yield f"account {account.id} ({account.kind} {account.name}): {kept}, but its rows say {expected}"


def _open(books: Books) -> Iterator[str]:
    states = {end.outcome.attempt_id: end.outcome.state for end in books.ended}
    resolved = {entry.attempt_id for entry in books.entries if entry.kind is EntryKind.RESOLUTION}
    unreleased = {
        hold.attempt_id: hold.attempt_id in states
        for hold in books.holds
        if states.get(hold.attempt_id) in {None, State.ORPHAN} and hold.attempt_id not in resolved
    }
    for attempt in sorted({attempt for attempt, _ in unreleased.items() ^ books.open_holds.items()}):
        yield f"{attempt}: wrongly listed, or not listed, as open"


def _windows(books: Books) -> Iterator[str]:
    expected = rebuild_windows(books.holds, books.ended, books.entries, books.uncertain)
    for window in sorted({*expected, *books.windows, *books.leases}):
        wanted, kept = expected.get(window, Spent()), books.windows.get(window, Numbers())
        leased = books.leases.get(window, 0)
        should = Numbers(wanted.posted, wanted.held, leased)
        if kept != should:
            yield f"budget {window.budget} from {window.starts_at}: {kept}, but its rows say {should}"
        if wanted.in_flight > leased:
            yield f"budget {window.budget} from {window.starts_at}: {wanted.in_flight} n$ in flight, {leased} n$ leased"


def _prepayments(books: Books) -> Iterator[str]:
    kinds = {entry.id for entry in books.entries if entry.kind in CREDITS}
    paid: defaultdict[int, int] = defaultdict(int)
    for posting in books.postings:
        if posting.entry in kinds and posting.leg is Leg.CHARGE:
            paid[posting.account] -= posting.amount
    for one in books.prepaid:
        if one.amount != paid[one.account]:
            yield f"budget {one.budget}: prepaid {one.amount} n$, but its credits come to {paid[one.account]} n$"


def _free(books: Books) -> Iterator[str]:
    allowed, book = {hold.attempt_id: hold.free for hold in books.holds}, FreeBook()
    for end in books.ended:
        outcome = end.outcome
        taken = Taken(outcome.free, outcome.free_tokens)
        tokens = outcome.usage.input + outcome.usage.output
        fault = book.add(allowed.get(outcome.attempt_id), outcome.charged, taken, tokens)
        if fault is not None:
            yield f"{outcome.attempt_id}: {fault}"
    yield from book.compare(books.free)


def _prepaid(connection: Connection) -> list[Prepaid]:
    """The prepaid budgets of organisations that had one only; a second one begins at nothing."""
    chosen = (
        select(budgets.c.id, budgets.c.amount, organisations.c.account_id)
        .join(organisations, organisations.c.id == budgets.c.subject)
        .where(budgets.c.prepaid, budgets.c.scope == "organisation")
    )
    found = [Prepaid(row.id, row.amount, row.account_id) for row in connection.execute(chosen)]
    return [one for one in found if sum(one.account == other.account for other in found) == 1]
