"""PostgreSQL as a server needs it: no wait without an end, back by itself, fast in bulk, and silent about passwords."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from tests.store.ledgers import running, subject_of
from tests.store.postgres import Cluster

from komeet.core.clock import ManualClock, SystemClock
from komeet.core.errors import Unavailable
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.port import Hold
from komeet.store.bulk import Bulk
from komeet.store.database import DataFiles
from komeet.store.engine import Databases, open_ledger, open_requests, place
from komeet.store.errors import StoreError
from komeet.store.faults import describe, is_conflict, is_outage
from komeet.store.keys import create_key, list_keys
from komeet.store.postgresql import Patience, open_postgresql
from komeet.store.schema import LEDGER_LINE, bring_to_head
from komeet.store.transactions import in_order, writer, writing

SHORT = Patience(statement=0.4, pool=0.2)
PASSWORD = "s3cr3t-p4ss"

ROWS = Table("rows", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))


@pytest.fixture
def address(postgresql: Cluster) -> Iterator[Secret]:
    name = postgresql.new_database()
    yield Secret(postgresql.url(name))
    postgresql.drop_database(name)


@pytest.fixture
def open_it(address: Secret) -> Iterator[Callable[[], Engine]]:
    engines: list[Engine] = []

    def open_it() -> Engine:
        engines.append(open_postgresql(address, patience=SHORT, connections=2))
        return engines[-1]

    yield open_it
    for engine in engines:
        engine.dispose()


def _outage(ask: Callable[[], object]) -> float:
    """Ask for something that the database cannot give; return how long it took to be told."""
    began = time.monotonic()
    with pytest.raises(SQLAlchemyError) as told:
        ask()
    assert is_outage(told.value), told.value
    return time.monotonic() - began


def _one(engine: Engine) -> object:
    with engine.connect() as connection:
        return connection.execute(select(1)).scalar()


@pytest.mark.parametrize(
    "wrong",
    [
        f"postgresql://me:{PASSWORD}@[host/db",
        f"postgresql://me:/{PASSWORD}@host/db",
        f"postgresql://me:{PASSWORD}/{PASSWORD}@host/db",
        f"postgresql://me:a@{PASSWORD}@host/db",
        f"postgresql://me:{PASSWORD}%zz@host/db",
        f"postgresql://me:{PASSWORD}@host/db?no_such_option=1",
        f"mysql://me:{PASSWORD}@host/db",
        f"me:{PASSWORD}@host",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="postgresql://user@host") as refused:
        open_ledger(tmp_path, Databases(ledger=Secret(wrong)))
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_error_and_no_name_has_the_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    databases = Databases(ledger=Secret(f"postgresql://me:{PASSWORD}@127.0.0.1:1/db"))
    with pytest.raises(StoreError, match=r"`ledger.database` cannot be used: .*127\.0\.0\.1.*refused") as refused:
        DataFiles(tmp_path, databases=databases)
    engine = open_ledger(tmp_path, databases)
    said = [repr(databases), str(refused.value), repr(refused.value.__cause__), repr(engine), str(engine.url)]
    said += [place(engine), caplog.text, engine.url.render_as_string(hide_password=False)]
    engine.dispose()
    assert not [line for line in said if PASSWORD in line]
    assert place(engine) == "database db of 127.0.0.1:1"


def test_the_password_comes_from_where_libpq_looks(
    address: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGAPPNAME", "of libpq")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    engine = open_postgresql(address)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.info.get_parameters()["passfile"] == str(tmp_path / "pass")
    engine.dispose()


def test_the_address_may_say_otherwise(address: Secret) -> None:
    engine = open_postgresql(Secret(address.reveal() + "&application_name=mine&options=-c%20statement_timeout%3D77"))
    with engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "77ms"
        assert connection.execute(text("SHOW application_name")).scalar() == "mine"
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "4s"
    engine.dispose()


def test_a_commit_waits_for_the_disk_unless_told_otherwise(address: Secret) -> None:
    found: dict[str, object] = {}
    for durability in ("power_loss", "crash"):
        engine = open_postgresql(address, durability)
        with engine.connect() as connection:
            found[durability] = connection.execute(text("SHOW synchronous_commit")).scalar()
        engine.dispose()
    assert found == {"power_loss": "on", "crash": "off"}


def test_the_request_log_is_where_it_is_wanted(address: Secret, tmp_path: Path) -> None:
    for requests, kind in ((None, "postgresql"), (Secret(""), "postgresql"), (Secret("local"), "sqlite")):
        engine = open_requests(tmp_path, Databases(ledger=address, requests=requests))
        assert engine.dialect.name == kind
        engine.dispose()
    engine = open_requests(tmp_path, Databases(requests=address))
    assert engine.dialect.name == "postgresql"
    engine.dispose()


def test_a_slow_statement_fails_in_time(open_it: Callable[[], Engine]) -> None:
    engine = open_it()

    def sleep() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_sleep(5)"))

    assert _outage(sleep) < 2
    assert _one(engine) == 1


def test_whoever_waits_for_a_row_is_told_that_it_was_a_lock(open_it: Callable[[], Engine]) -> None:
    first, second = open_it(), open_it()
    ROWS.create(first)
    with writing(first) as connection:
        connection.execute(insert(ROWS).values(id=1, text="a"))
    with writing(first) as holder:
        holder.execute(update(ROWS).values(text="b"))

        def change() -> None:
            with writing(second) as connection:
                connection.execute(update(ROWS).values(text="c"))

        with pytest.raises(DBAPIError, match="lock timeout") as told:
            change()
    assert is_outage(told.value)


def test_a_pool_that_is_used_up_is_an_outage_and_not_a_wait(open_it: Callable[[], Engine]) -> None:
    engine = open_it()
    with engine.connect(), engine.connect():
        assert _outage(lambda: _one(engine)) < 2
    assert _one(engine) == 1


def test_a_forgotten_transaction_keeps_no_locks(address: Secret) -> None:
    engine = open_postgresql(address)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "5s"
    engine.dispose()


@pytest.mark.slow
def test_a_server_that_is_halted_is_an_outage_and_comes_back(durable_postgresql: Cluster) -> None:
    name = durable_postgresql.new_database()
    engine = open_postgresql(Secret(durable_postgresql.url(name)), patience=SHORT)
    connection = engine.connect()
    assert connection.execute(select(1)).scalar() == 1
    durable_postgresql.halt()
    try:
        assert _outage(lambda: connection.execute(text("SELECT 2"))) < 5, "the deadline of the client"
        connection.close()
        assert _outage(lambda: _one(engine)) < 10
    finally:
        durable_postgresql.go_on()
    assert _one(engine) == 1
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_server_that_was_restarted_is_used_as_if_nothing_had_been(
    durable_postgresql: Cluster, how: signal.Signals
) -> None:
    name = durable_postgresql.new_database()
    engine = open_postgresql(Secret(durable_postgresql.url(name)))
    bring_to_head(engine, LEDGER_LINE)
    key, _ = create_key(engine, ManualClock(), name="app")
    durable_postgresql.stop(how)
    assert _outage(lambda: list_keys(engine)) < 5
    durable_postgresql.start()
    assert list_keys(engine) == [key], "what was committed is there, and the pool has no dead connection"
    engine.dispose()


def test_many_rows_at_once_are_counted_and_fast(open_it: Callable[[], Engine]) -> None:
    engine = open_it()
    ROWS.create(engine)
    add = Bulk(insert(ROWS), "id", "text")
    change = Bulk(update(ROWS).where(ROWS.c.id == bindparam("which")).values(text=bindparam("new")), "new", "which")
    remove = Bulk(delete(ROWS).where(ROWS.c.id == bindparam("which")), "which")
    with writing(engine) as connection:
        began = time.perf_counter()
        assert add.run(connection, [(number, "100 % 'a'") for number in range(5_000)]) == 5_000
        assert time.perf_counter() - began < 2
        assert change.run(connection, [("new", number) for number in range(0, 6_000, 2)]) == 2_500
        assert remove.run(connection, [(number,) for number in range(4_990, 5_010)]) == 10
        assert remove.run(connection, []) == 0
    with engine.connect() as connection:
        texts = connection.execute(select(ROWS.c.text).where(ROWS.c.id < 4).order_by(ROWS.c.id)).scalars().all()
    assert texts == ["new", "100 % 'a'"] * 2


def test_what_a_row_holds_is_not_in_what_is_said_of_it(open_it: Callable[[], Engine]) -> None:
    engine = open_it()
    ROWS.create(engine)
    with pytest.raises(IntegrityError) as refused, writing(engine) as connection:
        connection.execute(insert(ROWS), [{"id": 7_654_321, "text": "a prompt"}] * 2)
    assert not is_outage(refused.value)
    assert "duplicate key" in describe(refused.value)
    assert "7654321" not in describe(refused.value)
    assert "a prompt" not in str(refused.value)


def test_a_deadlock_is_told_from_an_outage(address: Secret) -> None:
    first, second = (open_postgresql(address) for _ in range(2))
    ROWS.create(first)
    with writing(first) as connection:
        connection.execute(insert(ROWS), [{"id": 1, "text": "a"}, {"id": 2, "text": "a"}])
    lost: list[BaseException] = []

    def change(engine: Engine, order: tuple[int, int], both: threading.Barrier) -> None:
        try:
            with writing(engine) as connection:
                connection.execute(update(ROWS).where(ROWS.c.id == order[0]).values(text="b"))
                both.wait(30)
                connection.execute(update(ROWS).where(ROWS.c.id == order[1]).values(text="b"))
        except DBAPIError as error:
            lost.append(error)

    both = threading.Barrier(2)
    threads = [threading.Thread(target=change, args=[e, o, both]) for e, o in ((first, (1, 2)), (second, (2, 1)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [is_conflict(error) for error in lost] == [True]
    assert not is_conflict(ValueError())
    for engine in (first, second):
        engine.dispose()


def test_two_who_change_keys_at_once_change_them_one_after_the_other(open_it: Callable[[], Engine]) -> None:
    engines = [open_it() for _ in range(4)]
    bring_to_head(engines[0], LEDGER_LINE)
    errors: list[BaseException] = []

    def make(engine: Engine) -> None:
        try:
            for _ in range(10):
                create_key(engine, ManualClock(), name="app")
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=make, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list_keys(engines[0])) == 40
    with engines[0].connect() as connection:
        assert connection.execute(text("SELECT epoch FROM epochs WHERE name = 'keys'")).scalar() == 40


def test_a_process_that_is_halted_in_its_turn_at_the_ledger_keeps_nobody_waiting_for_long(
    address: Secret, tmp_path: Path
) -> None:
    """Each transaction of a ledger takes a turn; whoever is halted in one loses it, with the transaction."""
    clock = SystemClock()
    engine = open_postgresql(address, patience=Patience(statement=1.0, idle=0.5))
    bring_to_head(engine, LEDGER_LINE)
    key = create_key(engine, clock, name="app", budget=Nano(1_000))[0]
    statuses: list[str] = []

    async def main() -> None:
        async with running(engine, clock, tmp_path / "journal") as ledger:
            with writer(engine) as halted, pytest.raises(SQLAlchemyError), halted.begin():
                in_order(halted)  # and never another word
                began = time.monotonic()
                while statuses[-1:] != ["held"]:
                    hold = Hold(
                        attempt_id=f"att_{len(statuses)}",
                        request_id="req",
                        key_id=key.id,
                        accounts=(key.account,),
                        provider="openai",
                        model="m",
                        model_asked="m",
                        amount=Nano(10),
                        held_at=1,
                    )
                    try:
                        await ledger.hold(hold, subject_of(key))
                        statuses.append("held")
                    except Unavailable:
                        statuses.append("unavailable")
                        await asyncio.sleep(0.01)
                assert time.monotonic() - began < 10
                halted.execute(text("SELECT 1"))  # it goes on, and is told

    asyncio.run(main())
    engine.dispose()
