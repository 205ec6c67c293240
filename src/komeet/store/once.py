"""Answers of calls with an `Idempotency-Key`, kept for a day beside the request log."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, final

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from komeet.canonical.once import Claim, Kept
from komeet.core.clock import Clock
from komeet.core.errors import Unavailable
from komeet.core.money import Nano
from komeet.store.engine import is_sqlite
from komeet.store.faults import describe
from komeet.store.quiet_log import QuietLog
from komeet.store.tables import idempotency
from komeet.store.transactions import writing

_LOG = logging.getLogger(__name__)
_DAY_MS: Final = 86_400_000
_RUNNING, _DONE = "running", "done"
_HEADERS: Final = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""


@final
class OnceStore:
    """Remembers calls by the names that their callers gave (see `pipeline.once.Memory`)."""

    def __init__(self, engine: Engine, clock: Clock, *, node: str, session: str, every: float = 600.0) -> None:
        """Remember nothing yet.

        Args:
            engine: of the request log.
            clock: says what is a day old.
            node: this machine, among those that share the database.
            session: this process: what it has under way when it dies is found by it.
            every: seconds between two looks for what is a day old.
        """
        self._engine = engine
        self._clock = clock
        self._node = node
        self._session = session
        self._every = every
        self._stopping = asyncio.Event()
        self._log = QuietLog(_LOG, clock)

    async def claim(self, claim: Claim) -> Kept | None:
        """Make the call this process's, or return what became of it; see the port."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(None, self._guarded, claim)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(lambda _: loop.run_in_executor(None, self._forgiving, self._release, claim))
            raise

    async def keep(self, claim: Claim, kept: Kept) -> None:
        """Keep what became of a call; see the port."""
        await asyncio.to_thread(self._forgiving, self._keep, claim, kept)

    async def release(self, claim: Claim) -> None:
        """Let the call be made again; see the port."""
        await asyncio.to_thread(self._forgiving, self._release, claim)

    async def start(self, spawn: Spawn) -> None:
        """Delete what is a day old, from now on, in a task that `spawn` starts."""
        spawn("idempotency", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned."""
        self._stopping.set()

    def sweep(self) -> int:
        """Delete what is a day old, and return how many there were; blocks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        old = idempotency.c.created_at <= self._clock.unix_ms() - _DAY_MS
        with self._engine.connect() as connection:
            if connection.execute(select(idempotency.c.key_id).where(old).limit(1)).first() is None:
                return 0
        with writing(self._engine) as connection:
            if is_sqlite(self._engine):
                connection.exec_driver_sql("PRAGMA secure_delete=ON")  # an answer should not stay in a free page
            return connection.execute(delete(idempotency).where(old)).rowcount

    def _claim(self, claim: Claim) -> Kept | None:
        for _ in range(3):
            with writing(self._engine) as connection:
                found = connection.execute(select(idempotency).where(*_of(claim))).mappings().first()
                if found is not None and found["created_at"] > claim.at - _DAY_MS:
                    return _kept(found)
                if found is not None:
                    stale = idempotency.c.created_at == found["created_at"]
                    connection.execute(delete(idempotency).where(*_of(claim), stale))
            if self._inserted(claim):
                return None
        raise Unavailable("Many calls with this Idempotency-Key came at once; try again.", retry_after=1)

    def _inserted(self, claim: Claim) -> bool:
        row = {
            "key_id": claim.key_id,
            "digest": claim.digest,
            "body_digest": claim.body_digest,
            "state": _RUNNING,
            "node": self._node,
            "session": self._session,
            "request_id": claim.request_id,
            "status": 0,
            "headers": b"",
            "body": None,
            "streamed": False,
            "cost": None,
            "created_at": claim.at,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(idempotency).values(row))
        except IntegrityError:  # another has just made it its own
            return False
        return True

    def _keep(self, connection: Connection, claim: Claim, kept: Kept) -> None:
        values = {
            "state": _DONE,
            "status": kept.status,
            "headers": msgspec.msgpack.encode(kept.headers),
            "body": kept.body,
            "streamed": kept.streamed,
            "cost": kept.cost,
        }
        connection.execute(update(idempotency).where(*_mine(claim)).values(values))

    def _release(self, connection: Connection, claim: Claim) -> None:
        connection.execute(delete(idempotency).where(*_mine(claim)))

    def _guarded(self, claim: Claim) -> Kept | None:
        try:
            return self._claim(claim)
        except SQLAlchemyError as error:
            self._log.write(logging.ERROR, "idempotency keys: the store is out of reach: %s", describe(error))
            raise Unavailable(
                "The store of idempotency keys is out of reach, so this call cannot be made only once. Try again.",
                retry_after=1,
            ) from None

    def _forgiving(self, work: Callable[..., None], *arguments: object) -> None:
        """The call is over: what cannot be written stays under way for a day, which repeats nothing."""
        try:
            with writing(self._engine) as connection:
                work(connection, *arguments)
        except SQLAlchemyError as error:
            self._log.write(logging.ERROR, "idempotency keys: an answer was not kept: %s", describe(error))

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self.sweep)
            except SQLAlchemyError as error:
                self._log.write(logging.ERROR, "idempotency keys: none was deleted: %s", describe(error))
            try:
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()
            except TimeoutError:
                continue


def release_dead(engine: Engine, *, node: str, session: str | None = None) -> int:
    """Let calls be made again that processes had under way when they died, and return how many there were; blocks.

    Args:
        engine: of the request log.
        node: this machine.
        session: the process that died; None: none of this node's runs.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
    """
    dead = [idempotency.c.state == _RUNNING, idempotency.c.node == node]
    if session is not None:
        dead.append(idempotency.c.session == session)
    with engine.connect() as connection:
        if connection.execute(select(idempotency.c.key_id).where(*dead).limit(1)).first() is None:
            return 0
    with writing(engine) as connection:
        return connection.execute(delete(idempotency).where(*dead)).rowcount


def _of(claim: Claim) -> tuple[Any, ...]:
    return (idempotency.c.key_id == claim.key_id, idempotency.c.digest == claim.digest)


def _mine(claim: Claim) -> tuple[Any, ...]:
    return (*_of(claim), idempotency.c.request_id == claim.request_id)


def _kept(row: RowMapping) -> Kept:
    done = row["state"] == _DONE
    return Kept(
        request_id=row["request_id"],
        body_digest=row["body_digest"],
        done=done,
        status=row["status"],
        headers=_HEADERS.decode(row["headers"]) if done else (),
        body=row["body"],
        streamed=row["streamed"],
        cost=None if row["cost"] is None else Nano(row["cost"]),
    )
