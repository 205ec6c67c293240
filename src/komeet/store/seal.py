"""The rows of seals: who seals what, and the walk along the chain."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from msgspec import Struct
from sqlalchemy import Boolean, Connection, Engine, Integer, Table, bindparam, func, insert, select, type_coerce
from sqlalchemy.exc import DBAPIError, IntegrityError

from komeet.core.clock import Clock
from komeet.ledger.seal import BEFORE_ALL, Kind, Row, Seal, Sealing, differs, follows
from komeet.store.engine import is_sqlite
from komeet.store.faults import describe
from komeet.store.horizon import Horizon
from komeet.store.tables import USAGE_COLUMNS, entries, holds, outcomes, postings, seals
from komeet.store.transactions import writing

_TURN: Final = 0x6B6F6D73
"""The advisory lock of whoever seals."""
_AT_ONCE: Final = 500

# The columns that are sealed, in their order: it is part of the format, and later columns are not in it.
_POSTING: Final = ("id", "attempt_id", "account_id", "leg", "amount", "posted_at", "entry_id")
_HOLD: Final = (
    "attempt_id", "request_id", "key_id", "accounts", "provider", "model", "model_asked", "tags", "amount", "held_at",
    "charge", "shares", "free",
)  # fmt: skip
_OUTCOME: Final = (
    "attempt_id", "state", "cost", "overrun", "estimated", "unpriced", *USAGE_COLUMNS, "price_version", "model_served",
    "reason", "latency_us", "first_token_us", "ended_at", "charge", "free",
    "free_tokens",
)  # fmt: skip
_ENTRY: Final = ("id", "kind", "attempt_id", "reference", "cost", "charge", "reason", "actor", "created_at")


def _select(table: Table, names: Sequence[str]) -> Any:
    """The values as they are kept: a truth value as the number that it is, whatever number that may be."""
    columns = (table.c[name] for name in names)
    return select(*(type_coerce(c, Integer) if isinstance(c.type, Boolean) else c for c in columns))


_POSTINGS: Final = (
    _select(postings, _POSTING)
    .where(postings.c.id > bindparam("after"), postings.c.id <= bindparam("last"))
    .order_by(postings.c.id)
    .limit(_AT_ONCE)
)
_HOLDS: Final = _select(holds, _HOLD).where(holds.c.attempt_id.in_(bindparam("ids", expanding=True)))
_OUTCOMES: Final = _select(outcomes, _OUTCOME).where(outcomes.c.attempt_id.in_(bindparam("ids", expanding=True)))
_ENTRIES: Final = _select(entries, _ENTRY).where(entries.c.id.in_(bindparam("ids", expanding=True)))


def sealed_rows(connection: Connection, first: int, last: int) -> Iterator[Row]:
    """Return the rows of a batch, in the order in which they are sealed; a few hundred postings at a time."""
    done: tuple[set[Any], set[Any]] = (set(), set())
    after = first - 1
    while found := _all(connection, {"after": after, "last": last}):
        attempts = {row[1] for row in found if row[1] is not None} - done[0]
        causes = {row[6] for row in found if row[6] is not None} - done[1]
        held = _by_id(connection, _HOLDS, attempts)
        ended = _by_id(connection, _OUTCOMES, attempts)
        entered = _by_id(connection, _ENTRIES, causes)
        for row in found:
            yield Kind.POSTING, _plain(row)
            for seen, name, tables in (
                (done[0], row[1], ((Kind.HOLD, held), (Kind.OUTCOME, ended))),
                (done[1], row[6], ((Kind.ENTRY, entered),)),
            ):
                if name is None or name in seen:
                    continue
                seen.add(name)
                for kind, rows in tables:
                    if name in rows:
                        yield kind, rows[name]
        after = found[-1][0]


def _all(connection: Connection, window: dict[str, int]) -> Sequence[Any]:
    return connection.execute(_POSTINGS, window).all()


def _by_id(connection: Connection, chosen: Any, ids: set[Any]) -> dict[Any, tuple[Any, ...]]:
    return {row[0]: _plain(row) for row in connection.execute(chosen, {"ids": list(ids)})} if ids else {}


def _plain(row: Any) -> tuple[Any, ...]:
    return tuple(int(value) if value is True or value is False else value for value in row)


def last_seal(connection: Connection) -> Seal | None:
    """Return the end of the chain; None: nothing is sealed yet."""
    row = connection.execute(select(seals).order_by(seals.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else _seal_of(row)


@final
class Sealer:
    """Seals what is not sealed yet, a batch at a time. Any number of processes may have one: they take turns."""

    def __init__(self, engine: Engine, clock: Clock, *, most: int = 2_000) -> None:
        """Seal nothing yet: `step` does.

        Args:
            engine: of the ledger.
            clock: says when a batch is sealed.
            most: postings of a batch.
        """
        self._engine = engine
        self._clock = clock
        self._most = most
        self._horizon = Horizon()

    def step(self) -> Seal | None:
        """Seal one batch; None: there is nothing that can be sealed now, or another process is at it. Blocks.

        On SQLite the rows are read before the write transaction, which others wait for: they do not change.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        with self._engine.connect() as connection, connection.begin():
            if (
                not is_sqlite(self._engine)
                and not connection.execute(select(func.pg_try_advisory_xact_lock(_TURN))).scalar()
            ):
                return None
            seal = self._seal(connection, self._horizon.look(connection))
            if seal is None:
                return None
            if not is_sqlite(self._engine):
                _add(connection, seal)
                return seal
        try:
            with writing(self._engine) as connection:
                _add(connection, seal)
        except IntegrityError:  # another process has sealed them meanwhile
            return None
        return seal

    def _seal(self, connection: Connection, horizon: int) -> Seal | None:
        before = last_seal(connection)
        first = 1 if before is None else before.last + 1
        window = select(postings.c.id).where(postings.c.id >= first, postings.c.id <= horizon).order_by(postings.c.id)
        last = connection.execute(select(func.max(window.limit(self._most).subquery().c.id))).scalar()
        if last is None:
            return None
        number, digest = (1, BEFORE_ALL) if before is None else (before.number + 1, before.digest)
        sealing = Sealing(digest, number, first, int(last), self._clock.unix_ms())
        sealing.add(sealed_rows(connection, first, int(last)))
        return sealing.close()


