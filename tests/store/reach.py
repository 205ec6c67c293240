"""Takes a database away from whoever has it open, for as long as a context lasts."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import Engine


@contextmanager
def out_of_reach(engine: Engine) -> Generator[None]:
    """Nobody can use the engine's database: another process has the file for itself, or its server takes nobody."""
    engine.dispose()
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as thief:
            thief.execute("PRAGMA locking_mode=EXCLUSIVE")
            thief.execute("BEGIN EXCLUSIVE")
            yield
        return
    name = str(engine.url.database)
    with closing(psycopg.connect(f"host={engine.url.host} user=komeet dbname=postgres", autocommit=True)) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
