"""Migrations: from every earlier schema with rows in it, whole or not at all, one at a time, never back."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import Engine, MetaData, event, func, insert, inspect, select, text, update
from tests.store.postgres import BOTH, Cluster

from komeet.core.clock import ManualClock
from komeet.core.secrets import Secret
from komeet.store.database import Store
from komeet.store.engine import Databases, open_cache, open_ledger, open_requests
from komeet.store.errors import StoreError
from komeet.store.keys import list_keys
from komeet.store.nodes import Heartbeat, require_none_serving
from komeet.store.schema import (
    CACHE_LINE,
    LEDGER_LINE,
    REQUESTS_LINE,
    Line,
    alembic_config,
    bring_to_head,
    require_head,
)
from komeet.store.tables import budget_windows, budgets, holds, nodes, outcomes, usage_hours
from komeet.store.transactions import writing

DATABASES = BOTH
HOUR = 3_600_000
ALL = (LEDGER_LINE, REQUESTS_LINE, CACHE_LINE)
OPENED = {"ledger": open_ledger, "requests": open_requests, "cache": open_cache}
LINES = pytest.mark.parametrize("line", ALL, ids=lambda line: line.name)

_KEY: dict[str, Any] = {
    "id": "key_1",
    "name": "app",
    "digest": b"d" * 32,
    "hint": "abcd",
    "account_id": 1,
    "models": '["gpt-5*"]',
    "tags": '["blue"]',
    "store_bodies": False,
    "created_at": 1_000,
}
_HOLD: dict[str, Any] = {
    "request_id": "req_1",
    "key_id": "key_1",
    "accounts": "[1]",
    "provider": "openai",
    "model": "gpt-5.2",
    "model_asked": "gpt-5.2",
    "tags": '["blue"]',
    "held_at": 2_000,
}
_OUTCOME: dict[str, Any] = {
    "overrun": 0,
    "estimated": False,
    "unpriced": False,
    "price_version": "1",
    "model_served": "gpt-5.2",
    "reason": "",
    "latency_us": 5,
    "ended_at": HOUR + 5,
}


def revisions(line: Line) -> list[str]:
    """Return the line's revisions, the earliest first."""
    scripts = ScriptDirectory.from_config(alembic_config(line))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def at(line: Line, revision: str) -> Line:
    """Return the line as it was in the version of this revision."""
    return Line(line.name, revision, line.metadata)


STARTS = [(line, revision) for line in ALL for revision in revisions(line)]


@pytest.fixture
def empty(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Databases without any table."""
    if database_kind == "sqlite":
        yield Databases()
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    name = cluster.new_database()
    yield Databases(ledger=Secret(cluster.url(name)))
    cluster.drop_database(name)


@pytest.fixture
def open_line(empty: Databases, tmp_path: Path) -> Iterator[Callable[[Line], Engine]]:
    engines: list[Engine] = []

    def open_line(line: Line) -> Engine:
        engines.append(OPENED[line.name](tmp_path, empty))
        return engines[-1]

    yield open_line
    for engine in engines:
        engine.dispose()


def fill(engine: Engine, line: Line) -> None:
    """Write rows as the version wrote them whose schema is there."""
    tables = MetaData()
    tables.reflect(engine)
    rows: dict[str, list[dict[str, Any]]] = {"cached_answers": [{"tenant": "key a"}]}
    if line.name == "ledger":
        limit = {"hard_limit": 1_000, "posted": 70, "held": 300}
        rows = {
            "accounts": [
                {"kind": "key", "name": "app", **limit},
                {"kind": "provider", "name": "openai", "posted": -70},
            ],
            "keys": [_KEY],
            "holds": [{**_HOLD, "attempt_id": f"att_{name}", "amount": 100} for name in ("open", "orphan", "settled")]
            + [{**_HOLD, "attempt_id": "att_running", "amount": 100}],
            "open_holds": [
                {"attempt_id": "att_open", "orphan": False},
                {"attempt_id": "att_running", "orphan": False},
                {"attempt_id": "att_orphan", "orphan": True},
            ],
            "outcomes": [
                {**_OUTCOME, "attempt_id": "att_settled", "state": "settled", "cost": 70, "input_tokens": 9},
                {**_OUTCOME, "attempt_id": "att_orphan", "state": "orphan", "cost": 0},
            ],
            "postings": [
                {"attempt_id": "att_settled", "account_id": 1, "leg": "charge", "amount": 70, "posted_at": HOUR + 5},
                {"attempt_id": "att_settled", "account_id": 2, "leg": "contra", "amount": -70, "posted_at": HOUR + 5},
            ],
        }
    elif line.name == "requests":
        rows = {"requests": [{"request_id": "req_1", "at": 5}, {"request_id": "req_2", "at": 6}]}
    with writing(engine) as connection:
        for name, values in rows.items():
            table = tables.tables[name]
            for row in values:
                connection.execute(insert(table).values(_whole(table, row)))


def _whole(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Give each column that needs a value one."""
    for column in table.c:
        if not column.nullable and column.server_default is None and column.name not in row and column.name != "id":
            kind = column.type.python_type
            row = {**row, column.name: {int: 0, bool: False, str: "", bytes: b""}[kind]}
    return row


def count(engine: Engine) -> dict[str, int]:
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in tables.tables.items()
        }


