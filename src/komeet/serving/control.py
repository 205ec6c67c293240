"""The control process: `python -m komeet.serving.control`, started by the supervisor with two sockets.

It serves the console on a port of its own, so that a slow report never slows a call. It gets no configuration and no
credential, opens no database, and asks the supervisor for what it shows. It ends with the supervisor.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from typing import Final

import uvloop

from komeet.console.application import Console
from komeet.console.status import Status
from komeet.core.clock import SystemClock
from komeet.core.errors import Unavailable
from komeet.net.limits import ServerLimits
from komeet.net.server import Serving
from komeet.serving.lifeline import tie
from komeet.serving.line import Line
from komeet.serving.messages import ControlOrders, Look, Ready, Standing, read_first, to_control
from komeet.serving.server import new_server
from komeet.telemetry.logs import configure

_LOG: Final = logging.getLogger("komeet.serving")

_PATIENCE: Final = 5.0
"""Seconds that the supervisor has to say how everything stands: it asks the workers, and gives them two."""
_DRAIN: Final = 1.0
"""Seconds that a page may still take when the process ends."""
_LIMITS: Final = ServerLimits(body_bytes=64 * 1024, connections=256)


class Supervisor:
    """The supervisor, as the control process sees it."""

    def __init__(self) -> None:
        """Know nobody yet: `line` is to be set."""
        self.line: Line[Standing] | None = None
        self._asked: Final[dict[int, asyncio.Future[Status]]] = {}
        self._number = 0

    def heard(self, message: Standing) -> None:
        """Take an answer of the supervisor's."""
        if (waiting := self._asked.get(message.number)) is not None and not waiting.done():
            waiting.set_result(message.status)

    def gone(self) -> None:
        """End this process at once: its supervisor has ended."""
        _LOG.critical("the supervisor has ended; so does the control process")
        os._exit(1)

    async def look(self) -> Status:
        """Ask how everything stands; raises Unavailable where it does not say in time."""
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            if self.line is not None:
                self.line.send(Look(number=number))
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError:
            raise Unavailable(f"The supervisor does not say within {_PATIENCE:g} s how everything stands.") from None
        finally:
            del self._asked[number]


class Control:
    """What the control process serves."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor: Final = supervisor

    async def start(self) -> Serving:
        """Return what the console's connections share."""
        clock = SystemClock()
        console = Console(self._supervisor.look, clock)
        return Serving(handle=console.handle, refuse=console.refusal, clock=clock, limits=_LIMITS, sweep_seconds=1.0)

    async def stop(self, patience: float) -> None:
        """Nothing is to be settled."""


def main() -> None:
    """Serve; return once told to end."""
    listener, end, parent = (int(argument) for argument in sys.argv[1:])
    tie(parent)
    line = socket.socket(fileno=end)
    orders = read_first(line, ControlOrders)
    if orders is None:
        return
    configure(orders.level, orders.format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=listener), line))


async def _serve(listener: socket.socket, end: socket.socket) -> None:
    supervisor = Supervisor()
    supervisor.line = line = Line(to_control, supervisor.heard, supervisor.gone)

    def ready() -> None:
        gc.collect()
        gc.freeze()
        line.send(Ready(example=None))

    server = new_server(Control(supervisor), _DRAIN, ready)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.leave)
    loop.add_signal_handler(signal.SIGINT, server.leave_now)
    await line.open(end)
    await server.serve(sockets=[listener])
    await line.close()


if __name__ == "__main__":
    main()
