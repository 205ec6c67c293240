"""The HTTP server: any bytes of a connection, with and without what load balancers say before them."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address
from typing import Final

from tests.fuzz.target import CUTS, Target, parted, pieces
from tests.fuzz.wires import Wire
from tests.net.conftest import refuse
from uvicorn.config import Config
from uvicorn.server import ServerState

from komeet.core.clock import ManualClock
from komeet.core.http import HttpRequest, Reply
from komeet.net.entry import Entry, protocol
from komeet.net.forwarded import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from komeet.net.head import CONTINUE
from komeet.net.limits import ServerLimits
from komeet.net.server import STATE_KEY, Entrance, HttpProtocol, Serving

_PROXIES: Final = (
    TrustedProxies(),
    TrustedProxies(["10.0.0.0/8", "::1"], FORWARDED),
    TrustedProxies(["10.0.0.0/8"], X_FORWARDED_FOR),
    TrustedProxies(["10.0.0.0/8"], announce=True),
)
_LIMITS: Final = (ServerLimits(), ServerLimits(header_bytes=256, header_count=5, body_bytes=64, held_bytes=128))
_REFUSALS: Final = frozenset({400, 413, 415, 417, 431, 501, 505})
_NEVER: Final = 3600.0


class _Noted(logging.Handler):
    """Keeps what a fault leaves in the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Said:
    """What a connection made of its bytes: the requests that were handled, and what was answered."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.out = b""
        self.closed = False

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answer in one of the ways in which the pipeline does."""
        self.requests.append(request)
        if len(request.body) % 3 == 0:
            await asyncio.sleep(0)
        if len(self.requests) % 2:
            reply.whole(200, [(b"content-type", b"text/plain")], request.body)
            return
        reply.begin(200, [(b"content-type", b"text/event-stream")])
        reply.write(request.body)
        reply.end()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _connect(data: bytes, size: int, proxies: TrustedProxies, limits: ServerLimits) -> Said:
    async def main() -> Said:
        return await _speak(data, size, proxies, limits)

    return _loop().run_until_complete(main())


async def _speak(data: bytes, size: int, proxies: TrustedProxies, limits: ServerLimits) -> Said:
    said, wire, noted = Said(), Wire(), _Noted()
    log = logging.Logger("fuzz")
    log.addHandler(noted)
    serving = Serving(
        handle=said.handle,
        refuse=refuse,
        clock=ManualClock(),
        limits=limits,
        entrance=Entrance(proxies=proxies),
        sweep_seconds=_NEVER,
        log=log,
    )
    state = ServerState()
    made = protocol(Config("none:none"), state, {STATE_KEY: serving}, asyncio.get_running_loop())
    wire.set_protocol(made)
    made.connection_made(wire)
    for piece in pieces(data, size):
        rest = piece
        while rest and not wire.closing:
            rest = _received(wire, rest)
        await _settle(state)
    await _settle(state)
    said.closed = wire.closing
    wire.protocol.connection_lost(None)
    await _settle(state)
    assert not state.tasks, "a handler is left"
    assert not state.connections
    assert not serving.sweeper.running
    assert not [record.getMessage() for record in noted.records], noted.records[0].exc_info
    said.out = b"".join(wire.out)
    return said


def _received(wire: Wire, data: bytes) -> bytes:
    """Hand over what the protocol would read now; return what is left."""
    speaking = wire.protocol
    if isinstance(speaking, Entry):
        buffer = speaking.get_buffer(-1)
        assert len(buffer) > 0, "a buffer of no bytes closes a connection"
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        speaking.buffer_updated(taken)
        return data[taken:]
    assert isinstance(speaking, HttpProtocol)
    speaking.data_received(data)
    return b""


async def _settle(state: ServerState) -> None:
    for _ in range(1000):
        if not state.tasks:
            return
        await asyncio.sleep(0)
    raise AssertionError("a request is not answered")


def server(data: bytes) -> None:
    """Speak to the server; however it is cut, the same requests are handled, and each gets one answer."""
    options, stream = parted(data)
    proxies, limits = options.choose(0, _PROXIES), options.choose(1, _LIMITS)
    whole = _connect(stream, 0, proxies, limits)
    _check(whole, proxies)
    cut = _connect(stream, options.choose(2, CUTS), proxies, limits)
    _check(cut, proxies)
    if limits is _LIMITS[0]:
        assert cut.requests == whole.requests, "cut otherwise, it is another request"
        assert cut.closed == whole.closed
        assert list(_statuses(cut)) == list(_statuses(whole))


