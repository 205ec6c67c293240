"""The HTTP client: any bytes of a provider's connection."""

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.fuzz.target import CUTS, Options, Target, check_error, parted, pieces
from tests.fuzz.wires import Wire

from komeet.core.clock import ManualClock
from komeet.core.errors import Blame, KomeetError, UpstreamError
from komeet.core.http import Deadlines
from komeet.net.answer import HttpAnswer
from komeet.net.connection import Connection
from komeet.net.limits import ClientLimits
from komeet.net.sweep import Sweeper

_LIMITS: Final = (
    ClientLimits(head_fields=8, buffer_bytes=256),
    ClientLimits(head_bytes=512, head_fields=4, buffer_bytes=64),
)
"""The second holds for what is found out a piece late, depending on the pieces."""
_MOST: Final = 1500
_NEVER: Final = 3600.0
Told = tuple[int, dict[bytes, bytes], bytes] | str
"""Status, header fields and body; or the kind of the error."""


class _Home:
    """Where a connection goes when it is free."""

    def __init__(self) -> None:
        self.released = 0
        self.gone = False

    def release(self, connection: Connection) -> None:
        self.released += 1

    def lost(self, connection: Connection) -> None:
        self.gone = True


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _ask(stream: bytes, size: int, limits: ClientLimits, options: Options) -> tuple[Told, bool]:
    """Send a request that is answered by `stream`; return what came, and whether the connection may be used again."""
    head_only, orderly, relayed = options.number(1, 2) == 1, options.number(2, 2) == 0, options.number(3, 2) == 1
    wire, home = Wire(), _Home()
    connection = Connection("up.example", limits, Sweeper(ManualClock(), _NEVER))
    connection.connection_made(wire)
    connection.adopt(home)
    answer = connection.send(b"POST / HTTP/1.1\r\n\r\n", b"{}", Deadlines(), head_only=head_only, started=0, now=0)
    reading = asyncio.get_running_loop().create_task(_read(answer, relayed=relayed))
    for piece in pieces(stream, size):
        for _ in range(3):
            await asyncio.sleep(0)
        assert not wire.paused or relayed is False, "a reader that takes all is not waited for"
        if wire.closing:
            break
        if home.released:
            assert not wire.aborted
            break
        connection.data_received(piece)
    if orderly and not wire.closing:
        connection.eof_received()
    connection.connection_lost(None if orderly else ConnectionResetError())
    for _ in range(5):
        await asyncio.sleep(0)
    assert reading.done(), "the answer never ends"
    assert home.gone
    assert home.released <= 1
    return reading.result(), home.released > 0


async def _read(answer: HttpAnswer, *, relayed: bool) -> Told:
    try:
        await answer.head()
        assert answer.status
        if not relayed:
            return answer.status, dict(answer.headers), await answer.read(_MOST)
        got: list[bytes] = []
        await answer.relay(got.append)
        return answer.status, dict(answer.headers), b"".join(got)
    except UpstreamError as error:
        check_error(error, Blame.UPSTREAM)
        return type(error).__name__
    except KomeetError as error:
        raise AssertionError from error


def client(data: bytes) -> None:
    """Answer a request; however it is cut, it is the same answer, and it always ends."""
    options, stream = parted(data)
    limits = options.choose(4, _LIMITS)

    async def main() -> None:
        whole, again = await _ask(stream, 0, limits, options)
        cut, again_too = await _ask(stream, options.choose(0, CUTS), limits, options)
        for told in (whole, cut):
            if isinstance(told, tuple):
                _check(told, limits)
        if limits is _LIMITS[1]:
            return
        assert isinstance(whole, tuple) == isinstance(cut, tuple), (whole, cut)
        if isinstance(whole, tuple):
            assert cut == whole, "cut otherwise, it is another answer"
            assert again_too or not again, "what came too much was not seen"

    _loop().run_until_complete(main())


def _check(told: tuple[int, dict[bytes, bytes], bytes], limits: ClientLimits) -> None:
    status, headers, body = told
    assert 200 <= status <= 599
    assert len(headers) <= limits.head_fields
    for name, value in headers.items():
        assert name == name.lower()
        assert not set(name + value) & set(b"\r\n\0")
    length = headers.get(b"content-length")
    if length is not None and body and b"transfer-encoding" not in headers:
        assert len(body) == int(length)


def _starts() -> Iterator[bytes]:
    yield b"0000\nHTTP/1.1 200 OK\r\nContent-Type: a/b \r\nX: 1\r\nX: 2\r\nContent-Length: 11\r\n\r\nhello world"
    yield (
        b"3001\nHTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
    )
    yield b"2000\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
    yield b"1001\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world"
    yield b"0010\nHTTP/1.0 200 OK\r\n\r\nhello"
    yield b"0100\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5, max=3\r\n\r\n"
    yield b"4000\nHTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    yield b"0000\nHTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx"
    yield b"0000\nHTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    yield b"5000\nHTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    yield b"6001\nHTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    yield b"0000\nHTTP/1.1 200 OK\r\n" + b"".join([b"a%d: x\r\n" % n for n in range(9)]) + b"\r\n"
    yield b"00001\nHTTP/1.1 200 OK\r\nx: " + b"a" * 1100 + b"\r\n\r\n"
    yield b"10011\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * 600 + b"\r\nx\r\n0\r\n\r\n"


CLIENT: Final = Target(
    name="client",
    holds="the HTTP client: an answer or a declared error, always an end; cut anywhere it is the same answer",
    run=client,
    starts=_starts,
)
