"""Budgets: made, listed, changed and ended, from any process; servers see a change within their next poll."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, RowMapping, Select, func, insert, select, update

from komeet.core.clock import Clock
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span, Window, bounds
from komeet.store.errors import StoreError
from komeet.store.ledger_rows import bump
from komeet.store.tables import budget_windows, budgets, epochs, keys, organisations, projects, users
from komeet.store.transactions import writing


class Spending(Struct, frozen=True):
    """How a budget stands in one window."""

    budget: Budget
    starts_at: int
    ends_at: int | None
    """Unix milliseconds; None: never."""
    posted: Nano
    held: Nano
    """By orphans."""
    leased: Nano
    """By calls in flight, and free in the hands of workers."""

    @property
    def left(self) -> Nano:
        """What is neither spent nor set aside; below 0 where more was spent."""
        return Nano(self.budget.amount - self.posted - self.held - self.leased)


def labelled() -> Select[Any]:
    """Select budgets with what people call their subjects."""
    label = func.coalesce(keys.c.name, users.c.name, projects.c.name, organisations.c.name, "")
    joined = (
        budgets.outerjoin(keys, (budgets.c.scope == Scope.KEY.value) & (keys.c.id == budgets.c.subject))
        .outerjoin(users, (budgets.c.scope == Scope.USER.value) & (users.c.id == budgets.c.subject))
        .outerjoin(projects, (budgets.c.scope == Scope.PROJECT.value) & (projects.c.id == budgets.c.subject))
        .outerjoin(
            organisations, (budgets.c.scope == Scope.ORGANISATION.value) & (organisations.c.id == budgets.c.subject)
        )
    )
    return select(budgets, label.label("label")).select_from(joined)


def find_budgets(connection: Connection) -> list[Budget]:
    """Return the budgets that have not ended, by id."""
    chosen = labelled().where(budgets.c.ended_at.is_(None)).order_by(budgets.c.id)
    return [budget_of(row) for row in connection.execute(chosen).mappings()]


def budgets_epoch(connection: Connection) -> int:
    """Return the number that every change of a budget raises."""
    return connection.execute(select(epochs.c.epoch).where(epochs.c.name == "budgets")).scalar_one()


def add_budget(connection: Connection, clock: Clock, budget: Budget) -> Budget:
    """Write a new budget, and return it with its id.

    Args:
        connection: in a write transaction.
        clock: says when it was made.
        budget: its `id` and `blocked` are not read.

    Raises:
        StoreError: one of the same subject and span is there; or its zone is not known.
    """
    same = select(budgets.c.id).where(
        budgets.c.scope == budget.scope.value,
        budgets.c.subject == budget.subject,
        budgets.c.span == budget.span.value,
        budgets.c.hard.is_(budget.hard),
        budgets.c.ended_at.is_(None),
    )
    if connection.execute(same).first() is not None:
        raise StoreError(f"There is a budget of {budget.title} already; change that one.")
    try:
        bounds(budget.span, budget.zone, clock.unix_ms())
        bounds(Span.DAY, budget.zone, clock.unix_ms())
    except (KeyError, ValueError, OSError):
        raise StoreError(f"There is no time zone {budget.zone!r}; write one as `Europe/Amsterdam`.") from None
    added = connection.execute(
        insert(budgets).values(
            scope=budget.scope.value,
            subject=budget.subject,
            span=budget.span.value,
            zone=budget.zone,
            amount=budget.amount,
            hard=budget.hard,
            prepaid=budget.prepaid,
            thresholds=msgspec.json.encode(budget.thresholds).decode(),
            created_at=clock.unix_ms(),
        )
    ).inserted_primary_key
    assert added is not None
    bump(connection, "budgets")
    return msgspec.structs.replace(budget, id=added[0])


def set_amount(connection: Connection, budget: int, amount: Nano, *, lift: bool = True) -> None:
    """Change what may be spent in each window; workers bring back what they have leased beyond it.

    Args:
        connection: in a write transaction.
        budget: its id.
        amount: nano-dollars.
        lift: whether a block that an overrun left is lifted, too.
    """
    bump(connection, "budgets")
    values: dict[str, Any] = {"amount": amount} | ({"blocked": False} if lift else {})
    connection.execute(update(budgets).where(budgets.c.id == budget).values(values))
    connection.execute(update(budget_windows).where(budget_windows.c.budget_id == budget).values(recall=1))


def set_thresholds(connection: Connection, budget: int, percents: Sequence[int]) -> None:
    """Change at which percents of a budget's amount somebody is told; in a write transaction."""
    bump(connection, "budgets")
    values = {"thresholds": msgspec.json.encode(sorted(set(percents))).decode()}
    connection.execute(update(budgets).where(budgets.c.id == budget).values(values))


