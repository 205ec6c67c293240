"""A process's ledger for tests: its session, its journal, its writer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import Engine

from komeet.access.keys import Key
from komeet.core.clock import Clock
from komeet.ledger.journal import Header
from komeet.ledger.port import Subject
from komeet.store.journal_file import JournalFile
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.session import begin_session
from komeet.store.transactions import writing

_NUMBERS = count(1)
NODE, BOOT = "node_test", "boot_test"


def subject_of(key: Key) -> Subject:
    """Whose budgets a call with this key concerns."""
    return Subject(key.id, key.user, key.project, key.organisation)


def open_ledger(engine: Engine, clock: Clock, directory: Path, *, most_waiting: int = 10_000) -> LedgerWriter:
    """Begin a session, and open its ledger, with its journal in `directory`."""
    session = f"wrk_{next(_NUMBERS):06d}"
    with writing(engine) as connection:
        begin_session(connection, session, NODE, BOOT, clock.unix_ms())
    journal = JournalFile(directory, Header(session, NODE, BOOT, 1))
    return LedgerWriter(engine, clock, journal, session=session, most_waiting=most_waiting)


@asynccontextmanager
async def running(
    engine: Engine, clock: Clock, directory: Path, *, most_waiting: int = 10_000
) -> AsyncGenerator[LedgerWriter]:
    """A ledger that is closed at the end, whatever happens."""
    ledger = open_ledger(engine, clock, directory, most_waiting=most_waiting)
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.close)
