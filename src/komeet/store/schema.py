"""Brings a database file to the schema of this version, or refuses one that is newer."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, inspect, select

from komeet.store.errors import StoreError
from komeet.store.sqlite import writing
from komeet.store.tables import LEDGER, REQUESTS

if TYPE_CHECKING:
    from alembic.config import Config

_VERSION = Table("alembic_version", MetaData(), Column("version_num", Text))
_SCRIPTS = Path(__file__).parent / "migrations"


class Line(Struct, frozen=True):
    """One line of versions: that of one database file."""

    name: str
    """Its folder below `migrations/versions`."""
    head: str
    """The newest revision there. Written down here so that a start with nothing to do need not import Alembic."""
    metadata: MetaData


LEDGER_LINE = Line("ledger", "ledger_0002", LEDGER)
REQUESTS_LINE = Line("requests", "requests_0001", REQUESTS)


def is_older(engine: Engine, line: Line) -> bool:
    """Whether the database has a schema, and not that of this version: bringing it to the head takes it from others."""
    with engine.connect() as connection:
        return _version(connection) not in {None, line.head}


def require_head(engine: Engine, line: Line) -> None:
    """Refuse a database whose schema is not that of this version, whether older or newer.

    Raises:
        StoreError: it is another one; says which.
        sqlalchemy.exc.DBAPIError: the database is out of reach.
    """
    with engine.connect() as connection:
        found = _version(connection)
    if found != line.head:
        raise StoreError(
            f"{engine.url.database} has schema {found or 'none'}, and this version of Komeet works with {line.head}. "
            "Was Komeet updated while its server runs? Then restart the server."
        )


def bring_to_head(engine: Engine, line: Line) -> None:
    """Run what is missing of the line's migrations, in one transaction; two processes at once take turns.

    Raises:
        StoreError: the schema is newer than this version of Komeet, or unknown to it.
        sqlalchemy.exc.DBAPIError: the database is out of reach.
    """
    with engine.connect() as connection:
        if _version(connection) == line.head:
            return
    with writing(engine) as connection:
        found = _version(connection)
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

    config = Config(attributes={"connection": connection, "metadata": line.metadata})
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", _literal(_SCRIPTS))
    config.set_main_option("version_locations", _literal(_SCRIPTS / "versions" / line.name))
    return config


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _migrate(connection: Connection, line: Line, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - see above

    config = alembic_config(line, connection)
    if found is not None and not is_known(found, line):
        raise StoreError(
            f"The data was written by a newer version of Komeet ({connection.engine.url.database} has schema {found}, "
            f"this version knows {line.head}). Install that version or a newer one, or use another data directory."
        )
    command.upgrade(config, line.head)


def _literal(path: Path) -> str:
    """A path as Alembic's configuration reads it back: it takes `%` for its own."""
    return str(path).replace("%", "%%")