def _add(connection: Connection, seal: Seal) -> None:
    connection.execute(
        insert(seals).values(
            id=seal.number,
            first_posting=seal.first,
            last_posting=seal.last,
            rows=seal.rows,
            previous=seal.previous,
            digest=seal.digest,
            sealed_at=seal.sealed_at,
        )
    )


class Verified(Struct, frozen=True, kw_only=True):
    """What a walk along the chain found."""

    seals: int
    """How many are right, from the first on."""
    head: bytes
    """The digest of the last of them: to be kept elsewhere."""
    last: int
    """The last posting that it seals."""
    unsealed: int
    """Postings after that, which nothing proves yet."""
    broken: str | None
    """The first break, in words; None: the chain is whole."""


def verify(engine: Engine, head: bytes | None = None) -> Verified:
    """Walk the chain from its beginning to its end or its first break; blocks, for as long as reading all rows takes.

    Args:
        engine: of the ledger.
        head: a digest that was kept elsewhere: the chain must go through it.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
    """
    before: Seal | None = None
    met, broken = head is None, None
    with engine.connect() as connection, connection.begin():
        while broken is None:
            number = 0 if before is None else before.number
            chosen = select(seals).where(seals.c.id > number).order_by(seals.c.id).limit(1)
            row = connection.execute(chosen).mappings().first()
            if row is None:
                break
            seal = _seal_of(row)
            broken = follows(seal, before) or _differs(connection, seal)
            if broken is None:
                before, met = seal, met or seal.digest == head
        last = 0 if before is None else before.last
        unsealed = connection.execute(select(func.count()).where(postings.c.id > last).select_from(postings))
        if broken is None and not met:
            broken = "no seal has the digest of --head: the chain was cut off before it, or rewritten"
        return Verified(
            seals=0 if before is None else before.number,
            head=BEFORE_ALL if before is None else before.digest,
            last=last,
            unsealed=unsealed.scalar_one(),
            broken=broken,
        )


def _differs(connection: Connection, seal: Seal) -> str | None:
    sealing = Sealing(seal.previous, seal.number, seal.first, seal.last, seal.sealed_at)
    try:
        sealing.add(sealed_rows(connection, seal.first, seal.last))
    except (DBAPIError, UnicodeError, ValueError, TypeError) as error:
        what = describe(error) if isinstance(error, DBAPIError) else str(error)
        return f"seal {seal.number} (postings {seal.first} to {seal.last}): its rows cannot be read: {what}"
    return differs(seal, sealing.close())


def _seal_of(row: Any) -> Seal:
    return Seal(
        number=row["id"],
        first=row["first_posting"],
        last=row["last_posting"],
        rows=row["rows"],
        previous=bytes(row["previous"]),
        digest=bytes(row["digest"]),
        sealed_at=row["sealed_at"],
    )
