"""The rows of free allowances: what is used of each in each window, read and raised in the transaction of the calls."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from komeet.ledger.free import FreeWindow
from komeet.ledger.port import Hold
from komeet.store.bulk import Bulk
from komeet.store.tables import free_windows

_FIND = select(free_windows).where(
    tuple_(free_windows.c.allowance, free_windows.c.starts_at).in_(bindparam("windows", expanding=True))
)


def _use(dialect: Any) -> Bulk:
    added = dialect.insert(free_windows)
    more = {"used": free_windows.c.used + added.excluded.used}
    keys = ["allowance", "starts_at"]
    return Bulk(added.on_conflict_do_update(index_elements=keys, set_=more), *keys, "used")


_USE = {"sqlite": _use(sqlite), "postgresql": _use(postgresql)}


def free_used(connection: Connection, holds: Iterable[Hold]) -> dict[FreeWindow, int]:
    """Return what is used of the allowances that these holds may have something of.

    Args:
        connection: in the write transaction that uses more of them: no other one does until it ends.
        holds: without an outcome yet.
    """
    windows = sorted({hold.free.window for hold in holds if hold.free is not None})
    if not windows:
        return {}
    rows = connection.execute(_FIND, {"windows": [tuple(window) for window in windows]})
    return {FreeWindow(row.allowance, row.starts_at): row.used for row in rows}


def free_kept(connection: Connection) -> dict[FreeWindow, int]:
    """Return what is used of every allowance, by window."""
    return {FreeWindow(row.allowance, row.starts_at): row.used for row in connection.execute(select(free_windows))}


def use_free(connection: Connection, more: Mapping[FreeWindow, int]) -> None:
    """Note that so much more is used, by window."""
    _USE[connection.dialect.name].run(connection, [(*window, used) for window, used in more.items()])
