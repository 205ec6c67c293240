"""Many calls at once against a budget with room for ten, from several processes and machines, on either database."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from tests.store.postgres import BOTH
from tests.store.worker import Worker, nodes

from komeet.core.clock import SystemClock
from komeet.core.money import Nano
from komeet.store.audit import audit
from komeet.store.database import Store
from komeet.store.engine import Databases
from komeet.store.keys import create_key
from komeet.store.tables import budget_windows, outcomes

DATABASES = BOTH
CALLS = 504
HELD = 100
LIMIT = 1_000


@pytest.fixture
def start(databases: Databases, tmp_path: Path) -> Iterator[Callable[[int, int], list[Worker]]]:
    """Starts so many nodes with so many workers each."""
    with ExitStack() as stack:

        def start(count: int, each: int) -> list[Worker]:
            sessions = {tmp_path / f"node {n}": [f"{n}-{worker}" for worker in range(each)] for n in range(count)}
            for data_dir in sessions:
                prepared = Store.prepare(data_dir, SystemClock(), durability="crash", databases=databases)
                stack.enter_context(closing(prepared))
            files = stack.enter_context(closing(Store.open_for_cli(tmp_path / "node 0", databases)))
            create_key(files.ledger, SystemClock(), name="ten", budget=Nano(LIMIT))
            return stack.enter_context(nodes(sessions, databases))

        yield start


@pytest.fixture
def ledger(databases: Databases, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Opens the ledger beside the workers."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Store.open_for_cli(tmp_path / "node 0", databases))).ledger


def window(engine: Engine) -> tuple[int, int, int]:
    """What is posted, held and leased of the one budget that there is."""
    with engine.connect() as connection:
        row = connection.execute(select(budget_windows)).one()
        return row.posted, row.held, row.leased


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hold(running: list[Worker]) -> list[list[str]]:
    """All ask at once; what each was admitted."""
    for worker in running:
        worker.tell("hold", CALLS // len(running))
    return [worker.answer() for worker in running]


@pytest.mark.parametrize(
    ("database_kind", "count", "each"),
    [
        pytest.param("sqlite", 1, 4, id="four workers, SQLite", marks=pytest.mark.slow),
        pytest.param("postgresql", 1, 4, id="four workers, PostgreSQL", marks=pytest.mark.slow),
        pytest.param("postgresql", 3, 2, id="three nodes, PostgreSQL"),
    ],
)
def test_exactly_ten_of_500_are_admitted_and_the_last_nano_dollar_can_be_spent(
    count: int, each: int, start: Callable[[int, int], list[Worker]], ledger: Callable[[], Engine]
) -> None:
    running = start(count, each)
    engine = ledger()
    admitted = [attempt for attempts in hold(running) for attempt in attempts]
    assert len(admitted) == LIMIT // HELD
    until(lambda: window(engine)[2] == LIMIT)
    for worker in running:
        worker.do("settle", HELD)
    until(lambda: window(engine) == (LIMIT, 0, 0))
    assert sum(map(len, hold(running))) == 0
    for worker in running:
        worker.close()
    with engine.connect() as connection:
        ended = connection.execute(select(outcomes.c.attempt_id, outcomes.c.state)).all()
    assert sorted(row.attempt_id for row in ended) == sorted(admitted)
    assert {row.state for row in ended} == {"settled"}
    assert audit(engine) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database_kind", "count", "each"),
    [("sqlite", 1, 4), ("postgresql", 3, 2)],
    ids=["four workers, SQLite", "three nodes, PostgreSQL"],
)
def test_what_calls_cost_less_than_they_held_is_spent_by_others_until_less_than_one_is_left(
    count: int, each: int, start: Callable[[int, int], list[Worker]], ledger: Callable[[], Engine]
) -> None:
    running = start(count, each)
    engine = ledger()
    admitted: list[str] = []
    for turn in range(50):
        new = hold(running)
        admitted += [attempt for attempts in new for attempt in attempts]
        if not any(new):
            break
        for worker in running:
            worker.do("settle_any", turn)
        assert sum(window(engine)) <= LIMIT
    for worker in running:
        worker.close()
    posted, held, leased = window(engine)
    assert (held, leased) == (0, 0)
    assert LIMIT - HELD < posted <= LIMIT
    assert len(admitted) > LIMIT // HELD
    assert audit(engine) == []
