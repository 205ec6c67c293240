"""HTTP/1.1 as strangers speak it: the cases of h1spec, and what has led parsers astray; each has its one meaning.

Bytes go over a socket, and behind each case comes a second request: it is answered where the first one was understood,
and never seen by a handler where it was not.
"""

import asyncio
import re
from collections.abc import Mapping

import pytest
from tests.net.conftest import Caller, run, site, until

from komeet.core.http import HttpRequest, Reply
from komeet.net.limits import ServerLimits

HOST = b"Host: example.com\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n"
START = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


def field(line: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + HOST + line + b"\r\n\r\n"


WAITED_FOR = [
    b"G",
    b"GET ",
    b"GET /hello",
    b"GET /hello ",
    b"GET /hello HTTP",
    b"GET /hello HTTP/1.1",
    b"GET /hello HTTP/1.1\r",
    b"GET /hello HTTP/1.1\r\n",
    b"GET /hello HTTP/1.1\r\nHos",
    b"GET /hello HTTP/1.1\r\nHost:",
    b"GET /hello HTTP/1.1\r\nHost: ",
    b"GET /hello HTTP/1.1\r\nHost: localhost",
    b"GET /hello HTTP/1.1\r\nHost: localhost\r",
    b"GET /hello HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r",
    START + b"Content-Length: 5\r\n\r\nhell",
    CHUNKED + b"5\r\nhello\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\n",
    CHUNKED + b"0\r\nX: trailer\r\n",
]
"""Parts of a request: no answer, no refusal."""

TAKEN: Mapping[bytes, bytes] = {
    b"GET / HTTP/1.1\r\n" + HOST + b"\r\n": b"GET / ",
    b"GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n": b"GET / ",
    b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n": b"GET / ",  # RFC 9112, 2.2: empty lines before are passed over
    field(b"X-Empty-Header: "): b"GET / ",
    field(b"X: \xe4\xff"): b"GET / ",  # obs-text
    field(b"X!#$%&'*+-.^_`|~9: every letter of a token"): b"GET / ",
    field(b"Connection: keep-alive, X\r\nX: hop"): b"GET / ",
    field(b"Content-Length: 0"): b"GET / ",
    START + b"Content-Length: 5\r\n\r\nhello": b"POST / hello",
    START + b"Content-Length: 0000000005\r\n\r\nhello": b"POST / hello",
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n": b"POST / hello",
    CHUNKED + b"A\r\n0123456789\r\n00\r\n\r\n": b"POST / 0123456789",
    CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\nHost: evil\r\n\r\n': b"POST / hello",
    START + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n": b"POST / ",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n": b"OPTIONS * ",
    b"GET http://example.com/x HTTP/1.1\r\n" + HOST + b"\r\n": b"GET /x ",
}
"""Requests that all readers understand alike, and what was understood."""

REFUSED = [
    # The request line.
    b"GET / \r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.10\r\n" + HOST + b"\r\n",
    b"GET / HTTP/01.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.\xd9\xa1\r\n" + HOST + b"\r\n",  # a digit, but of another script
    b"GET / http/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTPS/1.1\r\n" + HOST + b"\r\n",
    b"GET / FTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /\x0b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r" + HOST + b"\r\n",
    b" GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"Extra lineGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"G\xcbT / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    # Host.
    b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\n" + HOST + b"Host: example.org\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"hOST: example.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: example.com/x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: example.com, example.org\r\n\r\n".replace(b", ", b" , "),
    b"GET http://other/ HTTP/1.1\r\n\r\n",
    # Fields.
    field(b"X-Invalid[]: test"),
    field(b"X-Invalid : test"),
    field(b"X-Invalid\t: test"),
    field(b"X Invalid: test"),
    field(b"X-Inv\xc3\xa4lid: test"),
    field(b": no name"),
    field(b"no colon"),
    field(b" X: begins with a space"),
    field(b"X: folded\r\n over two lines"),
    field(b"X: folded\r\n\tover two lines"),
    field(b"X-Bad-Control-Char: test\x07"),
    field(b"X: a\0b"),
    field(b"X: a\rb"),
    field(b"X: a\nY: b"),
    field(b"X: a\x7f"),
    b"GET / HTTP/1.1\r\n" + HOST + b"\rSome-Header: Test\r\n\r\n",
    b"GET / HTTP/1.1\r\n X: before the first\r\n" + HOST + b"\r\n",
    field(b"Expect: the unexpected"),
    # Lengths.
    field(b"Content-Length: -1234"),
    field(b"Content-Length: -123456789123456789123456789"),
    field(b"Content-Length: abc"),
    field(b"Content-Length: "),
    field(b"Content-Length: +5"),
    field(b"Content-Length: 5 5"),
    field(b"Content-Length: 5,5"),
    field(b"Content-Length: 5, 6"),
    field(b"Content-Length: 0x5"),
    field(b"Content-Length: 1_0"),
    field(b"Content-Length: 5.0"),
    field(b"Content-Length: \xd9\xa5"),
    field(b"Content-Length: 18446744073709551617"),
    field(b"Content-Length: 5\r\nContent-Length: 5"),
    field(b"Content-Length: 5\r\nContent-Length: 6"),
    # Codings.
    START + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    START + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    START + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    START + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    START + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    START + b"Transfer-Encoding: \xc4\xb0chunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    START + b"Transfer-Encoding: gzip\r\n\r\n",
    START + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    START + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    # Chunks.
    CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5_0\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"g\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhello0\r\n\r\n",
    CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n",
    CHUNKED + b"5;a=\nb\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"0\r\nX : trailer\r\n\r\n",
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    CHUNKED + b"0\r\nX: a\nY: b\r\n\r\n",
    CHUNKED + b"0\r\n X: folded\r\n\r\n",
]
"""What two readers may understand differently: refused, and nothing behind it is read."""


class Seen:
    """A handler that notes what it was asked, and answers with it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def __call__(self, request: HttpRequest, reply: Reply) -> None:
        said = f"{request.method} {request.path} ".encode() + request.body
        self.requests.append(said)
        reply.whole(200, [], said)


async def everything(caller: Caller) -> bytes:
    try:
        async with asyncio.timeout(10):
            return await caller.ended()
    except ConnectionError:
        return b""


def test_parts_are_waited_for() -> None:
    async def main() -> None:
        seen = Seen()
        async with site(seen) as server:
            callers = [await server.call() for _ in WAITED_FOR]
            for caller, data in zip(callers, WAITED_FOR, strict=True):
                caller.send(data)
            await until(lambda: sum(each._intake.phase.value > 0 for each in server.connections) == len(WAITED_FOR))
            assert seen.requests == []
            assert len(server.connections) == len(WAITED_FOR)

    run(main())


@pytest.mark.parametrize("pieces", [1, 10_000])
@pytest.mark.parametrize("data", TAKEN)
def test_what_is_understood(data: bytes, pieces: int) -> None:
    async def main() -> None:
        seen = Seen()
        async with site(seen) as server:
            caller = await server.call()
            whole = data + NEXT
            for start in range(0, len(whole), pieces):
                caller.send(whole[start : start + pieces])
            assert (await caller.answer()).body == TAKEN[data]
            assert (await caller.answer()).body == b"GET /next "
            assert seen.requests == [TAKEN[data], b"GET /next "]

    run(main())


@pytest.mark.parametrize("pieces", [1, 10_000])
@pytest.mark.parametrize("data", REFUSED)
def test_what_is_refused_is_the_last(data: bytes, pieces: int) -> None:
    async def main() -> None:
        seen = Seen()
        async with site(seen) as server:
            caller = await server.call()
            whole = data + NEXT
            for start in range(0, len(whole), pieces):
                caller.send(whole[start : start + pieces])
            answer = await everything(caller)
            status = int(answer[9:12])
            assert status in {400, 413, 415, 417, 501, 505}, answer
            assert len(re.findall(rb"HTTP/1\.1 [0-9]", answer)) == 1, answer
            assert b"\r\nconnection: close\r\n" in answer
            assert seen.requests == []

    run(main())


@pytest.mark.parametrize(
    "head",
    [
        b"POST /large HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n",
        b"POST /coded HTTP/1.1\r\n" + HOST + b"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n",
        b"POST /odd HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\nContent-Length: 100\r\n\r\n",
    ],
)
def test_behind_an_early_answer_nothing_is_executed(head: bytes) -> None:
    """The unread body holds a whole request: who reads on after the refusal would execute it."""

    async def main() -> None:
        seen = Seen()
        async with site(seen, limits=ServerLimits(body_bytes=1000)) as server:
            for body in (NEXT, NEXT * 100):
                caller = await server.call()
                caller.send(head)
                answer = await caller.answer()
                assert answer.status in {413, 415, 417}
                assert answer.headers[b"connection"] == b"close"
                caller.send(body)
                assert await everything(caller) == b""
            assert seen.requests == []

    run(main())


def test_ten_thousand_requests_at_once_are_answered_in_order() -> None:
    async def main() -> None:
        seen = Seen()
        async with site(seen) as server:
            caller = await server.call()
            caller.send(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, HOST) for n in range(10_000)))
            for n in range(10_000):
                assert (await caller.answer()).body == b"GET /%d " % n

    run(main())


@pytest.mark.parametrize(
    "fields", [b"".join(b"X%d: 1\r\n" % n for n in range(10_000)), b"X: " + b"v" * (1 << 20) + b"\r\n"]
)
def test_ten_thousand_fields_or_a_mebibyte_are_refused_before_they_are_read(fields: bytes) -> None:
    async def main() -> None:
        seen = Seen()
        async with site(seen) as server:
            caller = await server.call()
            caller.writer.transport.set_write_buffer_limits(0)
            sent = 0
            for start in range(0, len(fields), 1000):
                caller.send((b"GET / HTTP/1.1\r\n" + HOST if start == 0 else b"") + fields[start : start + 1000])
                await caller.writer.drain()
                sent += 1000
                await asyncio.sleep(0)
                if any(each._linger_until is not None for each in server.connections):
                    break
            assert sent < 100_000
            assert (await caller.answer()).status == 431
            assert seen.requests == []

    run(main())
