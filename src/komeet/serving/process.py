"""One process, a worker or the control process, as the supervisor sees it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, cast

from msgspec import Struct

from komeet.local.process import ending
from komeet.serving.line import Line
from komeet.serving.messages import Failed, Measure, Measured, Ready, ToSupervisor, to_supervisor
from komeet.telemetry.samples import Family

WORKER: Final = "komeet.serving.worker"
CONTROL: Final = "komeet.serving.control"
"""The modules that such processes run."""
_PATIENCE: Final = 2.0
"""Seconds that a process has to say what it has counted."""


class StartError(Exception):
    """A process could not start; the message says why."""


class Process(asyncio.SubprocessProtocol):
    """A process that is ready some time, ends some time, and asks things meanwhile."""

    def __init__(self, session: str, asked: Callable[["Process", ToSupervisor], None]) -> None:
        """Know a process that is about to be started; `asked` takes what it asks."""
        loop = asyncio.get_running_loop()
        self.session: Final = session
        self.counted: list[Family] = []
        """What it had counted when it was last asked."""
        self.since = 0.0
        """When it was ready, on the supervisor's clock."""
        self.leaving = False
        """Whether it was told to end."""
        self._asked: Final = asked
        self._ready: Final[asyncio.Future[Ready]] = loop.create_future()
        self._ended: Final[asyncio.Future[int]] = loop.create_future()
        self._measured: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self._problem: str | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._line: Final = Line(to_supervisor, self._heard, self._silent)
        self._line_closed: Final[asyncio.Future[None]] = loop.create_future()

    @classmethod
    async def launch(
        cls,
        module: str,
        listener: socket.socket,
        session: str,
        asked: Callable[["Process", ToSupervisor], None],
        environment: Mapping[str, str] | None = None,
    ) -> "Process":
        """Start the process that `module` is, which waits for its orders.

        It gets a session of its own: Ctrl-C at the terminal reaches the supervisor alone. Without an `environment`, it
        has ours.

        Raises:
            OSError: the system refuses one more.
        """
        loop = asyncio.get_running_loop()
        ours, its = socket.socketpair()
        process = cls(session, asked)
        try:
            with its:
                await loop.subprocess_exec(
                    lambda: process,
                    *(sys.executable, "-P", "-m", module),
                    *(str(listener.fileno()), str(its.fileno()), str(os.getpid())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=None,
                    env=environment,
                    pass_fds=(listener.fileno(), its.fileno()),
                    start_new_session=True,
                )
            await process._line.open(ours)
        except BaseException:
            ours.close()
            process.signal(signal.SIGKILL)
            raise
        return process

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._transport is not None
        return self._transport.get_pid()

    @property
    def serving(self) -> bool:
        """Whether it takes connections."""
        return self._ready.done() and not self._ended.done() and not self.leaving

    def tell(self, message: Struct) -> None:
        """Send it a message, unless it has ended."""
        self._line.send(message)

    async def ready(self, within: float) -> Ready:
        """Wait until it takes connections; raises StartError where it ends before, or takes longer."""
        await asyncio.wait((self._ready, self._ended), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            return self._ready.result()
        if not self._ended.done():
            raise StartError(f"it was not ready within {within:g} s")
        raise StartError(self._problem or f"process {self.pid}: {ending(self._ended.result())}")

    async def ended(self) -> int:
        """Wait until it ends, with its last word; return its status, a negative one for a signal."""
        status = await asyncio.shield(self._ended)
        await asyncio.shield(self._line_closed)
        return status

    async def measure(self) -> None:
        """Ask it what it has counted, into `counted`; returns also when it does not say."""
        self._number += 1
        number = self._number
        answer = self._measured[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(Measure(number=number))
            await asyncio.wait((answer, self._ended), timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._measured[number]

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._transport is not None and not self._ended.done():
            with suppress(ProcessLookupError):  # it has ended, and the loop has not said so yet
                self._transport.send_signal(how)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def process_exited(self) -> None:
        assert self._transport is not None
        status = self._transport.get_returncode()
        if not self._ended.done():
            self._ended.set_result(-1 if status is None else status)
        self._transport.close()

    def _heard(self, message: ToSupervisor) -> None:
        match message:
            case Ready():
                if not self._ready.done():
                    self._ready.set_result(message)
            case Failed(message=problem):
                self._problem = problem
            case Measured(number=number, families=families):
                self.counted = families
                if (answer := self._measured.get(number)) is not None and not answer.done():
                    answer.set_result(None)
            case _:
                self._asked(self, message)

    def _silent(self) -> None:
        if not self._line_closed.done():
            self._line_closed.set_result(None)
