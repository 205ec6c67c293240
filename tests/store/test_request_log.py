"""The request log: it keeps what it can, says what it could not, and never stands in the way of a call."""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Engine, func, select, text
from tests.store.postgres import BOTH

from komeet.canonical.record import CallRecord, Tried
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.store.engine import Databases
from komeet.store.postgresql import Patience, open_postgresql
from komeet.store.request_log import Filter, RequestLog, find_request, recent_requests
from komeet.store.schema import REQUESTS_LINE, bring_to_head
from komeet.store.sqlite import open_engine
from komeet.store.tables import requests
from komeet.store.transactions import writing

FULL = CallRecord(
    request_id="req_1",
    at=1_000,
    surface="/v1/chat/completions",
    key_id="key_1",
    tags=("a", "b"),
    model_asked="gpt-5.2",
    model_served="gpt-5.2-2026-01-01",
    provider="openai",
    attempt_id="att_1",
    attempts=2,
    status=200,
    usage=Usage(input=10, cache_read=4, output=7, reasoning=5),
    cost=Nano(123),
    estimated=True,
    unpriced=True,
    streamed=True,
    latency_us=9_000,
    first_token_us=400,
    bytes_in=12,
    bytes_out=345,
    losses=("temperature",),
    upstream_request_id="up_1",
    cache="miss",
    saved=Nano(7),
    prompt_saved=Nano(-9),
    trail=(
        Tried(model="a/m", why="as listed", sent=True, status=503, said="Pas d\u00e9faut"),
        Tried(model="b", why="n"),
    ),
    request_body=b'{"model": 1}',
    response_body=b"data: \xff\n",
)
REFUSED = CallRecord(request_id="req_2", at=2_000, surface="/nowhere", key_id="key_2", status=404, error="unknown_url")


DATABASES = BOTH
SHORT = Patience(statement=0.2)


@pytest.fixture
def database(tmp_path: Path, databases: Databases) -> Iterator[Engine]:
    if databases.ledger is None:
        engine = open_engine(tmp_path / "requests.db", "crash", busy_ms=50)
    else:
        engine = open_postgresql(databases.ledger, "crash", patience=SHORT)
    bring_to_head(engine, REQUESTS_LINE)
    yield engine
    engine.dispose()


