"""One transaction of a process's ledger: its records, what it brings back of its leases, and what its calls ask for."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Connection, update

from komeet.ledger.budget import Budget, Window
from komeet.ledger.decide import Command
from komeet.ledger.leases import Ask, Grants, WindowState
from komeet.ledger.thresholds import Crossing
from komeet.store.budgets import budgets_epoch, find_budgets
from komeet.store.crossings import find_crossings
from komeet.store.journal_file import Position
from komeet.store.leasing import answer, bring_back, lease, recalled
from komeet.store.ledger_rows import Applied, Memory, apply
from komeet.store.tables import sessions
from komeet.store.transactions import in_order


class Work(Struct, frozen=True, kw_only=True):
    """What is to be done."""

    records: Sequence[Command] = ()
    """In order."""
    position: Position | None = None
    """In the journal, after the last of them; None: none of them is in it."""
    replayed: bool = False
    """Whether their process has ended, and the database may have forgotten leases of it."""
    surplus: Mapping[Window, int] = {}
    """What goes back; only where `records` are all that there are, since what they end must not be back before."""
    asks: Sequence[Ask] = ()
    looks: bool = False
    """Whether to look for budgets that have changed, and for leases that others ask for."""
    answered: Sequence[Window] = ()
    """Recalls that are answered by `surplus`."""
    epoch: int = -1
    """Of the budgets that are known."""


class Done(Struct, frozen=True, kw_only=True):
    """What was done, to be believed once it is committed."""

    applied: Applied | None
    grants: Grants | None
    states: Mapping[Window, WindowState]
    """The windows that were asked for, as they stood before."""
    recalled: Sequence[Window]
    """What others ask for."""
    budgets: Sequence[Budget] | None
    """Those that there are now; None: they are the ones that are known."""
    epoch: int
    crossings: Sequence[Crossing] = ()
    """The thresholds of budgets that the records have crossed."""


def work(connection: Connection, todo: Work, memory: Memory, session: str) -> Done:
    """Do the work; in a write transaction.

    Raises:
        komeet.store.ledger_rows.Outdated: roll back, and do it again without the memory.
    """
    in_order(connection)
    applied: Applied | None = None
    crossings: Sequence[Crossing] = ()
    if todo.records:
        applied = apply(connection, todo.records, memory, session, replayed=todo.replayed)
        crossings = find_crossings(connection, applied.decision.windows, applied.decision.ended)
    if todo.surplus:
        bring_back(connection, session, todo.surplus)
    if todo.answered:
        answer(connection, session, todo.answered)
    if todo.position is not None:
        where = {"segment": todo.position.segment, "position": todo.position.offset}
        connection.execute(update(sessions).where(sessions.c.session == session).values(where))
    grants: Grants | None = None
    states: Mapping[Window, WindowState] = {}
    if todo.asks:
        grants, states = lease(connection, todo.asks, session)
    asked: Sequence[Window] = ()
    found: Sequence[Budget] | None = None
    epoch = todo.epoch
    if todo.looks:
        asked = recalled(connection, session)
        epoch = budgets_epoch(connection)
        found = find_budgets(connection) if epoch != todo.epoch else None
    return Done(
        applied=applied,
        grants=grants,
        states=states,
        recalled=asked,
        budgets=found,
        epoch=epoch,
        crossings=crossings,
    )
