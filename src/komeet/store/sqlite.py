"""SQLite as Komeet uses it: WAL, foreign keys, short transactions that say when they begin."""

import os
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from komeet.store.transactions import BEGIN, rebuilding, writer, writing

__all__ = ["Durability", "open_engine", "rebuilding", "writer", "writing"]

_BUSY_MS = 5_000

Durability = Literal["power_loss", "crash"]
"""What a commit survives: a loss of power too (it waits for the disk), or a crash of Komeet only."""

_SYNCHRONOUS: Final = {"power_loss": "FULL", "crash": "NORMAL"}


def open_engine(path: Path, durability: Durability = "power_loss", *, busy_ms: int = _BUSY_MS) -> Engine:
    """Return an engine on the database file `path`, which is made, readable by its owner only, if it is not there.

    Args:
        path: its directory exists.
        durability: what a commit survives.
        busy_ms: how long a transaction waits for another process before it fails, in milliseconds.

    Raises:
        OSError: the file cannot be made.
        sqlalchemy.exc.DBAPIError: it is not a database, or out of reach.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=-1)

    def set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={busy_ms:d}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
        cursor.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone leaves data in the disk's cache
        cursor.close()

    def begin(connection: Connection) -> None:
        how = connection.get_execution_options().get(BEGIN, "BEGIN")
        if how:
            connection.exec_driver_sql(how)

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    _write_ahead(engine)
    return engine


def _write_ahead(engine: Engine) -> None:
    """Switch the file to write-ahead logging, which it keeps: readers and the writer no longer wait for each other."""
    with engine.connect().execution_options(**{BEGIN: ""}) as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
