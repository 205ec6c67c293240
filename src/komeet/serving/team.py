"""The supervisor, as a worker sees it: it knows where the embedded models are, and what the other workers counted."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from komeet.core.errors import InternalError, UpstreamBusy
from komeet.core.http import Origin
from komeet.core.secrets import Secret
from komeet.serving.line import Line
from komeet.serving.messages import Locate, Located, Measure, Measured, NotLocated, Retire, Scrape, Sums, ToWorker
from komeet.telemetry.samples import Family

_LOG = logging.getLogger("komeet.serving")


class Spawner(Protocol):
    """Starts work in the background; it is supervised, and waited for at shutdown."""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object: ...


class Team:
    """Asks the supervisor, and answers it."""

    def __init__(self, session: str) -> None:
        """Know one's name; `join` makes the rest work."""
        self.session: Final = session
        self._line: Line[ToWorker] | None = None
        self._asked: dict[int, asyncio.Future[Located | NotLocated | Sums]] = {}
        self._number = 0
        self._counted: Callable[[], list[Family]] = list
        self._retire: Callable[[float], object] = _nothing
        self._tasks: Spawner | None = None

    def join(
        self,
        line: Line[ToWorker],
        tasks: Spawner,
        counted: Callable[[], list[Family]],
        retire: Callable[[float], object],
    ) -> None:
        """Be in touch.

        Args:
            line: leads to the supervisor; `heard` is to take what comes from it.
            tasks: runs what takes longer.
            counted: says what this worker counted, from any thread.
            retire: lets this worker end by itself; its argument is the seconds that calls may still take.
        """
        self._line, self._tasks, self._counted, self._retire = line, tasks, counted, retire

    def heard(self, message: ToWorker) -> None:
        """Take a message of the supervisor's."""
        match message:
            case Located() | NotLocated() | Sums():
                if (waiting := self._asked.get(message.number)) is not None and not waiting.done():
                    waiting.set_result(message)
            case Measure(number=number):
                assert self._tasks is not None
                self._tasks.spawn("serving.measure", self.measure(number))
            case Retire(seconds=seconds):
                self._retire(seconds)

    def gone(self) -> None:
        """End this process at once: its supervisor has ended, and another may be waiting for the data directory."""
        _LOG.critical("the supervisor has ended; so does this worker")
        os._exit(1)

    async def measure(self, number: int = 0) -> None:
        """Tell what this worker has counted."""
        families = await asyncio.to_thread(self._counted)
        if self._line is not None:
            self._line.send(Measured(number=number, families=families))

    async def origin(self, model: str) -> tuple[Origin, Secret]:
        """Return where an embedded model answers and the key that it takes, started if need be.

        Raises:
            UpstreamBusy: it is being restarted, or cannot be started.
        """
        match await self._ask(lambda number: Locate(number=number, model=model)):
            case Located(host=host, port=port, key=key):
                return Origin("http", host, port), Secret(key)
            case NotLocated(message=message, retry_after=retry_after):
                raise UpstreamBusy(message, upstream_status=503, retry_after=retry_after)
            case Sums():
                raise InternalError("Something went wrong in the gateway.", detail="sums instead of an address")

    async def exposition(self) -> bytes:
        """Return the sums of all workers' counts, in Prometheus' text format."""
        answer = await self._ask(lambda number: Scrape(number=number))
        return answer.text if isinstance(answer, Sums) else b""

    async def _ask(self, question: Callable[[int], Locate | Scrape]) -> Located | NotLocated | Sums:
        if self._line is None:
            raise InternalError("Something went wrong in the gateway.", detail="a worker without a supervisor")
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._line.send(question(number))
            return await answer
        finally:
            del self._asked[number]


def _nothing(seconds: float) -> None:
    del seconds
