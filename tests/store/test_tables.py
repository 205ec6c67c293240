"""The same tables and statements on PostgreSQL, and log lines that do not flood."""

import logging

import pytest
from sqlalchemy import Insert, Update
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from komeet.core.clock import ManualClock
from komeet.store.cache_table import CACHE
from komeet.store.quiet_log import QuietLog
from komeet.store.tables import LEDGER, REQUESTS, accounts, holds


def test_the_tables_are_valid_for_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in (*LEDGER.sorted_tables, *REQUESTS.sorted_tables, *CACHE.sorted_tables):
        made = str(CreateTable(table).compile(dialect=dialect))
        assert "ROWID" not in made
        for column in ("amount", "cost", "posted", "held", "hard_limit", "at", "ended_at", "created_at", "expires_at"):
            assert column not in table.c or f"{column} BIGINT" in made
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
    assert "id BIGSERIAL" in str(CreateTable(REQUESTS.tables["requests"]).compile(dialect=dialect))


def test_statements_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()
    for statement in (Insert(holds), Update(accounts).values(held=accounts.c.held + 1)):
        assert str(statement.compile(dialect=dialect))


def test_one_line_a_second_and_a_count_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = QuietLog(logging.getLogger("komeet.test"), clock)
    for _ in range(5):
        log.write(logging.WARNING, "rows: %d", 3)
    clock.advance(1)
    log.write(logging.WARNING, "rows: %d", 4)
    clock.advance(0.9)
    log.write(logging.WARNING, "rows: %d", 5)
    assert [record.getMessage() for record in caplog.records] == [
        "rows: 3",
        "rows: 4 (and 4 times more since the last such line)",
    ]