def end_budget(connection: Connection, clock: Clock, budget: int) -> None:
    """End a budget: it limits nothing any more, and its history stays. In a write transaction."""
    bump(connection, "budgets")
    connection.execute(update(budgets).where(budgets.c.id == budget).values(ended_at=clock.unix_ms()))


def spending(engine: Engine, at_ms: int) -> list[Spending]:
    """Return how each budget stands in the window that a moment lies in."""
    with engine.connect() as connection, connection.begin():
        found = find_budgets(connection)
        current = {b.id: bounds(b.span, b.zone, at_ms) for b in found}
        rows = {
            Window(row.budget_id, row.starts_at): row
            for row in connection.execute(
                select(budget_windows).where(budget_windows.c.budget_id.in_([b.id for b in found]))
            )
        }
    result: list[Spending] = []
    for budget in found:
        start, end = current[budget.id]
        row = rows.get(Window(budget.id, start))
        numbers = (0, 0, 0) if row is None else (row.posted, row.held, row.leased)
        result.append(Spending(budget, start, end, *map(Nano, numbers)))
    return result


def titles(engine: Engine) -> dict[int, str]:
    """Return what each budget is called, those that have ended too."""
    with engine.connect() as connection:
        found = [budget_of(row) for row in connection.execute(labelled()).mappings()]
    return {budget.id: budget.title for budget in found}


def create_budget(engine: Engine, clock: Clock, budget: Budget) -> Budget:
    """Make a budget, in a transaction of its own; see `add_budget`."""
    with writing(engine) as connection:
        return add_budget(connection, clock, budget)


def change_budget_by_id(
    engine: Engine, budget: int, *, amount: Nano | None = None, thresholds: Sequence[int] | None = None
) -> Budget:
    """Change a budget and lift its block, in a transaction of its own, and return it.

    Args:
        engine: of the ledger.
        budget: its id.
        amount: nano-dollars; None: as it is.
        thresholds: percents; None: as they are.

    Raises:
        StoreError: there is none, it has ended, or its amount is what was paid in.
    """
    with writing(engine) as connection:
        found = _living(connection, budget)
        if amount is not None and found.prepaid:
            raise StoreError(f"The budget of {found.title} is prepaid: `komeet credit grant` raises it.")
        if thresholds is not None:
            set_thresholds(connection, budget, thresholds)
        set_amount(connection, budget, found.amount if amount is None else amount)
        return _living(connection, budget)


def end_budget_by_id(engine: Engine, clock: Clock, budget: int) -> Budget:
    """End a budget in a transaction of its own, and return it.

    Raises:
        StoreError: there is none, or it has ended.
    """
    with writing(engine) as connection:
        found = _living(connection, budget)
        end_budget(connection, clock, budget)
        return found


def _living(connection: Connection, budget: int) -> Budget:
    row = connection.execute(labelled().where(budgets.c.id == budget)).mappings().first()
    if row is None or row["ended_at"] is not None:
        what = f"There is no budget {budget}" if row is None else f"Budget {budget} has ended"
        raise StoreError(f"{what}; `komeet budget list` shows those that there are.")
    return budget_of(row)


def budget_of(row: RowMapping) -> Budget:
    """Return the budget of a row of `labelled`."""
    return Budget(
        id=row["id"],
        scope=Scope(row["scope"]),
        subject=row["subject"],
        label=row["label"],
        span=Span(row["span"]),
        zone=row["zone"],
        amount=Nano(row["amount"]),
        hard=row["hard"],
        prepaid=row["prepaid"],
        thresholds=msgspec.json.decode(row["thresholds"], type=tuple[int, ...]),
        blocked=row["blocked"],
    )


def budgets_of(found: Sequence[Budget], scope: Scope, subject: str) -> list[Budget]:
    """Return those of one subject."""
    return [budget for budget in found if budget.scope is scope and budget.subject == subject]
