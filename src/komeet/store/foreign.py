"""Reads the database of another program: SQLite, opened for reading only, and never changed."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import quote

from msgspec import Struct
from sqlalchemy import ColumnElement, create_engine, func, inspect, literal_column, select, table
from sqlalchemy.exc import SQLAlchemyError

from komeet.store.errors import StoreError

_EVERY_COLUMN: Final[ColumnElement[object]] = literal_column("*")
_MAGIC: Final = b"SQLite format 3\x00"


class ForeignTables(Struct, frozen=True, kw_only=True):
    """What was asked for, and how much there is of the rest."""

    rows: Mapping[str, Sequence[Mapping[str, object]]]
    counts: Mapping[str, int]
    """Rows of the tables that were not asked for."""


def is_sqlite_file(path: Path) -> bool:
    """Whether the file at `path` is a database of SQLite; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_tables(path: Path, wanted: Sequence[str]) -> ForeignTables:
    """Return the rows of some tables, each as values by column; those that are not there have none.

    Args:
        path: a database of SQLite.
        wanted: names of tables.

    Raises:
        StoreError: it cannot be read.
    """
    # what the driver has is taken as it is: the types of somebody else's columns are not ours to know
    engine = create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")
    try:
        with closing(engine.connect()) as connection:
            tables = inspect(connection).get_table_names()
            rows: dict[str, list[dict[str, object]]] = {}
            counts: dict[str, int] = {}
            for name in tables:
                if name in wanted:
                    found = connection.execute(select(_EVERY_COLUMN).select_from(table(name)))
                    rows[name] = [{column: _plain(value) for column, value in row.items()} for row in found.mappings()]
                else:
                    counts[name] = connection.execute(select(func.count()).select_from(table(name))).scalar_one()
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"{path}: {cause}") from error
    finally:
        engine.dispose()
    return ForeignTables(rows={name: rows.get(name, []) for name in wanted}, counts=counts)


def _plain(value: object) -> object:
    """Return text for bytes, and a number exactly as it is shown."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return Decimal(str(value)) if isinstance(value, float) else value
