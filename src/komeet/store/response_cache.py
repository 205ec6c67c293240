"""Answers that may be given once more, in a database of their own (see `pipeline.flights.Answers`)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, final

import msgspec
from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from komeet.cache.entry import Entry
from komeet.core.clock import Clock
from komeet.store.cache_table import cached_answers
from komeet.store.engine import is_sqlite
from komeet.store.faults import describe
from komeet.store.quiet_log import QuietLog
from komeet.store.transactions import writing

_LOG = logging.getLogger(__name__)
_ROW: Final = 256
"""Bytes that an entry takes besides its answer, about."""
_AWAY: Final = 5.0
"""Seconds for which a database that failed is left alone: a cache must not slow calls down."""
_PART: Final = 16
"""What fills a sixteenth of the room is looked at, and where the room is full a sixteenth is made free."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""

T = TypeVar("T")


@final
class ResponseCache:
    """Finds and keeps answers; where the database fails it finds nothing, keeps nothing, and says so in the log."""

    def __init__(self, engine: Engine, clock: Clock, *, most_bytes: int, every: float = 60.0) -> None:
        """Hold nothing yet.

        Args:
            engine: of the cache, at the head of its schema.
            clock: says what has expired.
            most_bytes: of answers; above it the oldest go.
            every: seconds between two looks for what has expired.
        """
        self._engine = engine
        self._clock = clock
        self._most = most_bytes
        self._every = every
        self._unseen = most_bytes
        """Bytes that were kept since the room was last looked at."""
        self._away_until = 0.0
        self._stopping = asyncio.Event()
        self._log = QuietLog(_LOG, clock)
        self._decoder = msgspec.msgpack.Decoder(Entry)

    async def find(self, tenant: str, digest: bytes, *, since: int) -> Entry | None:
        """Return what is kept; see the port."""
        return await self._in_thread(lambda: self._find(tenant, digest, since))

    async def keep(self, tenant: str, digest: bytes, entry: Entry) -> None:
        """Keep an answer; see the port."""
        await self._in_thread(lambda: self._keep(tenant, digest, entry))

    async def start(self, spawn: Spawn) -> None:
        """Delete what has expired, from now on, in a task that `spawn` starts."""
        spawn("response cache", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned."""
        self._stopping.set()

    def sweep(self) -> int:
        """Delete what has expired and what there is no room for, and return how many entries; blocks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        self._unseen = 0
        table = cached_answers.c
        with self._engine.connect() as connection:
            used = connection.execute(select(func.coalesce(func.sum(table.size), 0))).scalar_one()
            last = connection.execute(select(func.min(table.expires_at))).scalar()
            until = self._oldest(connection.execute(_BY_AGE), used) if used > self._most else None
        gone = 0
        if last is not None and last <= self._clock.unix_ms():
            gone += self._delete(table.expires_at <= self._clock.unix_ms())
        if until is not None:
            gone += self._delete(table.created_at <= until)
        return gone

    def _oldest(self, rows: Any, used: int) -> int | None:
        """Return up to which moment entries must go."""
        room = self._most - self._most // _PART
        moment: int | None = None
        for created_at, size in rows:
            if used <= room:
                break
            moment = created_at
            used -= size
        return moment

    def _delete(self, condition: Any) -> int:
        with writing(self._engine) as connection:
            if is_sqlite(self._engine):
                connection.exec_driver_sql("PRAGMA secure_delete=ON")  # an answer should not stay in a free page
            return connection.execute(delete(cached_answers).where(condition)).rowcount

    def _find(self, tenant: str, digest: bytes, since: int) -> Entry | None:
        now = self._clock.unix_ms()
        table = cached_answers.c
        wanted = select(table.answer).where(
            table.tenant == tenant, table.digest == digest, table.expires_at > now, table.created_at > since
        )
        with self._engine.connect() as connection:
            found = connection.execute(wanted).scalar()
        try:
            return None if found is None else self._decoder.decode(found)
        except msgspec.DecodeError:
            return None

    def _keep(self, tenant: str, digest: bytes, entry: Entry) -> None:
        answer = msgspec.msgpack.encode(entry)
        size = len(answer) + _ROW
        if size > self._most:
            return
        row = {
            "tenant": tenant,
            "digest": digest,
            "answer": answer,
            "size": size,
            "created_at": entry.created_at,
            "expires_at": entry.expires_at,
        }
        table = cached_answers.c
        try:
            with writing(self._engine) as connection:
                connection.execute(delete(cached_answers).where(table.tenant == tenant, table.digest == digest))
                connection.execute(insert(cached_answers).values(row))
        except IntegrityError:
            return  # another node has just kept the same
        self._unseen += size
        if self._unseen > self._most // _PART:
            self.sweep()

    async def _in_thread(self, work: Callable[[], T]) -> T | None:
        if self._clock.monotonic() < self._away_until:
            return None
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            self._away_until = self._clock.monotonic() + _AWAY
            self._log.write(logging.WARNING, "response cache: the database is out of reach: %s", describe(error))
            return None

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            await self._in_thread(self.sweep)
            try:
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()
            except TimeoutError:
                continue


_BY_AGE: Final = select(cached_answers.c.created_at, cached_answers.c.size).order_by(cached_answers.c.created_at)
