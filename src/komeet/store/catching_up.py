"""Waits until the database has what was in the journals a moment ago: it follows them by some milliseconds."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Final

from komeet.core.clock import Clock
from komeet.ledger.journal import JournalError, read_header
from komeet.store.journal_file import SUFFIX, Position, journals

_PATIENCE: Final = 5.0
_LOOK: Final = 0.01
_HEADER: Final = 4_096
"""Bytes in which a file's header is."""


def catch_up(data_dir: Path, ledger: Path, clock: Clock) -> int:
    """Wait, some seconds at most, until the ledger has all records that its journals have now.

    Args:
        data_dir: whose journals.
        ledger: the database, on SQLite.
        clock: says when to give up.

    Returns how many journals it still lacks records of: of processes that were killed and are not settled yet, or that
    cannot write.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    behind = _ends(journals(data_dir))
    until = clock.monotonic() + _PATIENCE
    pause = Event()
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        while behind := _still_behind(connection, behind, journals(data_dir)):
            if clock.monotonic() >= until:
                break
            pause.wait(_LOOK)
    return len(behind)


def _ends(directory: Path) -> dict[str, Position]:
    """How far each journal that has records is written."""
    found: dict[str, Position] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        session, segment, _ = path.name.rsplit(".", 2)
        with suppress(FileNotFoundError, JournalError), path.open("rb") as file:
            _, start = read_header(file.read(_HEADER))
            size = path.stat().st_size
            if size > start:
                found[session] = Position(int(segment), size)
    return found


def _still_behind(connection: sqlite3.Connection, wanted: dict[str, Position], directory: Path) -> dict[str, Position]:
    behind: dict[str, Position] = {}
    for session, end in wanted.items():
        chosen = "SELECT segment, position, ended_at FROM sessions WHERE session = ?"
        row = connection.execute(chosen, (session,)).fetchone()
        if row is None or row[2] is not None or not any(directory.glob(f"{session}.*{SUFFIX}")):
            continue  # it has ended, with all of its records
        if Position(row[0], row[1]) < end:
            behind[session] = end
    return behind
