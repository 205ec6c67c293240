"""A ledger in a file of its own for each test, with a key to spend from."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from tests.store.postgres import Cluster, find_binaries

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.port import Hold
from komeet.store.engine import Databases
from komeet.store.keys import create_key
from komeet.store.postgresql import open_postgresql
from komeet.store.schema import LEDGER_LINE, REQUESTS_LINE, bring_to_head
from komeet.store.sqlite import open_engine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules that say `DATABASES = BOTH` on both; the others on SQLite."""
    names: tuple[str, ...] = getattr(cast("Any", metafunc).module, "DATABASES", ())
    own = any("database_kind" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if names and "database_kind" in metafunc.fixturenames and not own:
        metafunc.parametrize("database_kind", names)


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL that waits for no disk; tests that need one are skipped where there is none."""
    yield from _cluster(durable=False)


@pytest.fixture(scope="session")
def durable_postgresql() -> Iterator[Cluster]:
    """One that may be killed, and keeps what it said it would."""
    yield from _cluster(durable=True)


def _cluster(*, durable: bool) -> Iterator[Cluster]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL 15 or newer here: install it, or the development tools (make sync-dev)")
    cluster = Cluster(binaries, durable=durable)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def template(postgresql: Cluster) -> str:
    """A database with both lines of tables, to make others from."""
    name = postgresql.new_database()
    for line in (LEDGER_LINE, REQUESTS_LINE):
        engine = open_postgresql(Secret(postgresql.url(name)))
        bring_to_head(engine, line)
        engine.dispose()
    return name


@pytest.fixture
def databases(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Where the databases of this test are: files, or a PostgreSQL database with all tables, for this test alone."""
    if database_kind == "sqlite":
        yield Databases()
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    name = cluster.new_database(request.getfixturevalue("template"))
    yield Databases(ledger=Secret(cluster.url(name)))
    cluster.drop_database(name)


@pytest.fixture
def another(tmp_path: Path, databases: Databases) -> Iterator[Callable[[], Engine]]:
    """Makes a further engine on the ledger of this test, as another process has one."""
    engines: list[Engine] = []

    def another() -> Engine:
        if databases.ledger is None:
            engine = open_engine(tmp_path / "komeet.db", "crash", busy_ms=100)
        else:
            engine = open_postgresql(databases.ledger, "crash")
        engines.append(engine)
        return engine

    yield another
    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(another: Callable[[], Engine]) -> Engine:
    engine = another()
    bring_to_head(engine, LEDGER_LINE)
    return engine


@pytest.fixture
def patient(engine: Engine) -> Iterator[Engine]:
    """The same database, for a ledger that waits out any lock of a test."""
    patient = open_engine(Path(str(engine.url.database)), "crash", busy_ms=60_000)
    yield patient
    patient.dispose()


@pytest.fixture
def key(engine: Engine, clock: ManualClock) -> Key:
    """A key with a budget of 1 000 n$."""
    return create_key(engine, clock, name="app", budget=Nano(1_000), tags=["blue", "team"])[0]


@pytest.fixture
def new_hold(clock: ManualClock) -> Callable[[Key, int], Hold]:
    ids = count()

    def new_hold(key: Key, amount: int) -> Hold:
        return Hold(
            attempt_id=f"att_{next(ids):06d}",
            request_id="req_1",
            key_id=key.id,
            accounts=(key.account,),
            provider="openai",
            model="gpt-5.2",
            model_asked="openai/gpt-5.2",
            tags=key.tags,
            amount=Nano(amount),
            held_at=clock.unix_ms(),
        )

    return new_hold
