"""The rows of leases: what a process takes of budgets, what it brings back, and who is asked to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Window, window_of
from komeet.ledger.leases import Ask, Grants, WindowState, grant
from komeet.store.budgets import budget_of, labelled
from komeet.store.ledger_rows import add_windows
from komeet.store.tables import budget_windows, budgets, leases


def _add_lease(dialect: Any) -> Any:
    added = dialect.insert(leases)
    keys = ["session", "budget_id", "starts_at"]
    more = {"amount": leases.c.amount + added.excluded.amount, "answered": added.excluded.answered}
    return added.on_conflict_do_update(index_elements=keys, set_=more)


_ADD_LEASE = {"sqlite": _add_lease(sqlite), "postgresql": _add_lease(postgresql)}


def lease(connection: Connection, asks: Sequence[Ask], session: str) -> tuple[Grants, Mapping[Window, WindowState]]:
    """Grant what there is room for, and return what was granted, and how the windows stood before.

    Args:
        connection: in a write transaction; what is granted counts once it is committed.
        asks: of the process that `session` names.
        session: whose leases they become.
    """
    wanted = sorted({window_of(share) for ask in asks for share in ask.shares})
    states = _states(connection, wanted, session)
    grants = grant(asks, states)
    for window, recall in sorted(grants.recalls.items()):
        values: dict[str, Any] = {"recall": recall}
        connection.execute(update(budget_windows).where(_is(budget_windows, window)).values(values))
        if recall == 0:
            connection.execute(update(leases).where(_is(leases, window)).values(answered=0))
    _move(connection, grants.leased)
    rows = [
        {
            "session": session,
            "budget_id": window.budget,
            "starts_at": window.starts_at,
            "amount": amount,
            "answered": grants.recalls.get(window, states[window].recall),
        }
        for window, amount in sorted(grants.leased.items())
    ]
    if rows:
        connection.execute(_ADD_LEASE[connection.dialect.name], rows)
    return grants, states


def bring_back(connection: Connection, session: str, amounts: Mapping[Window, int]) -> None:
    """Return what is free of a process's leases; in a write transaction. What is no longer its own stays as it is."""
    mine = {window: and_(_is(leases, window), leases.c.session == session) for window in sorted(amounts)}
    back = {
        window: -amounts[window]
        for window, own in mine.items()
        if connection.execute(update(leases).where(own).values(amount=leases.c.amount - amounts[window])).rowcount
    }
    _move(connection, back)
    connection.execute(delete(leases).where(leases.c.session == session, leases.c.amount == 0))  # or they pile up


def recalled(connection: Connection, session: str) -> list[Window]:
    """Return the windows whose free leases others ask for, and that this process has not answered."""
    asked = (
        select(leases.c.budget_id, leases.c.starts_at)
        .join(
            budget_windows,
            and_(budget_windows.c.budget_id == leases.c.budget_id, budget_windows.c.starts_at == leases.c.starts_at),
        )
        .where(leases.c.session == session, leases.c.answered < budget_windows.c.recall)
    )
    return [Window(row.budget_id, row.starts_at) for row in connection.execute(asked)]


def answer(connection: Connection, session: str, windows: Iterable[Window]) -> None:
    """Note that the process has brought back what it had free; with what it brings back, in one transaction."""
    recall = (
        select(budget_windows.c.recall)
        .where(budget_windows.c.budget_id == leases.c.budget_id, budget_windows.c.starts_at == leases.c.starts_at)
        .scalar_subquery()
    )
    for window in sorted(windows):
        mine = and_(_is(leases, window), leases.c.session == session)
        connection.execute(update(leases).where(mine).values(answered=recall))


def leased_by(connection: Connection, session: str) -> dict[Window, int]:
    """Return what a process has leased, by window."""
    rows = connection.execute(select(leases).where(leases.c.session == session))
    return {Window(row.budget_id, row.starts_at): row.amount for row in rows if row.amount}


def end_leases(connection: Connection, session: str, amounts: Mapping[Window, int], *, keep: bool) -> None:
    """End the leases of a process: what is left of them is free again, or stays held (`keep`), for want of knowledge.

    Args:
        connection: in a write transaction.
        session: has no hold that is open.
        amounts: what `leased_by` says.
        keep: whether it stays held.
    """
    for window, amount in sorted(amounts.items()):
        moved = {"leased": budget_windows.c.leased - amount}
        if keep:
            moved["held"] = budget_windows.c.held + amount
        connection.execute(update(budget_windows).where(_is(budget_windows, window)).values(moved))
    connection.execute(leases.delete().where(leases.c.session == session))


def _states(connection: Connection, windows: Sequence[Window], session: str) -> dict[Window, WindowState]:
    """How windows of budgets that are there stand, the missing rows made; locked in one order."""
    ids = sorted({window.budget for window in windows})
    chosen = labelled().where(budgets.c.id.in_(ids), budgets.c.ended_at.is_(None))
    known: dict[int, Budget] = {row["id"]: budget_of(row) for row in connection.execute(chosen).mappings()}
    living = [window for window in windows if window.budget in known and known[window.budget].hard]
    if not living:
        return {}
    is_one = tuple_(budget_windows.c.budget_id, budget_windows.c.starts_at).in_([tuple(w) for w in living])
    locking = select(budget_windows).where(is_one).order_by(*budget_windows.primary_key).with_for_update()
    rows = _by_window(connection.execute(locking).mappings().all())
    if len(rows) < len(living):
        add_windows(connection, set(living) - rows.keys())
        rows = _by_window(connection.execute(locking).mappings().all())
    others = _others(connection, living, session)
    return {
        window: WindowState(
            budget=known[window.budget],
            starts_at=window.starts_at,
            posted=Nano(row["posted"]),
            held=Nano(row["held"]),
            leased=Nano(row["leased"]),
            recall=row["recall"],
            others=Nano(others.get(window, (0, False))[0]),
            waiting=others.get(window, (0, False))[1],
        )
        for window, row in rows.items()
    }


def _by_window(rows: Sequence[RowMapping]) -> dict[Window, RowMapping]:
    return {Window(row["budget_id"], row["starts_at"]): row for row in rows}


def _others(connection: Connection, windows: Sequence[Window], session: str) -> dict[Window, tuple[int, bool]]:
    """What others have leased of each window, and whether one of them has not answered its recall."""
    late = func.max(case((and_(leases.c.amount > 0, leases.c.answered < budget_windows.c.recall), 1), else_=0)).label(
        "late"
    )
    chosen = (
        select(leases.c.budget_id, leases.c.starts_at, func.sum(leases.c.amount).label("amount"), late)
        .join(
            budget_windows,
            and_(budget_windows.c.budget_id == leases.c.budget_id, budget_windows.c.starts_at == leases.c.starts_at),
        )
        .where(
            tuple_(leases.c.budget_id, leases.c.starts_at).in_([tuple(w) for w in windows]),
            leases.c.session != session,
        )
        .group_by(leases.c.budget_id, leases.c.starts_at)
    )
    return {
        Window(row.budget_id, row.starts_at): (int(row.amount), bool(row.late)) for row in connection.execute(chosen)
    }


def _move(connection: Connection, amounts: Mapping[Window, int]) -> None:
    for window, amount in sorted(amounts.items()):
        moved = update(budget_windows).where(_is(budget_windows, window))
        connection.execute(moved.values(leased=budget_windows.c.leased + amount))


def _is(table: Any, window: Window) -> Any:
    return and_(table.c.budget_id == window.budget, table.c.starts_at == window.starts_at)
