"""A database file by itself: a copy of one that is in use, and whether what is in it is sound."""

import sqlite3
from contextlib import closing
from pathlib import Path

from komeet.store.errors import StoreError
from komeet.store.staging import new_file

_BUSY_SECONDS = 30.0


def snapshot(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it meanwhile; `target` has no write-ahead log.

    It is one read transaction, from which writers wait for nothing: their log only grows until it ends. (In several
    steps, SQLite would begin again after each write of another process, and under load never end.)

    Raises:
        sqlite3.Error: it cannot be read, or the copy cannot be written.
        OSError: `target` cannot be made.
    """
    new_file(target).close()
    with closing(_open(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def revision(database: Path) -> str:
    """Return the revision of a database's schema, after looking at every page of it.

    Raises:
        StoreError: it is damaged, or not one of Komeet's; a clause that says so.
    """
    try:
        with closing(_open(database)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreError(f"{database.name} is damaged: {found}")
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StoreError(f"{database.name} is damaged: rows of it are missing")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{database.name} is damaged, or no database of Komeet: {error}") from error
    if row is None:
        raise StoreError(f"{database.name} has no schema")
    return str(row[0])


def in_use(database: Path) -> bool:
    """Whether another process has the database open; afterwards its write-ahead log is empty, and gone.

    A damaged one is not in use: whoever opens it gets an error.
    """
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1.0)) as connection:
            # Leaving write-ahead logging needs the file alone.
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    except sqlite3.Error:
        return False
    return False


def _open(database: Path) -> sqlite3.Connection:
    """Read only: nothing is changed, not even its write-ahead log."""
    return sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