def require_whole(engine: Engine, line: Line) -> None:
    """The tables are those that the code describes."""
    require_head(engine, line)

    def is_ours(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name in line.metadata.tables

    with engine.connect() as connection:
        options: dict[str, Any] = {"version_table": line.version_table(engine).name, "include_object": is_ours}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), line.metadata) == []


def require_money(engine: Engine) -> None:
    """What was in the ledger of `fill` is there, in the words of this version."""
    assert [(key.id, key.name, key.models) for key in list_keys(engine)] == [("key_1", "app", ("gpt-5*",))]
    with engine.connect() as connection:
        assert connection.execute(select(holds.c.charge)).scalars().all() == [100] * 4
        assert sorted(connection.execute(select(outcomes.c.charge)).scalars()) == [0, 70]
        assert connection.execute(select(budgets.c.subject, budgets.c.amount)).all() == [("key_1", 1_000)]
        window = connection.execute(select(budget_windows)).one()
        assert (window.posted, window.held, window.leased) == (70, 100, 200)
        hours = connection.execute(select(usage_hours.c.hour, usage_hours.c.cost, usage_hours.c.orphans)).all()
        assert hours == [(HOUR, 70, 1)]


@pytest.mark.parametrize(("line", "start"), STARTS, ids=lambda value: value if isinstance(value, str) else "")
def test_from_every_earlier_schema_with_all_its_rows(
    line: Line, start: str, open_line: Callable[[Line], Engine]
) -> None:
    engine = open_line(line)
    bring_to_head(engine, at(line, start))
    if start != LEDGER_LINE.head:
        fill(engine, line)
    before = count(engine)
    bring_to_head(engine, line)
    require_whole(engine, line)
    after = count(engine)
    made = {"epochs", "accounts"}  # a counter for budgets, and the accounts of margins and adjustments
    assert {name: after[name] for name in before if name not in made} == {
        name: number for name, number in before.items() if name not in made
    }
    if start in {"ledger_0001", "ledger_0002"}:
        require_money(engine)
        with writing(engine) as connection:  # numbers that were given do not come again
            connection.execute(insert(budgets), [{**_budget(), "subject": "key_1"}])
    bring_to_head(engine, line)


def _budget() -> dict[str, Any]:
    return {
        "scope": "key",
        "span": "day",
        "zone": "UTC",
        "amount": 5,
        "hard": True,
        "thresholds": "[]",
        "created_at": 1,
    }


class _Crash(Exception):
    pass


@pytest.mark.slow
def test_a_migration_that_fails_anywhere_has_not_happened(open_line: Callable[[Line], Engine]) -> None:
    engine = open_line(LEDGER_LINE)
    bring_to_head(engine, at(LEDGER_LINE, "ledger_0002"))
    fill(engine, LEDGER_LINE)
    before, tables = count(engine), set(inspect(engine).get_table_names())
    left = 0

    def fail(*arguments: object) -> None:
        nonlocal left
        if not str(arguments[2]).startswith(("SELECT", "PRAGMA", "BEGIN")):
            left -= 1
            if left == 0:
                raise _Crash

    crashes = 0
    for step in range(1, 400, 7):
        left = step
        event.listen(engine, "before_cursor_execute", fail)
        try:
            bring_to_head(engine, LEDGER_LINE)
        except _Crash:
            crashes += 1
        else:
            break
        finally:
            event.remove(engine, "before_cursor_execute", fail)
        assert set(inspect(engine).get_table_names()) == tables
        assert count(engine) == before
    assert crashes > 3
    require_whole(engine, LEDGER_LINE)
    require_money(engine)


