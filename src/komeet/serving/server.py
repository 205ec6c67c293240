"""One server on a socket: `uvicorn.Server` with our protocol, which starts what it serves and stops it."""

import asyncio
import math
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import uvicorn
import uvloop

from komeet.net.entry import protocol
from komeet.net.server import STATE_KEY, Serving


class Service(Protocol):
    """What is served: a gateway, or the console."""

    async def start(self) -> Serving:
        """Return what the server's connections share."""
        ...

    async def stop(self, patience: float) -> None:
        """Settle everything, close everything; what goes on behind calls may take so many seconds."""
        ...


class _Retiring(Protocol):
    """A connection, of whatever kind."""

    def retire(self) -> None: ...


class Server(uvicorn.Server):
    """Says when it listens, can be relieved by another, and stops the service also when it is made to stop at once."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    def leave(self) -> None:
        """Close what is idle, let calls under way end within `server.drain_seconds`, and stop; twice: stop now."""
        self.force_exit = self.should_exit
        self.should_exit = True

    def leave_now(self) -> None:
        """Cut what is under way, and stop."""
        self.should_exit = self.force_exit = True

    async def retire(self, seconds: float) -> None:
        """Leave to a successor on the same socket, without cutting anybody off within so many seconds.

        Each connection closes with a reply that announces it, or some time after its last one.
        """
        self._retiring()
        for server in self.servers:
            server.close()
        connections = cast("set[_Retiring]", self.server_state.connections)
        for connection in list(connections):
            connection.retire()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while connections and loop.time() < end and not self.should_exit:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.1)
        if not self.should_exit:
            self.config.timeout_graceful_shutdown = 1
            self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to whoever runs this: uvicorn would raise them once more when all is done."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def _retiring(self) -> None:
        """Tell connections that are only beginning (a TLS handshake): they are in no list yet."""
        serving = cast("Serving | None", self.lifespan.state.get(STATE_KEY))
        if serving is not None:
            serving.retiring = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._retiring()
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn would leave now, with calls under way: what they cost would never be known.
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()


_Message = MutableMapping[str, Any]


@contextmanager
def serving(service: Service, drain_seconds: float, listener: socket.socket) -> Generator[None]:
    """Serve on `listener` from a thread, for as long as the context lasts; everything is settled when it ends."""
    ready = threading.Event()
    server = new_server(service, drain_seconds, ready.set)
    thread = threading.Thread(target=_run, args=(server, listener), name="komeet-server", daemon=True)
    thread.start()
    try:
        while not ready.wait(0.05):
            if not thread.is_alive():
                raise RuntimeError("the server ended before it was ready")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[listener]))


def new_server(service: Service, drain_seconds: float, on_ready: Callable[[], None]) -> Server:
    """Return a server that starts what it serves and stops it, for one run of `serve` on a socket."""

    async def lifespan(
        scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """The part of ASGI that uvicorn needs of us: start and stop."""
        assert scope["type"] == "lifespan"
        await receive()
        scope["state"][STATE_KEY] = await service.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await service.stop(1.0 if server.force_exit else 8.0)
        await send({"type": "lifespan.shutdown.complete"})

    settings = uvicorn.Config(
        lifespan,
        http=cast("type[asyncio.Protocol]", protocol),  # anything that makes one will do
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
        backlog=2048,
    )
    server = Server(settings, on_ready)
    return server
