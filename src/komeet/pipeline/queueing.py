"""Calls that wait for their turn: in the order in which they came, each key for itself, and so many at most."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final


class _Queue:
    __slots__ = ("turn", "waiting")

    def __init__(self) -> None:
        self.turn: Final = asyncio.Lock()
        """Whose turn it is; the lock hands it on in the order in which it was asked for."""
        self.waiting = 0


class Queues:
    """The queues of this process; one is there as long as somebody waits in it."""

    __slots__ = ("_queues", "_sleep")

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Have none; `sleep` waits for so many seconds."""
        self._queues: Final[dict[str, _Queue]] = {}
        self._sleep: Final = sleep

    def of(self, name: str) -> int:
        """Return how many wait in a queue."""
        queue = self._queues.get(name)
        return 0 if queue is None else queue.waiting

    async def wait(self, name: str, attempt: Callable[[], float | None], *, seconds: float, most: int) -> bool:
        """Wait for one's turn, then attempt until there is an answer. Who is cancelled leaves the queue.

        Args:
            name: of the queue.
            attempt: returns the seconds after which to try again, or None when it is done.
            seconds: how long to wait at most.
            most: how many may wait.

        Returns:
            Whether it was done; False: it took too long, or the queue is full.
        """
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue()
        if queue.waiting >= most:
            return False
        queue.waiting += 1
        try:
            async with asyncio.timeout(seconds), queue.turn:
                while (pause := attempt()) is not None:
                    await self._sleep(pause)
        except TimeoutError:
            return False
        finally:
            queue.waiting -= 1
            if not queue.waiting:
                del self._queues[name]
        return True
