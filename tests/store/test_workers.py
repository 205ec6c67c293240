"""Several processes on one data directory: budgets, outcomes, keys and log are right, whoever writes, whoever dies."""

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
from komeet.store.tables import accounts, budget_windows, outcomes

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


def window(data_dir: Path) -> tuple[int, int, int]:
    """What is posted, held and leased of the one budget that there is."""
    with closing(Store.open_for_cli(data_dir)) as files, files.ledger.connect() as connection:
        row = connection.execute(select(budget_windows)).one()
        return row.posted, row.held, row.leased


def right(data_dir: Path) -> bool:
    with closing(Store.open_for_cli(data_dir)) as files:
        return audit(files.ledger) == []


def settled(hold: Hold, cost: int) -> Outcome:
    return Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost), ended_at=5)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("prepared")
def test_four_processes_share_a_budget_for_ten_and_exactly_ten_are_admitted(data_dir: Path) -> None:
    key = a_key(data_dir, budget=1_000)
    with workers(data_dir, "a", "b", "c", "d") as four:
        for worker in four:
            worker.tell("hold", 125)
        admitted = [attempt for worker in four for attempt in worker.answer()]
        assert len(admitted) == 10
        until(lambda: balances(data_dir, key) == (0, 1_000))
        for worker in four:
            worker.do("settle", 30)
        for worker in four:
            worker.close()  # all is written then
    assert balances(data_dir, key) == (300, 0)
    assert states(data_dir) == dict.fromkeys(admitted, ("settled", ""))
    assert right(data_dir)


@pytest.mark.usefixtures("prepared")
def test_what_one_has_leased_and_does_not_use_the_others_can_have(data_dir: Path) -> None:
    """Far from the limit each takes a slice; when it is near, all of it can be spent by whoever asks."""
    key = a_key(data_dir, budget=10_000)
    with workers(data_dir, "a", "b", "c") as three:
        for worker in three:
            assert len(worker.do("hold", 1)) == 1
        admitted = three[0].do("hold", 200)
        assert len(admitted) == 97
        assert three[1].do("hold", 1) == []
        three[0].do("settle", 90)
        until(lambda: window(data_dir) == (98 * 90, 0, 200))  # what is not needed goes back at once, and no sooner
        assert len(three[1].do("hold", 20)) == 9  # of 98 times 10 that came back
        for worker in three:
            worker.do("settle", 100)
            worker.close()
    assert balances(data_dir, key) == (98 * 90 + 11 * 100, 0)
    assert right(data_dir)


def test_what_a_dead_worker_left_open_becomes_orphans_and_the_living_go_on(prepared: Prepared, data_dir: Path) -> None:
    key = a_key(data_dir, budget=100_000)
    with workers(data_dir, "living") as (living,):
        living.do("hold", 1)
        dead = Worker(data_dir, "dead")
        dead.ready()
        (lost,) = dead.do("hold", 1)
        assert prepared.settle_session("another") == 0
        assert prepared.settle_session("dead") == 0, "it is alive"
        dead.kill()
        dead.close()
        assert prepared.settle_session("dead") == 1
        assert prepared.settle_session("dead") == 0
        assert states(data_dir) == {lost: ("orphan", CRASH)}
        living.do("settle", 40)
    assert sorted(states(data_dir).values()) == [("orphan", CRASH), ("settled", "")]
    assert balances(data_dir, key) == (40, 100)
    assert window(data_dir) == (40, 100, 0)
    assert right(data_dir)


def test_a_worker_that_was_given_up_for_dead_changes_nothing_any_more(
    prepared: Prepared, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has taken its journal away: what it remembers of its holds and leases is no longer so."""
    key = a_key(data_dir, budget=100_000)
    with workers(data_dir, "slow") as (slow,):
        slow.do("hold", 2)
        until(lambda: balances(data_dir, key) == (0, 200))
        for path in (data_dir / "journal").iterdir():
            path.unlink()
        assert prepared.settle_session("slow") == 2
        slow.do("settle", 90)
    assert set(states(data_dir).values()) == {("orphan", CRASH)}
    posted, held, leased = window(data_dir)
    assert (posted, leased) == (0, 0)
    assert held > 200, "what it had leased stays held: nobody knows what it did with it"
    assert right(data_dir)
    assert caplog.records != []


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
