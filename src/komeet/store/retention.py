"""Deletes what the request log has kept for long enough, a little at a time. The ledger keeps its rows, always."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, final

from msgspec import Struct
from sqlalchemy import ColumnElement, Delete, Engine, Update, delete, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from komeet.core.clock import Clock
from komeet.store.engine import is_sqlite
from komeet.store.faults import describe
from komeet.store.quiet_log import QuietLog
from komeet.store.tables import requests
from komeet.store.transactions import writing

_LOG = logging.getLogger(__name__)
_DAY_MS: Final = 86_400_000
_BATCH: Final = 100
"""Rows of a transaction, each with up to two mebibytes of bodies: those who write the log wait for no more."""
_TURN: Final = 0x6B6F6D66
"""The advisory lock of whoever deletes, so that many nodes do not delete the same rows."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""


class Keep(Struct, frozen=True, kw_only=True):
    """For how many days; None: for ever (bodies: as long as their lines)."""

    days: int | None = None
    bodies_days: int | None = None


@final
class Retention:
    """Looks every `every` seconds for what is too old, and deletes it in batches with pauses between them."""

    def __init__(self, engine: Engine, clock: Clock, keep: Keep, *, every: float = 600.0, pause: float = 0.05) -> None:
        """Delete nothing yet: `start` or `sweep` does.

        Args:
            engine: of the request log. Every process that has it open may have one of these: they take turns.
            clock: says what is old.
            keep: for how long.
            every: seconds between two looks.
            pause: seconds between two batches.
        """
        self._engine = engine
        self._clock = clock
        self._keep = keep
        self._every = every
        self._pause = pause
        self._thread = ThreadPoolExecutor(1, "komeet-retention")
        self._stopping = asyncio.Event()
        self._log = QuietLog(_LOG, clock)
        self._bodies_done = 0

    async def start(self, spawn: Spawn) -> None:
        """Delete from now on, in a task that `spawn` starts; where all is kept for ever there is none."""
        if self._keep != Keep():
            spawn("retention", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned, after the batch that it is at."""
        self._stopping.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def sweep(self) -> int:
        """Delete one batch of what is too old, and return how many rows changed; 0: there is no more. Blocks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        now = self._clock.unix_ms()
        changed = 0
        if self._keep.days is not None:
            changed = self._delete(now - self._keep.days * _DAY_MS)
        if not changed and self._keep.bodies_days is not None:
            changed = self._forget_bodies(now - self._keep.bodies_days * _DAY_MS)
        return changed

    def _delete(self, before: int) -> int:
        old = self._find(requests.c.at < before)
        return self._change(delete(requests).where(requests.c.id.in_(old))) if old else 0

    def _forget_bodies(self, before: int) -> int:
        """From where the last look ended: what never had a body is not read again."""
        has_body = or_(requests.c.request_body.is_not(None), requests.c.response_body.is_not(None))
        old = self._find(requests.c.at >= self._bodies_done, requests.c.at < before, has_body)
        if old:
            emptied = update(requests).where(requests.c.id.in_(old))
            return self._change(emptied.values(request_body=None, response_body=None))
        self._bodies_done = max(self._bodies_done, before - _DAY_MS)  # a line may be written a little after its time
        return 0

    def _find(self, *wanted: ColumnElement[bool]) -> Sequence[int]:
        """Before the transaction that changes them: on SQLite whoever writes the log would wait for this too."""
        found = select(requests.c.id).where(*wanted).order_by(requests.c.at).limit(_BATCH)
        with self._engine.connect() as connection:
            return connection.execute(found).scalars().all()

    def _change(self, how: Delete | Update) -> int:
        with writing(self._engine) as connection:
            if is_sqlite(self._engine):
                connection.exec_driver_sql("PRAGMA secure_delete=ON")  # a prompt should not stay in a free page
            elif not connection.execute(select(func.pg_try_advisory_xact_lock(_TURN))).scalar():
                return 0
            return connection.execute(how).rowcount

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            pause = self._every
            try:
                if await loop.run_in_executor(self._thread, self.sweep):
                    pause = self._pause
            except SQLAlchemyError as error:
                self._log.write(logging.WARNING, "request log: old rows cannot be deleted: %s", describe(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
