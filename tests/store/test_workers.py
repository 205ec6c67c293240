"""Several processes on one data directory: budgets, outcomes, keys and log are right, whoever writes, whoever dies."""

import asyncio
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.store.worker import Worker, workers

from komeet.access.keys import Key
from komeet.core.clock import ManualClock, SystemClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.audit import audit, read_books
from komeet.store.database import Prepared, Store
from komeet.store.errors import StoreError
from komeet.store.keys import create_key, revoke_key
from komeet.store.recovery import CRASH
from komeet.store.request_log import recent_requests
from komeet.store.schema import LEDGER_LINE, alembic_config, is_older
from komeet.store.sqlite import open_engine, writing
from komeet.store.tables import accounts, open_holds, outcomes

NewHold = Callable[[Key, int], Hold]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def prepared(data_dir: Path) -> Iterator[Prepared]:
    with closing(Store.prepare(data_dir, ManualClock(), durability="crash")) as prepared:
        yield prepared


def a_key(data_dir: Path, budget: int | None = None) -> Key:
    limit = None if budget is None else Nano(budget)
    with closing(Store.open_for_cli(data_dir)) as files:
        return create_key(files.ledger, ManualClock(), name="app", budget=limit)[0]


def join(data_dir: Path, session: str) -> Store:
    return Store.join(data_dir, ManualClock(), durability="crash", session=session)


def balances(data_dir: Path, key: Key) -> tuple[int, int]:
    with closing(Store.open_for_cli(data_dir)) as files, files.ledger.connect() as connection:
        row = connection.execute(select(accounts).where(accounts.c.id == key.account)).one()
        return row.posted, row.held


def states(data_dir: Path) -> dict[str, tuple[str, str]]:
    with closing(Store.open_for_cli(data_dir)) as files, files.ledger.connect() as connection:
        rows = connection.execute(select(outcomes.c.attempt_id, outcomes.c.state, outcomes.c.reason))
        return {row.attempt_id: (row.state, row.reason) for row in rows}


def right(data_dir: Path) -> bool:
    with closing(Store.open_for_cli(data_dir)) as files:
        return audit(files.ledger) == []


def settled(hold: Hold, cost: int) -> Outcome:
    return Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost), ended_at=5)


@pytest.mark.usefixtures("prepared")
def test_four_processes_share_a_budget_for_ten_and_exactly_ten_are_admitted(data_dir: Path) -> None:
    key = a_key(data_dir, budget=1_000)
    with workers(data_dir, "a", "b", "c", "d") as four:
        for worker in four:
            worker.tell("hold", 50)
        admitted = [attempt for worker in four for attempt in worker.answer()]
        assert len(admitted) == 10
        assert balances(data_dir, key) == (0, 1_000)
        for worker in four:
            worker.do("settle", 30)
        for worker in four:
            worker.close()  # all is written then
    assert balances(data_dir, key) == (300, 0)
    assert states(data_dir) == dict.fromkeys(admitted, ("settled", ""))
    assert right(data_dir)


@pytest.mark.usefixtures("prepared")
def test_what_one_spends_the_next_hold_of_another_sees(data_dir: Path, new_hold: NewHold) -> None:
    key = a_key(data_dir, budget=1_000)

    async def main() -> None:
        with closing(join(data_dir, "a")) as one, closing(join(data_dir, "b")) as other:
            for turn in range(10):
                store = one if turn % 2 else other
                await store.ledger.hold(new_hold(key, 100))
            for store in (one, other):
                with pytest.raises(Exception, match="has no room"):
                    await store.ledger.hold(new_hold(key, 1))

    asyncio.run(main())
    assert balances(data_dir, key) == (0, 1_000)


def test_what_a_dead_worker_left_open_becomes_orphans_and_the_living_go_on(
    prepared: Prepared, data_dir: Path, new_hold: NewHold
) -> None:
    key = a_key(data_dir, budget=1_000)
    left, settles = new_hold(key, 100), new_hold(key, 50)

    async def main() -> None:
        with closing(join(data_dir, "living")) as living, closing(join(data_dir, "dead")) as dead:
            await living.ledger.hold(settles)
            await dead.ledger.hold(left)
            assert prepared.settle_session("another") == 0
            assert prepared.settle_session("dead") == 1
            assert prepared.settle_session("dead") == 0
            assert states(data_dir) == {left.attempt_id: ("orphan", CRASH)}
            living.ledger.end(settled(settles, 40))

    asyncio.run(main())
    assert states(data_dir) == {left.attempt_id: ("orphan", CRASH), settles.attempt_id: ("settled", "")}
    assert balances(data_dir, key) == (40, 100)
    assert right(data_dir)


