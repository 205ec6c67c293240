"""Seals the books and audits them all the time, a little at a time, in one process of those that share a ledger."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from komeet.core.clock import Clock
from komeet.store.auditor import OnlineAuditor
from komeet.store.faults import describe
from komeet.store.quiet_log import QuietLog
from komeet.store.seal import Sealer

_LOG = logging.getLogger(__name__)

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""


@final
class Bookkeeper:
    """Takes a step of sealing and one of auditing, then pauses: shortly while there is more to do, `every` otherwise.

    Each worker of a machine may have one: the one that has the lock on the file works, and when it ends another does.
    Machines that share a database take turns by it.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        path: Path,
        *,
        every: float = 60.0,
        pause: float = 0.25,
        portion: int = 1_000,
    ) -> None:
        """Do nothing yet: `start` or `step` does.

        Args:
            engine: of the ledger.
            clock: says when something is sealed.
            path: of the lock's file, which is made if it is not there.
            every: seconds between two looks where there was nothing to do.
            pause: seconds between two steps.
            portion: postings of a step.

        Raises:
            OSError: the file cannot be made.
        """
        self._file: Final = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._sealer: Final = Sealer(engine, clock, most=portion)
        self._auditor: Final = OnlineAuditor(engine, clock, portion=portion)
        self._every = every
        self._pause = pause
        self._thread: Final = ThreadPoolExecutor(1, "komeet-books")
        self._stopping: Final = asyncio.Event()
        self._outages: Final = QuietLog(_LOG, clock, 60.0)
        self._alarms: Final = QuietLog(_LOG, clock, 60.0)
        self._mine = False

    @property
    def right(self) -> bool:
        """Whether this process has audited the books, and found them right."""
        return self._auditor.found is not None and not self._auditor.found.differences

    @property
    def differences(self) -> int:
        """How many differences the last audit found."""
        return 0 if self._auditor.found is None else len(self._auditor.found.differences)

    async def start(self, spawn: Spawn) -> None:
        """Work from now on, in a task that `spawn` starts."""
        spawn("books", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned, after the step that it is at."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        os.close(self._file)

    def step(self) -> bool:
        """Take one step of each; whether there is more to do at once. Blocks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        if not self._has_lock():
            return False
        sealed = self._sealer.step() is not None
        more = self._auditor.step()
        found = self._auditor.found
        if found is not None and found.differences:
            self._alarms.write(
                logging.ERROR,
                "ledger: the books are wrong, %d differences: %s; see `komeet ledger audit`",
                len(found.differences),
                found.differences[0],
            )
        return sealed or more

    def _has_lock(self) -> bool:
        if not self._mine:
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._mine = True
        return self._mine

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            pause = self._every
            try:
                if await loop.run_in_executor(self._thread, self.step):
                    pause = self._pause
            except SQLAlchemyError as error:
                self._outages.write(logging.WARNING, "ledger: sealing and auditing wait: %s", describe(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
