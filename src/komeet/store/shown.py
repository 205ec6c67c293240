"""One attempt whole: all the rows that there are of it."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Engine, or_, select

from komeet.ledger.accounts import Ended, Posting
from komeet.ledger.entries import Entry
from komeet.ledger.port import Hold
from komeet.store.budgets import labelled
from komeet.store.entries import entry_of
from komeet.store.ledger_rows import ended_of, hold_of, posting_of
from komeet.store.tables import accounts, budgets, entries, holds, keys, open_holds, outcomes, postings

_NEAR: Final = 50_000
"""Postings are written in the order of their time, but for those that a journal kept; within so many ids."""


class Shown(Struct, frozen=True, kw_only=True):
    """An attempt, and everything that was written of it."""

    hold: Hold
    key: str
    """The name of its key."""
    is_open: bool
    """Whether something is still held for it."""
    ended: Ended | None
    postings: Sequence[tuple[int, Posting, str]]
    """Their ids, and whose account each is on; those of its entries too."""
    entries: Sequence[Entry]
    budgets: dict[int, str]
    """What the budgets of its shares are called."""


def find_attempts(engine: Engine, which: str) -> list[Shown]:
    """Return the attempt of this id, or those of the request of this id, in the order in which they were made.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
    """
    with engine.connect() as connection, connection.begin():
        chosen = (
            select(holds, keys.c.name.label("key_name"))
            .outerjoin(keys, keys.c.id == holds.c.key_id)
            .where(or_(holds.c.attempt_id == which, holds.c.request_id == which))
            .order_by(holds.c.attempt_id)
        )
        return [_shown(connection, row) for row in connection.execute(chosen).mappings().all()]


def _shown(connection: Connection, row: Any) -> Shown:
    hold = hold_of(row)
    outcome = connection.execute(select(outcomes).where(outcomes.c.attempt_id == hold.attempt_id)).mappings().first()
    about = select(entries).where(entries.c.attempt_id == hold.attempt_id).order_by(entries.c.id)
    entered = [entry_of(one) for one in connection.execute(about).mappings()]
    is_open = select(open_holds.c.attempt_id).where(open_holds.c.attempt_id == hold.attempt_id)
    ended = None if outcome is None else ended_of(outcome)
    found: list[tuple[int, Posting, str]] = []
    if ended is not None and (ended.outcome.cost or ended.outcome.charged):
        found += _postings(connection, postings.c.attempt_id == hold.attempt_id, ended.outcome.ended_at)
    for entry in entered:
        if entry.cost or entry.charge:
            found += _postings(connection, postings.c.entry_id == entry.id, entry.created_at)
    titles = labelled().where(budgets.c.id.in_([share.budget for share in hold.shares]))
    return Shown(
        hold=hold,
        key=row["key_name"] or "",
        is_open=connection.execute(is_open).first() is not None,
        ended=ended,
        postings=found,
        entries=entered,
        budgets={one["id"]: f"{one['scope']} {one['label'] or one['subject']}" for one in _rows(connection, titles)},
    )


def _rows(connection: Connection, chosen: Any) -> Sequence[Any]:
    return connection.execute(chosen).mappings().all()


def _postings(connection: Connection, is_it: Any, at: int) -> list[tuple[int, Posting, str]]:
    """No index finds the postings of an attempt, which every call would pay for: they are looked for by their time."""
    near = _id_at(connection, at)
    chosen = (
        select(postings, accounts.c.kind.label("whose"), accounts.c.name)
        .join(accounts, accounts.c.id == postings.c.account_id)
        .where(is_it)
        .order_by(postings.c.id)
    )
    nearby = chosen.where(postings.c.id > near - _NEAR, postings.c.id < near + _NEAR)
    rows = _rows(connection, nearby) or _rows(connection, chosen)
    return [(row["id"], posting_of(row), f"{row['whose']} {row['name']}") for row in rows]


def _id_at(connection: Connection, at: int) -> int:
    """The id of the first posting of that time or later, if they were in order."""
    ends = connection.execute(select(postings.c.id).order_by(postings.c.id.desc()).limit(1)).scalar() or 0
    low, high = 0, int(ends) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            select(postings.c.id, postings.c.posted_at).where(postings.c.id >= middle).order_by(postings.c.id).limit(1)
        ).first()
        if row is None or row.posted_at >= at:
            high = middle
        else:
            low = row.id + 1
    return low
