"""Background work that nobody awaits, watched: a failure is logged, and shutdown waits for what still runs."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

_LOG = logging.getLogger("komeet.net.tasks")

T = TypeVar("T")


class Tasks:
    """Runs coroutines in the background. The only place that starts tasks, beside the server's one per request."""

    __slots__ = ("_log", "_running")

    def __init__(self, log: logging.Logger = _LOG) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `work`; what it raises is logged once, under `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - a bound on the whole drain, spawned work included
        """Wait up to `timeout` seconds for everything to end, then cancel the rest; return how many were cancelled.

        What is spawned meanwhile is waited for too. Returns only when nothing runs any more.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        await asyncio.sleep(0)  # what was spawned just now begins, or it could not clean up after itself
        while self._running and (left := end - loop.time()) > 0:
            await asyncio.wait(self._running, timeout=left)
        cancelled: set[asyncio.Task[Any]] = set()
        while self._running:
            late = self._running - cancelled
            for task in late:
                self._log.warning("cancelled at shutdown: %s", task.get_name())
                task.cancel()
            cancelled |= late
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return len(cancelled)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("background task failed: %s", task.get_name(), exc_info=error)
