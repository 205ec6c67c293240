"""Statements that are run for many rows at once, several times a second: compiled once, their rows plain tuples."""

from collections.abc import Sequence
from typing import Any, final

from sqlalchemy import Connection, Delete, Dialect, Insert, Update


@final
class Bulk:
    """A statement that changes rows, for tuples of parameters.

    SQLAlchemy writes the SQL, and the driver gets the rows as they are: the usual way spends four times what the
    database itself takes on each row's parameters. Values must be what the driver takes (int, str, bytes, bool, None).
    """

    __slots__ = ("_compiled", "_names", "_statement")

    def __init__(self, statement: Insert | Update | Delete, *names: str) -> None:
        """`names` are the statement's parameters, in the order in which they come in each row and in the SQL."""
        self._statement = statement
        self._names = names
        self._compiled: dict[str, tuple[str, bool]] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run the statement for each row, and return how many rows it changed in all; nothing happens for none."""
        if not rows:
            return 0
        dialect = connection.dialect
        sql, positional = self._compiled.get(dialect.name) or self._compile(dialect)
        parameters = list(rows) if positional else [dict(zip(self._names, row, strict=True)) for row in rows]
        return connection.exec_driver_sql(sql, parameters).rowcount

    def _compile(self, dialect: Dialect) -> tuple[str, bool]:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(self._names))
        if compiled.positional:
            assert tuple(compiled.positiontup or ()) == self._names, compiled.positiontup
        self._compiled[dialect.name] = result = str(compiled), bool(compiled.positional)
        return result