_DIES = """
import os, pathlib, sys
from sqlalchemy import event
from komeet.core.secrets import Secret
from komeet.store.engine import Databases, open_ledger
from komeet.store.schema import LEDGER_LINE, bring_to_head
address = os.environ.get('ADDRESS')
engine = open_ledger(pathlib.Path(sys.argv[1]), Databases(ledger=Secret(address) if address else None))
left = int(sys.argv[2])
def die(*arguments):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
event.listen(engine, 'before_cursor_execute', die)
bring_to_head(engine, LEDGER_LINE)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_migrates_leaves_it_to_the_next(
    empty: Databases, tmp_path: Path, open_line: Callable[[Line], Engine]
) -> None:
    engine = open_line(LEDGER_LINE)
    bring_to_head(engine, at(LEDGER_LINE, "ledger_0001"))
    fill(engine, LEDGER_LINE)
    environment = os.environ | ({"ADDRESS": empty.ledger.reveal()} if empty.ledger else {})
    for statement in (12, 30, 45):
        arguments = [sys.executable, "-c", _DIES, str(tmp_path), str(statement)]
        assert subprocess.run(arguments, env=environment, check=False).returncode == -9
    bring_to_head(engine, LEDGER_LINE)
    require_whole(engine, LEDGER_LINE)
    require_money(engine)


_OPENS = """
import logging, os, pathlib, sys
from komeet.core.secrets import Secret
from komeet.store.database import Store
from komeet.store.engine import Databases
import alembic.command
logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s')
print('ready', flush=True)
sys.stdin.readline()
address = os.environ.get('ADDRESS')
Store.open_for_cli(pathlib.Path(sys.argv[1]), Databases(ledger=Secret(address) if address else None)).close()
"""


@pytest.mark.slow
def test_nodes_that_start_at_once_take_turns_and_one_migrates(empty: Databases, tmp_path: Path) -> None:
    environment = os.environ | ({"ADDRESS": empty.ledger.reveal()} if empty.ledger else {})
    children = [
        subprocess.Popen(
            # Nodes have a directory each, where they share a database.
            [sys.executable, "-c", _OPENS, str(tmp_path / (f"node {number}" if empty.ledger else "data"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    said = b""
    writers = [threading.Thread(target=_go, args=[child]) for child in children]
    for writer in writers:
        writer.start()
    for child in children:
        assert child.stdout is not None
        said += child.stdout.read()
        assert child.wait(60) == 0
        child.stdout.close()
    for writer in writers:
        writer.join()
    assert said.count(b"Running upgrade  -> ledger_0001") == 1
    assert said.count(b"Running upgrade  -> requests_0001") == 1


def _go(child: "subprocess.Popen[bytes]") -> None:
    assert child.stdin is not None
    child.stdin.write(b"go\n")
    child.stdin.close()


@LINES
def test_a_newer_schema_is_refused_and_left_alone(
    line: Line, open_line: Callable[[Line], Engine], empty: Databases, tmp_path: Path
) -> None:
    empty = replace(empty, caching=True)
    Store.prepare(tmp_path, ManualClock(), databases=empty).close()
    engine = open_line(line)
    version = line.version_table(engine)
    with writing(engine) as connection:
        connection.execute(update(version).values(version_num="from_the_future"))
    with pytest.raises(StoreError, match=r"newer version of Komeet.*from_the_future.*Install that version"):
        Store.prepare(tmp_path, ManualClock(), databases=empty)
    if line is not CACHE_LINE:  # commands have no use for it
        with pytest.raises(StoreError, match="from_the_future"):
            Store.open_for_cli(tmp_path, empty)
    with engine.connect() as connection:
        assert connection.execute(select(version.c.version_num)).scalar() == "from_the_future"


def test_a_worker_takes_no_other_schema_than_its_own(open_line: Callable[[Line], Engine]) -> None:
    engine = open_line(LEDGER_LINE)
    with pytest.raises(StoreError, match="has schema none"):
        require_head(engine, LEDGER_LINE)
    bring_to_head(engine, at(LEDGER_LINE, "ledger_0002"))
    with pytest.raises(StoreError, match=r"has schema ledger_0002.*restart the server"):
        require_head(engine, LEDGER_LINE)


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_schema_is_not_changed_under_nodes_that_serve_with_it(open_line: Callable[[Line], Engine]) -> None:
    engine = open_line(LEDGER_LINE)
    bring_to_head(engine, LEDGER_LINE)
    beat = Heartbeat(engine, ManualClock(), "node_1")
    assert beat.beat()
    with writing(engine) as connection:
        connection.execute(update(nodes).values(host="other.example", seen_at=nodes.c.seen_at + 60_000))
        connection.execute(update(LEDGER_LINE.version_table(engine)).values(version_num="ledger_0002"))
    with pytest.raises(StoreError, match=r"older version of Komeet serve.*other\.example.*Stop them all"):
        bring_to_head(engine, LEDGER_LINE)
    beat.leave()
    with engine.connect() as connection:
        require_none_serving(connection)


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_node_that_has_just_been_killed_is_waited_out(open_line: Callable[[Line], Engine]) -> None:
    engine = open_line(LEDGER_LINE)
    bring_to_head(engine, LEDGER_LINE)
    assert Heartbeat(engine, ManualClock(), "node_1").beat()
    began = time.monotonic()
    with engine.connect() as connection:
        require_none_serving(connection)
    assert 3 < time.monotonic() - began < 8


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_server_that_is_too_old_is_named(
    open_line: Callable[[Line], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_line(LEDGER_LINE)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    monkeypatch.setattr(engine.dialect, "server_version_info", (14, 9))
    with pytest.raises(StoreError, match="is PostgreSQL 14; Komeet needs 15"):
        bring_to_head(engine, LEDGER_LINE)
    assert inspect(engine).get_table_names() == []
