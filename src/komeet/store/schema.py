"""Brings a database to the schema of this version, or refuses one that is newer."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, func, inspect, select

from komeet.store.cache_table import CACHE
from komeet.store.engine import is_sqlite, place
from komeet.store.errors import StoreError
from komeet.store.nodes import require_none_serving
from komeet.store.postgresql import OLDEST, values_in_statements
from komeet.store.tables import LEDGER, REQUESTS
from komeet.store.transactions import rebuilding

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK: Final = 0x6B6F6D65
"""Of PostgreSQL's advisory locks those that are Komeet's; the line makes the second number."""
_LOCK_SECONDS: Final = 300
"""How long a node waits for another that migrates."""
_SCRIPTS = Path(__file__).parent / "migrations"


class Line(Struct, frozen=True):
    """One line of versions: that of one database, or of its part of one that they share."""

    name: str
    """Its folder below `migrations/versions`."""
    head: str
    """The newest revision there. Written down here so that a start with nothing to do need not import Alembic."""
    metadata: MetaData

    def version_table(self, engine: Engine) -> Table:
        """Return the table that says which revision is there; a PostgreSQL database may have both lines."""
        name = "alembic_version" if is_sqlite(engine) else f"komeet_{self.name}_version"
        return Table(name, MetaData(), Column("version_num", Text))


LEDGER_LINE = Line("ledger", "ledger_0003", LEDGER)
REQUESTS_LINE = Line("requests", "requests_0006", REQUESTS)
CACHE_LINE = Line("cache", "cache_0001", CACHE)


def is_older(engine: Engine, line: Line) -> bool:
    """Whether the database has a schema, and not that of this version: bringing it to the head takes it from others."""
    with engine.connect() as connection:
        return _version(connection, line) not in {None, line.head}


def require_head(engine: Engine, line: Line) -> None:
    """Refuse a database whose schema is not that of this version, whether older or newer.

    Raises:
        StoreError: it is another one; says which.
        sqlalchemy.exc.DBAPIError: the database is out of reach.
    """
    with engine.connect() as connection:
        found = _version(connection, line)
    if found != line.head:
        raise StoreError(
            f"{place(engine)} has schema {found or 'none'}, and this version of Komeet works with {line.head}. "
            "Was Komeet updated while its server runs? Then restart the server."
        )


def bring_to_head(engine: Engine, line: Line) -> None:
    """Run what is missing of the line's migrations, in one transaction; processes and machines take turns.

    What a crash interrupts has not happened: the next start begins with it again.

    Raises:
        StoreError: the schema is newer than this version of Komeet, or unknown to it; nodes of an older version serve
            with the one that is there; or the database server is too old.
        sqlalchemy.exc.DBAPIError: the database is out of reach.
    """
    with engine.connect() as connection:
        if _version(connection, line) == line.head:
            return
    with rebuilding(engine) as connection, values_in_statements(connection):
        _take_turn(connection, line)
        found = _version(connection, line)
        if found != line.head:
            _migrate(connection, line, found)


def is_known(revision: str, line: Line) -> bool:
    """Whether this version of Komeet can read a schema of this revision, or bring it to its own."""
    if revision == line.head:
        return True
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - costs a fifth of a start, and is seldom needed

    scripts = ScriptDirectory.from_config(alembic_config(line))
    return revision in {script.revision for script in scripts.walk_revisions()}


def alembic_config(line: Line, connection: Connection | None = None) -> "Config":
    """Return what Alembic needs to know to work on this line."""
    from alembic.config import Config  # noqa: PLC0415 - costs a fifth of a start, and is seldom needed

    table = None if connection is None else line.version_table(connection.engine).name
    config = Config(attributes={"connection": connection, "metadata": line.metadata, "version_table": table})
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", _literal(_SCRIPTS))
    config.set_main_option("version_locations", _literal(_SCRIPTS / "versions" / line.name))
    return config


def _take_turn(connection: Connection, line: Line) -> None:
    """On SQLite the transaction is exclusive from its beginning; on PostgreSQL a lock says so, until it ends."""
    if is_sqlite(connection.engine):
        return
    version = int((connection.dialect.server_version_info or (0,))[0])
    if version < OLDEST:
        raise StoreError(f"{place(connection.engine)} is PostgreSQL {version}; Komeet needs {OLDEST} or newer.")
    connection.execute(select(func.set_config("lock_timeout", f"{_LOCK_SECONDS}s", True)))
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK, sum(line.name.encode()))))


def _version(connection: Connection, line: Line) -> str | None:
    table = line.version_table(connection.engine)
    if not inspect(connection).has_table(table.name):
        return None
    return connection.execute(select(table.c.version_num)).scalar()


def _migrate(connection: Connection, line: Line, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - see above

    config = alembic_config(line, connection)
    if found is not None and not is_known(found, line):
        raise StoreError(
            f"The data was written by a newer version of Komeet ({place(connection.engine)} has schema {found}, "
            f"this version knows {line.head}). Install that version or a newer one, or use another data directory."
        )
    if found is not None:
        require_none_serving(connection)
    command.upgrade(config, line.head)


def _literal(path: Path) -> str:
    """A path as Alembic's configuration reads it back: it takes `%` for its own."""
    return str(path).replace("%", "%%")
