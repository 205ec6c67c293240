"""Two upstreams on raw sockets that lie as they are told, and keep a log of their own."""

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple, cast, final

from msgspec import Struct

from komeet.core.clock import Clock
from komeet.lab.drill.scenario import HEALTHY, Act, Asked, Call, Usage
from komeet.lab.drill.script import End, Told, Wait, Wish, page, saying, steps

_MARK: Final = re.compile(rb"\[drill (\d{1,9})\]")
_READ_FIRST: Final = 0.03
"""Seconds before a reset: it would take back what has been sent and not been read."""
_CLOSING: Final = 1.0
_RESET: Final = struct.pack("ii", 1, 0)
_LONGEST_HEAD: Final = 65_536


def mark(number: int) -> str:
    """Return what a prompt says of the call that it belongs to."""
    return f"[drill {number}]"


class Address(Struct, frozen=True):
    """Where an upstream listens; port 0 takes a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/v1"


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes


class _Line:
    """A line of the log, while it is written."""

    __slots__ = ("act", "at", "first", "left_at", "usage")

    def __init__(self, act: Act, at: float, *, first: bool) -> None:
        self.first = first
        self.at = at
        self.act = act
        self.usage: Usage | None = None
        self.left_at: float | None = None

    def read(self) -> Asked:
        return Asked(first=self.first, at=self.at, act=self.act, usage=self.usage, left_at=self.left_at)


@final
class Upstreams:
    """Plays both upstreams of every call; a call is known by the mark in its prompt."""

    __slots__ = ("_clock", "_leaving", "_log", "_open", "_plays", "models")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plays: Final[dict[int, Call]] = {}
        self._log: Final[defaultdict[int, list[_Line]]] = defaultdict(list)
        self._open: Final[dict[asyncio.Task[Any], asyncio.StreamWriter]] = {}
        self._leaving: Final[defaultdict[int, asyncio.Event]] = defaultdict(asyncio.Event)
        self.models: Final = ("drill-first", "drill-second")

    def play(self, number: int, call: Call) -> None:
        """Say what both do with a call; they answer any other as they should."""
        self._plays[number] = call

    def asked(self, number: int) -> tuple[Asked, ...]:
        """Return the requests of a call that have arrived."""
        return tuple(line.read() for line in self._log[number])

    async def left(self, number: int, seconds: float) -> None:
        """Wait until somebody leaves an answer to this call before its end; at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving[number].wait()

    @contextlib.asynccontextmanager
    async def listening(self, first: Address, second: Address) -> AsyncGenerator[tuple[Address, Address]]:
        """Listen on both addresses, and give them with their ports.

        Raises:
            OSError: one cannot be had.
        """
        async with contextlib.AsyncExitStack() as open_:
            found: list[Address] = []
            for wanted, is_first in ((first, True), (second, False)):
                server = await asyncio.start_server(self._served(first=is_first), wanted.host, wanted.port)
                open_.callback(server.close)
                found.append(Address(wanted.host, server.sockets[0].getsockname()[1]))
            open_.push_async_callback(self._close)
            yield found[0], found[1]

    async def _close(self) -> None:
        """End what is still open: some of it would be for ever."""
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(self._open, timeout=_CLOSING)

    def _served(self, *, first: bool) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._open[task] = writer
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                    while (request := await _request(reader)) is not None:
                        if not await self._answer(request, reader, writer, first=first):
                            return
            finally:
                writer.close()
                del self._open[task]

        return serve

    async def _answer(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, first: bool
    ) -> bool:
        """Answer one request; return whether the connection may take another."""
        marked = _MARK.findall(request.body)
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            writer.write(self._other(request, first=first))
            await writer.drain()
            return True
        number = int(marked[-1]) if marked else 0
        line = self._noted(number, first=first)
        said = saying(number, first=first)
        for step in steps(line.act, said, _wish(request.body)):
            match step:
                case bytes():
                    writer.write(step)
                    left = await _drained(writer)
                case Wait():
                    left = await _leaves(reader, step.seconds)
                case Told():
                    line.usage = step.usage
                    left = False
                case End.HOLD:
                    left = await _leaves(reader, None)
                case End.RESET:
                    await asyncio.sleep(_READ_FIRST)
                    _reset(writer)
                    return False
                case End.CLOSE:
                    return False
            if left:
                line.left_at = self._clock.monotonic()
                self._leaving[number].set()
                return False
        return True

    def _noted(self, number: int, *, first: bool) -> _Line:
        call = self._plays.get(number)
        acts = (HEALTHY,) if call is None else call.first if first else call.second
        before = sum(line.first == first for line in self._log[number])
        line = _Line(acts[min(before, len(acts) - 1)], self._clock.monotonic(), first=first)
        self._log[number].append(line)
        return line

    def _other(self, request: _Request, *, first: bool) -> bytes:
        if request.path.endswith("/models"):
            model = {"id": self.models[0 if first else 1], "object": "model", "created": 1, "owned_by": "drill"}
            return page(200, json.dumps({"object": "list", "data": [model]}).encode())
        error = {"message": f"no {request.path} here", "type": "invalid_request_error", "param": None, "code": None}
        return page(404, json.dumps({"error": error}).encode())


async def _request(reader: asyncio.StreamReader) -> _Request | None:
    """Read a request; None where no further one comes."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return _Request(method, path, await _chunked(reader))
    return _Request(method, path, await reader.readexactly(int(fields.get("content-length", "0"))))


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return b"".join(pieces)


def _wish(body: bytes) -> Wish:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    asked = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    options = asked.get("stream_options")
    usage = isinstance(options, dict) and bool(cast("dict[str, Any]", options).get("include_usage"))
    return Wish(model=str(asked.get("model", "")), stream=asked.get("stream") is True, usage=usage)


async def _drained(writer: asyncio.StreamWriter) -> bool:
    """Send what was written; return whether the other side has left."""
    try:
        await writer.drain()
    except OSError:
        return True
    return writer.is_closing()


async def _leaves(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Wait so long (None: for ever), or until the other side leaves; return whether it did."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(_LONGEST_HEAD):
                pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
