"""The power goes, and with it an end of what was written and never waited for: of SQLite's own log, of the journal."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, select
from tests.store.ledgers import NODE, running
from tests.store.lifecycles import Lifecycles

from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.store.audit import audit
from komeet.store.keys import create_key
from komeet.store.recovery import recover
from komeet.store.sqlite import open_engine
from komeet.store.tables import budget_windows, holds, keys, leases, open_holds, outcomes
from komeet.store.transactions import writing

CUTS = 40
BUDGETS = {"rich": Nano(10_000_000), "tight": Nano(900), "free": None}


def as_it_lies_there(engine: Engine, directory: Path, copy: Path) -> None:
    """Copy the database, its log and the journals, between two transactions."""
    copy.mkdir()
    with writing(engine):
        for name in ("komeet.db", "komeet.db-wal"):
            shutil.copyfile(directory / name, copy / name)
        shutil.copytree(directory / "journal", copy / "journal")


def in_flight(engine: Engine, clock: ManualClock, directory: Path) -> dict[str, int]:
    """Let many calls live, and copy everything in the middle; return how many had which fate by then."""
    callers = [create_key(engine, clock, name=name, budget=amount)[0] for name, amount in BUDGETS.items()]

    async def main() -> dict[str, int]:
        async with running(engine, clock, directory / "journal") as ledger:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # what follows is in the log only
            callers.append(create_key(engine, clock, name="late")[0])
            lives = Lifecycles(ledger, clock, callers, Random(8), "a", orphans=0.1)
            task = asyncio.create_task(lives.run(2_000))
            while lives.counted.total() < 400:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
            as_it_lies_there(engine, directory, directory / "copy")
            fates = dict(lives.counted)
            await task
            return fates

    return asyncio.run(main())


@contextmanager
def found(copy: Path, cut: Path, log: float, journal: float) -> Generator[Engine]:
    """Start on what is left: of the database's log and of the journals this part. The books are right."""
    shutil.rmtree(cut, ignore_errors=True)
    shutil.copytree(copy, cut)
    for path, part in ((cut / "komeet.db-wal", log), *((path, journal) for path in (cut / "journal").iterdir())):
        os.truncate(path, int(path.stat().st_size * part))
    with closing(sqlite3.connect(cut / "komeet.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    engine = open_engine(cut / "komeet.db", "crash")
    recover(engine, cut / "journal", node=NODE, boot="another boot", now_ms=9)
    assert audit(engine) == []
    yield engine
    engine.dispose()


def attempts(engine: Engine) -> dict[str, str]:
    """Each attempt with its key; all have one outcome, and nothing is leased."""
    with engine.connect() as connection:
        held = {row.attempt_id: row.key_id for row in connection.execute(select(holds))}
        assert set(connection.execute(select(outcomes.c.attempt_id)).scalars()) == held.keys()
        assert connection.execute(select(open_holds).where(open_holds.c.orphan.is_(False))).all() == []
        assert connection.execute(select(leases)).all() == []
        assert not any(row.leased for row in connection.execute(select(budget_windows)))
    return held


def known(engine: Engine) -> set[str]:
    """The keys that there are."""
    with engine.connect() as connection:
        return set(connection.execute(select(keys.c.id)).scalars())


def test_whatever_end_of_the_database_s_log_is_gone_the_journal_makes_it_good(
    engine: Engine, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But for calls with a key that is gone itself: each of them is named."""
    fates = in_flight(engine, clock, tmp_path)
    assert min(fates[fate] for fate in ("settled", "voided", "orphan", "left")) > 10, fates
    with found(tmp_path / "copy", tmp_path / "cut", 1, 1) as whole:
        everything, all_keys = attempts(whole), known(whole)
    assert "cannot be written" not in caplog.text
    assert len(everything) > 200
    chance, without_a_key = Random(9), 0
    for log in (0.0, *(chance.random() for _ in range(CUTS))):
        caplog.clear()
        with found(tmp_path / "copy", tmp_path / "cut", log, 1) as cut:
            gone = all_keys - known(cut)
            assert attempts(cut) == {attempt: key for attempt, key in everything.items() if key not in gone}
        lost = {attempt for attempt, key in everything.items() if key in gone}
        assert {attempt for attempt in everything if f"hold of {attempt} is in a journal" in caplog.text} == lost
        without_a_key += bool(lost)
    assert without_a_key > 0


def test_where_ends_of_both_are_gone_what_is_left_is_right(engine: Engine, clock: ManualClock, tmp_path: Path) -> None:
    in_flight(engine, clock, tmp_path)
    chance = Random(10)
    for _ in range(CUTS):
        with found(tmp_path / "copy", tmp_path / "cut", chance.random(), chance.random()) as cut:
            attempts(cut)
