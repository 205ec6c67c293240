"""A server under test, a caller that speaks in raw bytes, and an upstream that says whatever it is told to."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from komeet.core.clock import Clock, ManualClock
from komeet.core.errors import KomeetError
from komeet.core.http import Deadlines, Headers, HttpRequest, Origin, Outgoing, Reply
from komeet.net.limits import ServerLimits
from komeet.net.server import STATE_KEY, Handler, HttpProtocol, Screening, Serving, Shedding, Triage

T = TypeVar("T")

NEVER = 3600.0
"""A sweep that a test makes itself, by hand."""

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a test on the loop that production uses, with a bound on the whole; nothing may fail beside it."""
    failures: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.CancelledError):  # asyncio's own servers, when cancelled
            failures.append(context)

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(note)
        async with asyncio.timeout(60):
            return await main

    result = uvloop.run(bounded())
    assert not failures
    return result


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the other end brings about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - conditions of the code under test have no event
            await asyncio.sleep(0.001)


def refuse(error: KomeetError) -> tuple[int, Headers, bytes]:
    body = json.dumps({"error": {"message": error.message, "code": error.error_code}}).encode()
    return error.http_status, [(b"content-type", b"application/json")], body


async def echo(request: HttpRequest, reply: Reply) -> None:
    """Answer with what was understood."""
    seen = f"{request.method} {request.path}?{request.query.decode()} ".encode() + request.body
    reply.whole(200, [(b"content-type", b"text/plain")], seen)


class Answered:
    """An answer as a caller sees it, read by a parser that shares nothing with the one under test."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.fields = headers
        self.headers = dict(headers)
        self.body = body

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


class Caller:
    """A raw connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        fields = [line.split(b": ", 1) for line in lines[1:]]
        return int(lines[0].split(b" ")[1]), [(name, value) for name, value in fields]

    async def answer(self, *, head_only: bool = False) -> Answered:
        status, fields = await self.head()
        headers = dict(fields)
        if head_only or status in (100, 204, 304):
            body = b""
        elif b"content-length" in headers:
            body = await self.reader.readexactly(int(headers[b"content-length"]))
        elif headers.get(b"transfer-encoding") == b"chunked":
            body = b"".join([piece async for piece in self.chunks()])
        else:
            body = await self.reader.read()
        return Answered(status, fields, body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            if size == 0:
                return
            yield data

    async def ended(self) -> bytes:
        """Return what still comes before the server closes the connection."""
        return await self.reader.read()

    def pause(self) -> None:
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def resume(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

    def reset(self) -> None:
        self.writer.transport.abort()


class Site:
    """A server under test."""

    def __init__(self, serving: Serving, state: ServerState, port: int) -> None:
        self.serving = serving
        self.state = state
        self.port = port
        self._callers: list[Caller] = []

    @property
    def connections(self) -> set[Any]:
        return self.state.connections

    async def call(self, tls: ssl.SSLContext | None = None) -> Caller:
        name = None if tls is None else "localhost"
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name))
        self._callers.append(caller)
        return caller

    async def close(self) -> None:
        for caller in self._callers:
            await caller.close()


@asynccontextmanager
async def site(
    handle: Handler,
    *,
    limits: ServerLimits | None = None,
    clock: Clock | None = None,
    sweep_seconds: float = NEVER,
    log: logging.Logger | None = None,
    tls: ssl.SSLContext | None = None,
    shed: Shedding | None = None,
    screen: Screening | None = None,
) -> AsyncGenerator[Site]:
    """Serve on a port of its own, without uvicorn around it."""
    serving = Serving(
        handle=handle,
        refuse=refuse,
        triage=Triage(shed=shed, screen=screen),
        clock=clock or ManualClock(),
        limits=limits,
        sweep_seconds=sweep_seconds,
        log=log or logging.getLogger("tests.net"),
    )
    state, config = ServerState(), Config("none:none")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: HttpProtocol(config, state, {STATE_KEY: serving}), "127.0.0.1", 0, ssl=tls
    )
    running = Site(serving, state, server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        await running.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections and not state.tasks)


Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection that the client made to the upstream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Return the next request, head and body; b"" if the client closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return head + await self.reader.readexactly(length)

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def hang_up(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()

    async def left(self) -> None:
        """Return when the client has closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return


class Upstream:
    """A server that runs a script per connection, and counts."""

    def __init__(self, port: int, scheme: str = "http", host: str = "127.0.0.1") -> None:
        self.origin = Origin(scheme, host, port)
        self.peers: list[Peer] = []
        self.requests: list[bytes] = []
        self.gone = 0

    def outgoing(
        self,
        target: str = "/v1/x",
        *,
        method: str = "POST",
        headers: Headers = (),
        body: bytes = b"{}",
        **deadlines: float,
    ) -> Outgoing:
        return Outgoing(
            origin=self.origin,
            method=method,
            target=target,
            headers=headers,
            body=body,
            deadlines=Deadlines(**deadlines),
        )


@asynccontextmanager
async def upstream(
    script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncGenerator[Upstream]:
    """Listen on a port of its own, and run `script` for each connection; it closes when the script ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        running.peers.append(peer)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            running.gone += 1
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    running = Upstream(server.sockets[0].getsockname()[1], "https" if tls else "http", host)
    try:
        yield running
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answers: bytes) -> Script:
    """Answer the requests of each connection with these bytes, in turn, and the last one for ever."""

    async def script(peer: Peer) -> None:
        for number in range(1_000_000):
            if not await peer.request():
                return
            peer.say(answers[min(number, len(answers) - 1)])

    return script


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\nhello world"
