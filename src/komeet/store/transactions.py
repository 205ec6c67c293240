"""Write transactions, on either database: committed whole, seen whole, and never lost to one that began later."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import IntegrityError

_TAKE_TURN = select(func.pg_advisory_xact_lock(0x6B6F6D65))
"""The number says `kome`; whoever else uses advisory locks in this database should use another."""

BEGIN = "komeet_begin"
"""The option of a connection that says how SQLite begins its transactions; empty: there are none."""


def writer(engine: Engine) -> Connection:
    """Return a connection whose transactions may write what depends on what they read.

    On SQLite they take the write lock when they begin: one that reads first and writes later can find that another has
    written meanwhile, and fails at once; with `BEGIN IMMEDIATE` it waits for its turn instead.

    On PostgreSQL each statement sees what others have committed until then (READ COMMITTED), and whoever depends on a
    row locks it first (`with_for_update`, or the `UPDATE` itself): rows of several tables in the order epochs,
    accounts, budget windows, leases; those of one table by their primary key. So nobody waits in a circle.
    """
    return engine.connect().execution_options(**{BEGIN: "BEGIN IMMEDIATE"})


def in_order(connection: Connection) -> None:
    """Have this transaction of the ledger wait until no other one is under way; the first thing that it does.

    On SQLite that is so anyway. On PostgreSQL each touches many accounts, windows and leases in whatever order its
    records ask for, and two that did so at once could wait for each other; they are short, and few: each takes hundreds
    of records.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE_TURN)


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """One write transaction: committed at the end of the block, rolled back if the block raises."""
    with writer(engine) as connection, connection.begin():
        yield connection


@contextmanager
def rebuilding(engine: Engine) -> Generator[Connection]:
    """One write transaction in which tables may be made anew; references are checked once, at its end.

    SQLite changes little of a table that is there: it is made again under another name, and takes the old one's place.

    Raises:
        sqlalchemy.exc.IntegrityError: a row refers to one that is not there; nothing has been done.
    """
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            yield connection
        return
    with writer(engine) as connection:
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise IntegrityError("PRAGMA foreign_key_check", None, ValueError(f"a row of {broken[0]}"))
        finally:
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")