@contextmanager
def locked(engine: Engine) -> Generator[None]:
    """Nobody else can write the table."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def logging_to(database: Engine, clock: ManualClock, **limits: int) -> Generator[RequestLog]:
    log = RequestLog(database, clock, **limits)
    try:
        yield log
    finally:
        log.close()


def test_what_is_written_is_read_again(database: Engine, clock: ManualClock) -> None:
    with logging_to(database, clock) as log:
        log.ended(FULL)
        log.ended(REFUSED)
        assert log.flush()
        assert find_request(database, "req_1") == FULL
        assert recent_requests(database) == [REFUSED, replace(FULL, request_body=None, response_body=None)]
        assert find_request(database, "req_3") is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(since=2_000), ["req_2"]),
        (Filter(until=2_000), ["req_1"]),
        (Filter(key_id="key_1"), ["req_1"]),
        (Filter(provider="openai"), ["req_1"]),
        (Filter(model="gpt-5.2"), ["req_1"]),
        (Filter(model="gpt-5.2-2026-01-01"), ["req_1"]),
        (Filter(request_id="req_2"), ["req_2"]),
        (Filter(failed=True), ["req_2"]),
        (Filter(failed=False), ["req_1"]),
        (Filter(provider="openai", since=2_000), []),
    ],
)
def test_filters(database: Engine, clock: ManualClock, wanted: Filter, found: list[str]) -> None:
    with logging_to(database, clock) as log:
        log.ended(FULL)
        log.ended(REFUSED)
        assert log.flush()
    assert [record.request_id for record in recent_requests(database, wanted)] == found


def test_the_latest_come_first_and_no_more_than_asked(database: Engine, clock: ManualClock) -> None:
    with logging_to(database, clock) as log:
        for number in range(2_500):
            log.ended(replace(REFUSED, request_id=f"req_{number}", at=number))
    assert [record.at for record in recent_requests(database, limit=3)] == [2_499, 2_498, 2_497]
    with database.connect() as connection:
        assert connection.execute(select(func.count()).select_from(requests)).scalar() == 2_500


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=())))
def test_names_that_callers_make_up_are_kept(name: str, database: Engine, clock: ManualClock) -> None:
    before = len(recent_requests(database, limit=1_000))
    with logging_to(database, clock, linger=0) as log:
        log.ended(replace(FULL, model_asked=name, surface=name, model_served=name, upstream_request_id=name))
    assert log.dropped == 0
    assert len(recent_requests(database, limit=1_000)) == before + 1


def test_a_locked_database_costs_rows_and_no_time(
    database: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with logging_to(database, clock) as log:
        with locked(database):
            for _ in range(100):
                log.ended(FULL)
            assert log.flush()
            assert log.dropped == 100
            log.ended(FULL)
            assert log.flush()
        log.ended(REFUSED)
        assert log.flush()
    assert log.dropped == 101
    assert [record.request_id for record in recent_requests(database)] == ["req_2"]
    lines = [record for record in caplog.records if "dropped" in record.message]
    assert len(lines) == 1, "at most one a second, and the clock stood still"
    assert "100 rows" in lines[0].message
    assert "locked" in lines[0].message or "lock timeout" in lines[0].message


def test_a_full_queue_drops_the_newest_and_counts_them(database: Engine, clock: ManualClock) -> None:
    with logging_to(database, clock, most_rows=10) as log, locked(database):
        for number in range(30):
            log.ended(replace(FULL, request_id=f"req_{number}"))
        assert log.dropped >= 20
        assert log.flush()
    assert log.dropped == 30


def test_bodies_have_a_bound_of_their_own(database: Engine, clock: ManualClock) -> None:
    big = replace(FULL, request_body=b"x" * 600)
    with logging_to(database, clock, most_bytes=1_000) as log:
        log.ended(big)
        log.ended(big)
        log.ended(REFUSED)
        assert log.flush()
        log.ended(big)
    assert log.dropped == 1
    assert len(recent_requests(database)) == 3


def test_a_row_that_cannot_be_written_takes_no_other_with_it(database: Engine, clock: ManualClock) -> None:
    with logging_to(database, clock) as log:
        for record in (REFUSED, replace(REFUSED, bytes_in=10**30), FULL):
            log.ended(record)
        assert log.flush()
    assert log.dropped == 1
    assert [record.request_id for record in recent_requests(database)] == ["req_2", "req_1"]


def test_a_table_that_is_gone_costs_rows_only(
    database: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with writing(database) as connection:
        connection.execute(text("DROP TABLE requests"))
    with logging_to(database, clock) as log:
        log.ended(FULL)
        assert log.flush()
        clock.advance(1)
        log.ended(FULL)
        assert log.flush()
    assert log.dropped == 2
    missing = [r.levelno for r in caplog.records if "no such table" in r.message or "does not exist" in r.message]
    assert missing == [logging.WARNING] * 2
    assert "gpt-5.2" not in caplog.text, "no values in the log"


def test_closing_writes_what_waits_and_drops_what_comes_after(database: Engine, clock: ManualClock) -> None:
    log = RequestLog(database, clock, linger=60)
    for _ in range(5):
        log.ended(FULL)
    log.close()  # which does not linger
    log.close()
    log.ended(FULL)
    assert log.dropped == 1
    assert len(recent_requests(database)) == 5


def test_calls_of_strangers_are_not_kept(database: Engine) -> None:
    log = RequestLog(database, ManualClock())
    log.ended(replace(FULL, key_id=""))
    log.ended(FULL)
    log.close()
    assert [record.key_id for record in recent_requests(database)] == ["key_1"]
