"""What is kept for how long: lines and bodies of the request log by their age; of the ledger everything, for ever."""

import asyncio
import sqlite3
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select
from tests.store.postgres import BOTH
from tests.store.reach import out_of_reach

from komeet.core.clock import ManualClock
from komeet.store import retention
from komeet.store.engine import Databases, open_requests
from komeet.store.retention import Keep, Retention
from komeet.store.schema import REQUESTS_LINE, bring_to_head
from komeet.store.tables import LEDGER, requests
from komeet.store.transactions import writing

DATABASES = BOTH
DAY = 86_400_000


@pytest.fixture
def log(tmp_path: Path, databases: Databases) -> Iterator[Engine]:
    engine = open_requests(tmp_path, databases)
    bring_to_head(engine, REQUESTS_LINE)
    yield engine
    engine.dispose()


def fill(log: Engine, clock: ManualClock, *ages: float) -> None:
    """Write a request for each age in days, each with bodies."""
    empty: dict[str, Any] = {
        column.name: {int: 0, bool: False, str: ""}[column.type.python_type]
        for column in requests.c
        if not column.nullable and column.name != "id"
    }
    now = clock.unix_ms()
    bodies = {"request_body": b"a prompt, long ago", "response_body": b"an answer"}
    rows = [
        {**empty, **bodies, "request_id": f"req_{number}", "at": now - round(age * DAY)}
        for number, age in enumerate(ages)
    ]
    with writing(log) as connection:
        connection.execute(insert(requests), rows)


def kept(log: Engine) -> dict[str, bool]:
    """Return which requests are there, and whether with their bodies."""
    with log.connect() as connection:
        rows = connection.execute(select(requests).order_by(requests.c.id)).all()
    assert all((row.request_body is None) == (row.response_body is None) for row in rows)
    return {row.request_id: row.request_body is not None for row in rows}


def sweep_all(work: Retention) -> int:
    changed = 0
    while more := work.sweep():
        changed += more
    return changed


def test_lines_and_bodies_go_when_they_are_old_enough(log: Engine, clock: ManualClock) -> None:
    fill(log, clock, 0, 6.99, 7.01, 29.99, 30.01, 400)
    work = Retention(log, clock, Keep(days=30, bodies_days=7))
    assert sweep_all(work) == 4
    assert kept(log) == {"req_0": True, "req_1": True, "req_2": False, "req_3": False}
    assert sweep_all(work) == 0
    clock.advance(DAY / 1000)
    assert sweep_all(work) == 2
    assert kept(log) == {"req_0": True, "req_1": False, "req_2": False}


def test_nothing_goes_unless_it_is_wanted(log: Engine, clock: ManualClock) -> None:
    fill(log, clock, 0, 5_000)
    assert Retention(log, clock, Keep()).sweep() == 0
    assert kept(log) == {"req_0": True, "req_1": True}
    assert sweep_all(Retention(log, clock, Keep(bodies_days=1))) == 1
    assert kept(log) == {"req_0": True, "req_1": False}


def test_it_goes_in_small_batches(log: Engine, clock: ManualClock) -> None:
    fill(log, clock, *(40 + number / 1_000 for number in range(250)), 1)
    work = Retention(log, clock, Keep(days=30))
    assert [work.sweep() for _ in range(4)] == [100, 100, 50, 0]
    assert kept(log) == {"req_250": True}


def test_several_that_delete_at_once_delete_each_row_once(log: Engine, clock: ManualClock, tmp_path: Path) -> None:
    fill(log, clock, *([40] * 300))

    async def main() -> int:
        works = [Retention(log, clock, Keep(days=30)) for _ in range(3)]
        return sum(await asyncio.gather(*(asyncio.to_thread(sweep_all, work) for work in works)))

    assert asyncio.run(main()) + sweep_all(Retention(log, clock, Keep(days=30))) == 300
    assert kept(log) == {}


def test_a_late_line_of_a_time_that_was_looked_at_loses_its_body_too(log: Engine, clock: ManualClock) -> None:
    work = Retention(log, clock, Keep(bodies_days=7))
    assert sweep_all(work) == 0
    fill(log, clock, 7.5)
    assert sweep_all(work) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_of_a_deleted_prompt_nothing_stays_in_the_file(log: Engine, clock: ManualClock, tmp_path: Path) -> None:
    fill(log, clock, 8)
    assert sweep_all(Retention(log, clock, Keep(bodies_days=7))) == 1
    log.dispose()
    with sqlite3.connect(tmp_path / "requests.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert b"a prompt, long ago" not in (tmp_path / "requests.db").read_bytes()


def test_it_works_by_itself_and_through_an_outage(
    log: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    fill(log, clock, *([40] * 250))

    async def main() -> None:
        work = Retention(log, clock, Keep(days=30), every=0.02, pause=0.001)
        tasks: list[asyncio.Task[None]] = []

        def spawn(name: str, work: Coroutine[Any, Any, None]) -> None:
            tasks.append(asyncio.create_task(work, name=name))

        with out_of_reach(log):
            await work.start(spawn)
            async with asyncio.timeout(30):
                while not caplog.records:  # noqa: ASYNC110 - it is the work that logs
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            while await asyncio.to_thread(kept, log):  # noqa: ASYNC110 - it is the work that deletes
                await asyncio.sleep(0.01)
        await work.stop()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert "old rows cannot be deleted" in caplog.text


def test_where_all_is_kept_there_is_no_task(log: Engine, clock: ManualClock) -> None:
    async def main() -> None:
        work = Retention(log, clock, Keep())

        def spawn(name: str, work: Coroutine[Any, Any, None]) -> None:
            raise AssertionError(name)

        await work.start(spawn)
        await work.stop()

    asyncio.run(main())


def test_it_can_name_no_table_of_the_ledger() -> None:
    assert set(vars(retention)).isdisjoint(LEDGER.tables)
