"""Keeps the control process running: replaced when it dies and when the configuration changes, never in a worker's way.

Nothing that befalls it reaches the workers: it has a socket, a line and a back-off of its own.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from komeet.config.schema import Log
from komeet.console.status import Status
from komeet.core.clock import Clock
from komeet.local.process import ending, environment
from komeet.local.supervisor import Backoff
from komeet.net.tasks import Tasks
from komeet.serving.messages import ControlOrders, Look, Standing, ToSupervisor
from komeet.serving.process import CONTROL, Process, StartError

_LOG = logging.getLogger("komeet.serving")

_START_WITHIN: Final = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.1, 30.0, 10.0
"""Seconds between the end of a control process and the start of the next: see `Backoff`."""
_GRACE: Final = 3.0
"""Seconds from asking a control process to end until it is ended."""


class Keeper:
    """The control process of one listening socket; without a socket there is none."""

    def __init__(self, listener: socket.socket | None, log: Log, *, tasks: Tasks, clock: Clock) -> None:
        """Know where it listens and how it logs; `start` starts it."""
        self._listener: Final = listener
        self._orders: Final = ControlOrders(level=log.level, format=log.format)
        self._tasks: Final = tasks
        self._clock: Final = clock
        self._backoff: Final = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY)
        self._standing: Callable[[], Awaitable[Status]] | None = None
        self._replace: Final = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def start(self, standing: Callable[[], Awaitable[Status]]) -> None:
        """Start it, and keep it running; `standing` says how everything stands, whenever it asks."""
        self._standing = standing
        if self._listener is not None and self._work is None:
            self._work = self._tasks.spawn("serving.control", self._keep(self._listener))

    def replace(self) -> None:
        """Start another, and end this one when that takes connections."""
        self._replace.set()

    async def close(self) -> None:
        """End it, within a few seconds; the port is free then."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))
        if self._listener is not None:
            self._listener.close()

    async def _keep(self, listener: socket.socket) -> None:
        current: Process | None = None
        began = 0.0
        try:
            while True:
                self._replace.clear()
                started = await self._start(listener)
                if isinstance(started, StartError):
                    await self._rest(0.0, f"the control process did not start: {started}")
                    continue
                if current is not None:
                    await _end(current)
                current, began = started, self._clock.monotonic()
                if await self._ended(current):
                    status, current = await current.ended(), None
                    ran = self._clock.monotonic() - began
                    await self._rest(ran, f"the control process stopped: {ending(status)}")
        finally:
            if current is not None:
                await _end(current)

    async def _start(self, listener: socket.socket) -> Process | StartError:
        try:
            # What it need not know is not there to be shown: providers' keys stand in our environment.
            process = await Process.launch(CONTROL, listener, "", self._asked, environment(os.environ))
        except OSError as error:
            return StartError(f"the system refuses another process: {error.strerror or error}")
        process.tell(self._orders)
        try:
            await process.ready(_START_WITHIN)
        except StartError as error:
            await _end(process)
            return error
        except BaseException:
            process.signal(signal.SIGKILL)
            raise
        _LOG.info("control process %d takes connections", process.pid)
        return process

    async def _ended(self, process: Process) -> bool:
        """Wait until it ends, or is to be replaced; return whether it ended by itself."""
        ended = self._tasks.spawn("serving.control.ended", process.ended())
        asked = self._tasks.spawn("serving.control.asked", self._replace.wait())
        try:
            await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
            return ended.done()
        finally:
            ended.cancel()
            asked.cancel()

    async def _rest(self, ran: float, why: str) -> None:
        pause = self._backoff.after(ran)
        _LOG.error("%s; starting another in %.1f s", why, pause)
        await asyncio.sleep(pause)

    def _asked(self, process: Process, message: ToSupervisor) -> None:
        if isinstance(message, Look):
            self._tasks.spawn("serving.look", self._tell(process, message.number))
        else:
            _LOG.error("the control process %d said what was not expected", process.pid)

    async def _tell(self, process: Process, number: int) -> None:
        if self._standing is not None:
            process.tell(Standing(number=number, status=await self._standing()))


async def _end(process: Process) -> None:
    """End it: pages under way may still be sent, for a moment."""
    process.signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await process.ended()
    except TimeoutError:
        process.signal(signal.SIGKILL)
        await process.ended()