def _check(said: Said, proxies: TrustedProxies) -> None:
    for request in said.requests:
        _check_request(request, said, proxies)
    statuses = list(_statuses(said))
    refused = [status for status in statuses if status != 200]
    assert len(statuses) - len(refused) == len(said.requests), "not one answer for each request"
    assert refused == [] or (len(refused) == 1 and statuses[-1] in _REFUSALS), statuses


def _check_request(request: HttpRequest, said: Said, proxies: TrustedProxies) -> None:
    assert request.path
    assert request.path.isascii(), request.path
    assert request.path.isprintable(), request.path
    assert not set(request.path) & set(" ?#"), request.path
    assert request.query.isascii(), request.query
    for name, value in request.headers.items():
        assert name == name.lower().strip(), name
        assert not set(name + value) & set(b"\r\n\0"), name
    if proxies is _PROXIES[0]:
        assert request.peer == "10.1.2.3"
    elif request.peer:
        ip_address(request.peer)
    length = request.headers.get(b"content-length")
    if b"transfer-encoding" not in request.headers:
        assert len(request.body) == int(length or b"0")


def _statuses(said: Said) -> Iterator[int]:
    """Yield the statuses of what was answered, read strictly by a reader that shares nothing with the server."""
    out, methods = said.out, [request.method for request in said.requests]
    while out:
        if out.startswith(CONTINUE):
            out = out[len(CONTINUE) :]
            continue
        head, end, out = out.partition(b"\r\n\r\n")
        assert end, "a head without an end"
        first, *lines = head.split(b"\r\n")
        version, status, _ = first.split(b" ", 2)
        assert version == b"HTTP/1.1"
        fields: Mapping[bytes, bytes] = dict(_field(line) for line in lines)
        yield int(status)
        if status == b"200" and methods and methods.pop(0) == "HEAD":
            continue
        if b"content-length" in fields:
            length = int(fields[b"content-length"])
            assert len(out) >= length
            out = out[length:]
        elif b"transfer-encoding" in fields:
            out = _chunks(out)
        else:
            return


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b": ")
    assert colon, line
    return name, value


def _chunks(out: bytes) -> bytes:
    while out:
        size, _, out = out.partition(b"\r\n")
        length = int(size, 16)
        assert out[length : length + 2] == b"\r\n"
        out = out[length + 2 :]
        if length == 0:
            break
    return out


_POST: Final = (
    b"POST /v1/chat/completions?a=1 HTTP/1.1\r\nHost: a:1\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\n{}"
)
_CHUNKED: Final = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n"
)
_UPGRADE: Final = (
    b"POST /u?q HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAM\r\nContent-Length: 5\r\n\r\nhello"
)


def _starts() -> Iterator[bytes]:
    yield b"000\n" + _POST
    yield b"003\n" + _POST + _CHUNKED + _UPGRADE + _POST
    yield b"001\nGET /last HTTP/1.0\r\n\r\n"
    yield b"004\nHEAD http://a/x?y HTTP/1.1\r\nhost: a\r\n\r\n"
    yield b"005\nPOST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx"
    yield b"000\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx"
    yield b"000\nCONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n"
    yield b"000\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"000\nOPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" + _POST
    yield b"010\nPOST / HTTP/1.1\r\nhost: a\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\n\r\n"
    yield b"017\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 65\r\n\r\n" + b"x" * 65
    yield b"011\n" + _POST * 3
    yield b"000\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\nx: a\r\n b\r\n\r\n"
    yield b'100\nGET / HTTP/1.1\r\nhost: a\r\nforwarded: for="[::1]:80";by=x, for=10.1.1.1\r\n\r\n'
    yield b"200\nGET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4:5, 10.1.1.1\r\n\r\n"
    yield b"300\nPROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + _POST
    yield b"303\nPROXY UNKNOWN\r\n" + _POST
    yield b"301\n\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2" + _POST
    yield b"302\n\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00" + _POST


SERVER: Final = Target(
    name="server",
    holds="the HTTP server, PROXY protocol and forwarded addresses included: each request gets one answer, what is no"
    " request one refusal (4xx, 501, 505); cut anywhere it is the same requests",
    run=server,
    starts=_starts,
    most=2048,
)
