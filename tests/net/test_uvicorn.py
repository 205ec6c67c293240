"""What the server leans on in uvicorn: construction, application state, counting, and the graceful close."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.net.conftest import GET, Caller, echo, refuse, run, until
from uvicorn import Config, Server

from komeet.core.clock import SystemClock
from komeet.core.http import HttpRequest, Reply
from komeet.net.server import STATE_KEY, Handler, HttpProtocol, Serving

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Running:
    """A `uvicorn.Server` on a socket of ours."""

    def __init__(self, server: Server, task: "asyncio.Task[None]", port: int) -> None:
        self.server = server
        self.task = task
        self.port = port

    async def call(self) -> Caller:
        return Caller(*await asyncio.open_connection("127.0.0.1", self.port))

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.task


@asynccontextmanager
async def uvicorn(handle: Handler, *, grace: int | None = None) -> AsyncGenerator[Running]:
    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        scope["state"][STATE_KEY] = Serving(handle=handle, refuse=refuse, clock=SystemClock())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    listener = socket.create_server(("127.0.0.1", 0))
    config = Config(
        application,  # pyright: ignore[reportArgumentType] - uvicorn's own types of ASGI are unions of TypedDicts
        http=HttpProtocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        timeout_graceful_shutdown=grace,
    )
    server = Server(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    running = Running(server, task, listener.getsockname()[1])
    await until(lambda: server.started or task.done())
    try:
        yield running
    finally:
        await running.stop()


def test_it_serves_and_counts() -> None:
    async def main() -> None:
        async with uvicorn(echo) as running:
            caller = await running.call()
            for _ in range(3):
                caller.send(GET)
                assert (await caller.answer()).body == b"GET /? "
            assert running.server.server_state.total_requests == 3
            assert len(running.server.server_state.connections) == 1
            await caller.close()
            await until(lambda: not running.server.server_state.connections)

    run(main())


def test_graceful_shutdown_closes_idle_connections_and_lets_a_stream_end() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            if request.path != "/slow":
                reply.begin(200, [])
                reply.write(b"one")
            await gate.wait()
            if reply.started:
                reply.write(b"two")
                reply.end()
            else:
                await echo(request, reply)

        async with uvicorn(handle) as running:
            idle, streaming, waiting, sending = [await running.call() for _ in range(4)]
            streaming.send(GET)
            await streaming.head()
            chunks = streaming.chunks()
            assert await anext(chunks) == b"one"
            waiting.send(GET.replace(b"/ ", b"/slow ") + GET)
            sending.send(b"POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")
            connections = running.server.server_state.connections
            await until(lambda: len(connections) == 4 and sum(c._intake.phase.value == 2 for c in connections) == 1)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportAttributeAccessIssue]
            running.server.should_exit = True
            assert await idle.ended() == b""
            assert not running.task.done()
            gate.set()
            assert [chunk async for chunk in chunks] == [b"two"]
            assert await streaming.ended() == b""
            answer = await waiting.answer()
            assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
            assert await waiting.ended() == b"", "the pipelined request is not begun"
            sending.send(b"hi")
            answer = await sending.answer()
            assert (answer.body, answer.headers[b"connection"]) == (b"POST /slow? hi", b"close")
            await running.task
            for caller in (idle, streaming, waiting, sending):
                await caller.close()

    run(main())


def test_after_the_grace_time_handlers_are_cancelled() -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.begin(200, [])
            reply.write(b"one")
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with uvicorn(handle, grace=1) as running:
            caller = await running.call()
            caller.send(GET)
            await caller.head()
            await running.stop()
            await cancelled.wait()
            assert (await caller.ended()).endswith(b"3\r\none\r\n"), "cut, never ended as if it were whole"
            await until(lambda: not running.server.server_state.tasks)
            await caller.close()

    run(main())