def test_an_outcome_of_what_another_process_has_ended_changes_nothing(
    prepared: Prepared, data_dir: Path, new_hold: NewHold, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker was taken for dead; what it remembers of its holds is no longer so."""
    key = a_key(data_dir)
    lost, also_lost = new_hold(key, 100), new_hold(key, 10)
    later = new_hold(key, 1)

    async def main() -> None:
        with closing(join(data_dir, "slow")) as slow:
            await slow.ledger.hold(lost)
            await slow.ledger.hold(also_lost)
            assert prepared.settle_session("slow") == 2
            slow.ledger.end(settled(lost, 90))
            while slow.ledger.waiting:  # noqa: ASYNC110 - it is another thread that changes it
                await asyncio.sleep(0.001)
            slow.ledger.end(Outcome(attempt_id=also_lost.attempt_id, state=State.ORPHAN, reason="late", ended_at=9))
            await slow.ledger.hold(later)
            slow.ledger.end(settled(later, 1))

    asyncio.run(main())
    orphan = ("orphan", CRASH)
    assert states(data_dir) == {
        lost.attempt_id: orphan,
        also_lost.attempt_id: orphan,
        later.attempt_id: ("settled", ""),
    }
    assert balances(data_dir, key) == (1, 110)
    assert right(data_dir)
    assert caplog.records == []


@pytest.mark.slow
def test_workers_that_are_killed_under_load_leave_exactly_one_outcome_for_each_hold(
    prepared: Prepared, data_dir: Path
) -> None:
    a_key(data_dir)
    told: list[str] = []
    orphans = 0
    with workers(data_dir, "living", "also-living") as (living, other):
        for worker in (living, other):
            worker.tell("load", 10)
        for run in range(6):
            victim = Worker(data_dir, f"victim-{run}")
            victim.ready()
            victim.tell("load", 10)
            told += [victim.answer() for _ in range(1 + 40 * run)]
            told += victim.kill()
            victim.close()
            orphans += prepared.settle_session(victim.session)
            assert prepared.settle_session(victim.session) == 0
            for worker in (living, other):
                told += [worker.answer() for _ in range(20)]  # they go on
            assert right(data_dir)
        for worker in (living, other):
            told += worker.kill()
            orphans += prepared.settle_session(worker.session)
    with closing(Store.open_for_cli(data_dir)) as files, files.ledger.connect() as connection, connection.begin():
        books = read_books(connection)
    held = {hold.attempt_id for hold in books.holds}
    assert set(told) <= held
    assert Counter(end.outcome.attempt_id for end in books.ended) == Counter(held)
    assert sum(end.outcome.reason == CRASH for end in books.ended) == orphans > 0
    assert {end.outcome.state for end in books.ended} == {State.SETTLED, State.ORPHAN}
    assert right(data_dir)


@pytest.mark.usefixtures("prepared")
def test_a_key_that_another_process_revokes_counts_nowhere_within_a_second(data_dir: Path) -> None:
    key = a_key(data_dir)
    with workers(data_dir, "a", "b") as both:
        for worker in both:
            worker.tell("watch")
        for worker in both:
            assert worker.answer() == "watching"
        with closing(Store.open_for_cli(data_dir)) as files:
            before = time.monotonic()
            revoke_key(files.ledger, SystemClock(), key.id)
        assert [worker.answer() for worker in both] == ["revoked"] * 2
        assert time.monotonic() - before < 1


@pytest.mark.usefixtures("prepared")
def test_the_request_log_takes_the_lines_of_several_processes(data_dir: Path) -> None:
    with workers(data_dir, "a", "b", "c") as all_of_them:
        for worker in all_of_them:
            worker.tell("log", 500)
        assert [worker.answer() for worker in all_of_them] == [True] * 3
    with closing(Store.open_for_cli(data_dir)) as files:
        kept = [record.request_id for record in recent_requests(files.requests, limit=2_000)]
    assert sorted(kept) == sorted(f"req_{session}_{turn}" for session in "abc" for turn in range(500))


def test_whoever_prepares_may_fork(data_dir: Path) -> None:
    """It has no thread, and no database open, which must not be carried into another process."""
    before = threading.active_count()
    with closing(Store.prepare(data_dir, ManualClock())) as prepared:
        assert prepared.settle_session("nobody") == 0
        assert threading.active_count() == before
        opened = {link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
        assert {path for path in opened if path.is_relative_to(data_dir)} == {data_dir / "komeet.lock"}


@pytest.mark.usefixtures("prepared")
def test_a_directory_that_is_prepared_is_no_other_server_s(data_dir: Path) -> None:
    with pytest.raises(StoreError, match=f"Another Komeet server \\(process {os.getpid()}\\)"):
        Store.prepare(data_dir, ManualClock())
    with closing(join(data_dir, "a")), pytest.raises(StoreError, match="Another Komeet server"):
        Store.open(data_dir, ManualClock())


def _ended_server(data_dir: Path) -> None:
    """Leave the directory as a server leaves it whose process was killed."""
    Store.prepare(data_dir, ManualClock()).close()
    (data_dir / "komeet.lock").write_text(f"{2**22 + 1}\n")  # above every number that Linux gives


@pytest.mark.slow
def test_workers_that_outlive_their_server_are_waited_for_and_then_named(data_dir: Path) -> None:
    _ended_server(data_dir)
    with closing(join(data_dir, "a")):
        before = time.monotonic()
        with pytest.raises(StoreError, match=r"Workers of a Komeet server \(process 4194305"):
            Store.prepare(data_dir, ManualClock())
        assert time.monotonic() - before >= 4
    Store.prepare(data_dir, ManualClock()).close()


def test_a_start_waits_until_the_last_worker_of_the_killed_server_has_ended(data_dir: Path) -> None:
    _ended_server(data_dir)
    key = a_key(data_dir)
    with workers(data_dir, "left") as (left,):
        (attempt,) = left.do("hold", 1)
        ending = threading.Timer(0.3, left.process.kill)
        ending.start()
        with closing(Store.prepare(data_dir, ManualClock())) as prepared:
            assert prepared.recovered == 1
        ending.join()
    assert states(data_dir) == {attempt: ("orphan", CRASH)}
    assert balances(data_dir, key) == (0, 100)


@pytest.mark.parametrize("revision", ["ledger_0001", "from_the_future"])
@pytest.mark.usefixtures("prepared")
def test_a_worker_takes_only_the_schema_that_it_knows_and_changes_none(data_dir: Path, revision: str) -> None:
    with closing(sqlite3.connect(data_dir / "komeet.db", isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        with pytest.raises(StoreError, match=f"has schema {revision}.*restart"):
            join(data_dir, "a")
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)


def test_a_worker_makes_no_directory(data_dir: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        join(data_dir, "a")
    assert not data_dir.exists()


def test_open_holds_of_the_version_before_are_kept_and_recovered(data_dir: Path, new_hold: NewHold) -> None:
    """The migration: an attempt in flight when the earlier version ended is an orphan, as it would have been there."""
    from alembic import command  # noqa: PLC0415 - for this test only

    data_dir.mkdir()
    engine = open_engine(data_dir / "komeet.db", "crash")
    with writing(engine) as connection:
        command.upgrade(alembic_config(LEDGER_LINE, connection), "ledger_0001")
    assert is_older(engine, LEDGER_LINE)
    key, _ = create_key(engine, ManualClock(), name="app")
    hold = new_hold(key, 100)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO holds VALUES (?, 'req', ?, ?, 'openai', 'm', 'm', '[]', 100, 1)",
            (hold.attempt_id, key.id, f"[{key.account}]"),
        )
        connection.exec_driver_sql("INSERT INTO open_holds VALUES (?, 0)", (hold.attempt_id,))
        connection.exec_driver_sql("UPDATE accounts SET held = 100 WHERE id = ?", (key.account,))
    engine.dispose()
    with closing(Store.prepare(data_dir, ManualClock())) as prepared:
        assert prepared.recovered == 1
    assert states(data_dir) == {hold.attempt_id: ("orphan", CRASH)}
    with closing(Store.open_for_cli(data_dir)) as files, files.ledger.connect() as connection:
        assert connection.execute(select(open_holds.c.orphan, open_holds.c.session)).all() == [(True, "")]
    assert right(data_dir)
