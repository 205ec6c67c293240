"""The lines of an export, one after the other in one order, however many there are."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Engine, Select, and_, select

from komeet.canonical.usage import Usage
from komeet.ledger.export import Cell, Hour, amount
from komeet.store.ledger_rows import names_of, usage_of
from komeet.store.tables import (
    USAGE_COLUMNS,
    entries,
    holds,
    keys,
    organisations,
    outcomes,
    projects,
    usage_hours,
    users,
)

_AT_ONCE: Final = 1_000
_SUMS: Final = ("settled", "voided", "orphans", "estimated", "unpriced", "cost", "charge", "overrun", "free")


def export_hours(engine: Engine, since: int | None = None, until: int | None = None) -> Iterator[Hour]:
    """Return the sums by hour, key, model and tags, in that order; read as they are asked for.

    Args:
        engine: of the ledger.
        since: Unix milliseconds on the hour, inclusive.
        until: Unix milliseconds on the hour, exclusive.
    """
    chosen = (
        select(
            usage_hours,
            keys.c.name.label("key"),
            users.c.name.label("user"),
            projects.c.id.label("project_id"),
            projects.c.name.label("project"),
            organisations.c.id.label("organisation_id"),
            organisations.c.name.label("organisation"),
        )
        .outerjoin_from(usage_hours, keys, keys.c.id == usage_hours.c.key_id)
        .outerjoin(users, users.c.id == keys.c.user_id)
        .outerjoin(projects, projects.c.id == keys.c.project_id)
        .outerjoin(organisations, organisations.c.id == keys.c.organisation_id)
        .where(_within(usage_hours.c.hour, since, until))
        .order_by(*usage_hours.primary_key)
    )
    names = ("key", "user", "project_id", "project", "organisation_id", "organisation")
    for row in _stream(engine, chosen):
        sums: dict[str, Any] = {name: row[name] for name in ("hour", "key_id", "provider", "model", *_SUMS)}
        called: dict[str, Any] = {name: row[name] or "" for name in names}
        yield Hour(**sums, **called, tags=names_of(row["tags"]), usage=usage_of(row))


def export_attempts(engine: Engine, since: int | None = None, until: int | None = None) -> Iterator[dict[str, Cell]]:
    """Return a line for each attempt that ended, in that order, and one for each entry besides calls, in theirs.

    Args:
        engine: of the ledger.
        since: Unix milliseconds, inclusive.
        until: Unix milliseconds, exclusive.
    """
    chosen = (
        select(
            *(
                outcomes.c[name]
                for name in ("attempt_id", "state", "cost", "charge", "free", "overrun", "estimated", "unpriced")
            ),
            *(outcomes.c[name] for name in USAGE_COLUMNS),
            *(outcomes.c[name] for name in ("price_version", "model_served", "reason", "latency_us", "ended_at")),
            *(
                holds.c[name]
                for name in ("request_id", "key_id", "provider", "model", "model_asked", "tags", "held_at")
            ),
        )
        .join(holds, holds.c.attempt_id == outcomes.c.attempt_id)
        .where(_within(outcomes.c.ended_at, since, until))
        .order_by(outcomes.c.ended_at, outcomes.c.attempt_id)
    )
    for row in _stream(engine, chosen):
        yield _line(row, kind="attempt", at=row["ended_at"], reference="", actor="")
    others = (
        select(
            entries,
            *(holds.c[name] for name in ("request_id", "key_id", "provider", "model", "model_asked", "tags")),
        )
        .outerjoin(holds, holds.c.attempt_id == entries.c.attempt_id)
        .where(_within(entries.c.created_at, since, until))
        .order_by(entries.c.id)
    )
    for row in _stream(engine, others):
        yield _line(row, kind=row["kind"], at=row["created_at"], reference=row["reference"], actor=row["actor"])


def _line(row: Any, *, kind: str, at: int, reference: str, actor: str) -> dict[str, Cell]:
    """The same columns whatever the line is of, empty where it has none of it."""
    of_attempt = kind == "attempt"

    def own(name: str) -> Cell:
        return row[name] if of_attempt else None

    return {
        "kind": kind,
        "at_ms": at,
        "attempt_id": row["attempt_id"],
        "request_id": row["request_id"],
        "key_id": row["key_id"],
        "provider": row["provider"],
        "model": row["model"],
        "model_asked": row["model_asked"],
        "model_served": own("model_served"),
        "tags": ",".join(names_of(row["tags"] or "[]")),
        "state": own("state"),
        "estimated": own("estimated"),
        "unpriced": own("unpriced"),
        **{field: own(column) for field, column in zip(Usage.__struct_fields__, USAGE_COLUMNS, strict=True)},
        "cost": amount(row["cost"]),
        "charge": amount(row["charge"]),
        "free": amount(row["free"]) if of_attempt else None,
        "overrun": amount(row["overrun"]) if of_attempt else None,
        "price_version": own("price_version"),
        "reason": row["reason"],
        "latency_us": own("latency_us"),
        "reference": reference,
        "actor": actor,
    }


def _within(at: Any, since: int | None, until: int | None) -> Any:
    return and_(True, *(() if since is None else (at >= since,)), *(() if until is None else (at < until,)))


def _stream(engine: Engine, chosen: Select[Any]) -> Iterator[Any]:
    with engine.connect() as connection, connection.begin():
        yield from connection.execution_options(yield_per=_AT_ONCE).execute(chosen).mappings()
