"""The sums by the hour of what is entered besides calls: a correction counts in the hour in which it is entered."""

from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from komeet.store.tables import holds, usage_hours

_HOUR_MS: Final = 3_600_000
_KEYS: Final = ("hour", "key_id", "provider", "model", "tags")


def add_to_hour(connection: Connection, attempt: str, at_ms: int, *, cost: int, charge: int) -> None:
    """Add what an entry changes of an attempt to the hour in which it is entered, so that reports have it.

    Args:
        connection: in the write transaction of the entry.
        attempt: its id.
        at_ms: the entry's `created_at`, in Unix milliseconds.
        cost: nano-dollars, below 0 where less was billed.
        charge: nano-dollars.
    """
    hold = (
        connection.execute(
            select(holds.c.key_id, holds.c.provider, holds.c.model, holds.c.tags).where(holds.c.attempt_id == attempt)
        )
        .mappings()
        .one()
    )
    values: dict[str, Any] = {column.name: 0 for column in usage_hours.c}
    values |= {"hour": at_ms // _HOUR_MS * _HOUR_MS, "cost": cost, "charge": charge, **hold}
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    added = dialect.insert(usage_hours).values(values)
    sums = {name: usage_hours.c[name] + added.excluded[name] for name in ("cost", "charge")}
    connection.execute(added.on_conflict_do_update(index_elements=list(_KEYS), set_=sums))
