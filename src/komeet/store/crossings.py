"""Which thresholds of budgets a transaction has crossed: known to it alone, since it has the windows' rows locked."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, select

from komeet.core.money import Nano
from komeet.ledger.accounts import Ended
from komeet.ledger.budget import Window
from komeet.ledger.decide import WindowChange
from komeet.ledger.thresholds import Crossing, crossed
from komeet.store.budgets import budget_of, labelled
from komeet.store.tables import budget_windows, budgets

_WATCHED = labelled().where(
    budgets.c.id.in_(bindparam("budgets", expanding=True)), budgets.c.thresholds != "[]", budgets.c.ended_at.is_(None)
)
_POSTED = select(budget_windows.c.budget_id, budget_windows.c.starts_at, budget_windows.c.posted).where(
    budget_windows.c.budget_id.in_(bindparam("budgets", expanding=True)),
    budget_windows.c.starts_at.in_(bindparam("starts", expanding=True)),
)


def find_crossings(
    connection: Connection, changes: Mapping[Window, WindowChange], ended: Iterable[Ended]
) -> list[Crossing]:
    """Return the thresholds that have been crossed, by budget, window and percent.

    Args:
        connection: in the transaction that has just made the changes; what it returns is true once that is committed.
        changes: of windows.
        ended: the attempts that made them.
    """
    moved = {window: change.posted for window, change in changes.items() if change.posted > 0}
    if not moved:
        return []
    ids = sorted({window.budget for window in moved})
    rows = connection.execute(_WATCHED, {"budgets": ids}).mappings()
    watched = {row["id"]: budget_of(row) for row in rows}
    if not watched:
        return []
    starts = sorted({window.starts_at for window in moved if window.budget in watched})
    kept = {
        Window(row.budget_id, row.starts_at): row.posted
        for row in connection.execute(_POSTED, {"budgets": sorted(watched), "starts": starts})
    }
    at = max((end.outcome.ended_at for end in ended), default=0)
    return [
        Crossing(budget=budget, starts_at=window.starts_at, percent=percent, posted=Nano(kept[window]), at=at)
        for window, more in sorted(moved.items())
        if (budget := watched.get(window.budget)) is not None
        for percent in crossed(budget.thresholds, budget.amount, kept[window] - more, kept[window])
    ]
