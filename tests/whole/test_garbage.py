"""A provider that answers with something else: told within a second, and no more of it is read than has to be."""

import gzip
import itertools
import json
import time
from collections.abc import Iterable, Iterator

import pytest
from tests.whole.gateway import Gateway
from tests.whole.upstream import DONE, HELLO, LAST, Close, Received, Step, Upstream, chunk, delta, whole

from komeet.ledger.port import State

CAP = 4 << 20
"""Bytes that may have left the provider: what the kernels of both ends hold, and what comes before we have looked."""
LINE, ANSWER = 16 << 20, 128 << 20
"""The largest line of a stream, and the largest answer in one piece: what may be JSON is read that far."""
BOMB = gzip.compress(b"0" * 50_000_000)


class Counted:
    """An answer that goes on and on, and how much of it has been taken."""

    def __init__(self, head: bytes, piece: bytes, pause: float = 0.0) -> None:
        self.said = 0
        self._head = head
        self._piece = piece
        self._pause = pause

    def __call__(self, _: Received) -> Iterator[Step]:
        yield self._head
        for _number in itertools.count():
            self.said += len(self._piece)
            yield self._piece
            time.sleep(self._pause)


def head(kind: str, more: str = "Transfer-Encoding: chunked\r\n") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}\r\n".encode()


EVENTS = "text/event-stream"
PIECE = b"x" * 50_000
ENDLESS = {
    "html": Counted(head("text/html; charset=utf-8"), chunk(b"<p>" + PIECE)),
    "slow html": Counted(head("text/html"), chunk(b"<p>"), 0.05),
    "html to the end": Counted(head("Text/HTML", ""), PIECE),
    "packed": Counted(
        head("application/json", "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), chunk(PIECE)
    ),
    "packed stream": Counted(head(EVENTS, "Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n"), chunk(PIECE)),
    "a header section": Counted(b"HTTP/1.1 200 OK\r\n", b"x: " + PIECE + b"\r\n"),
    "headers": Counted(b"HTTP/1.1 200 OK\r\n", b"".join(b"x-%d: y\r\n" % number for number in range(1000))),
    "interim answers": Counted(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 100),
    "an extension of a chunk": Counted(head("application/json") + b"1;", PIECE),
    "trailers": Counted(head("application/json") + chunk(b"{}") + b"0\r\n", b"x: " + PIECE + b"\r\n"),
    "a line of a stream": Counted(head(EVENTS), chunk(PIECE)),
    "too long by far": Counted(head("application/json", f"Content-Length: {1 << 40}\r\n"), PIECE),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("what", ENDLESS)
def test_endless(what: str, stream: bool, gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = answer = ENDLESS[what]
    answer.said = 0
    started = time.monotonic()
    told = gateway.chat(stream=stream)
    assert time.monotonic() - started < 1.0
    assert answer.said < CAP + (0 if what != "a line of a stream" else LINE if stream else ANSWER)
    if told.status == 200:
        assert told.body.count(b"upstream_garbled") == 1
        assert DONE not in told.body
    else:
        assert (told.status, told.error["code"]) == (502, "upstream_garbled")


def lengthened(by: int) -> list[Step]:
    body = json.dumps(HELLO).encode()
    return [head("application/json", f"Content-Length: {len(body) + by}\r\n") + body, Close()]


JSON = "application/json"
AT_ONCE: dict[str, tuple[Iterable[Step], str]] = {
    "short": (lengthened(10), "upstream_cut"),
    "long": (lengthened(-10), "upstream_garbled"),
    "two lengths": ([head(JSON, "Content-Length: 2\r\nContent-Length: 3\r\n") + b"{}"], "upstream_garbled"),
    "a negative length": ([head(JSON, "Content-Length: -2\r\n") + b"{}"], "upstream_garbled"),
    "a huge length": ([head(JSON, f"Content-Length: {'9' * 5000}\r\n") + b"{}"], "upstream_garbled"),
    "a negative chunk": ([head(JSON) + b"-1\r\n{}\r\n"], "upstream_garbled"),
    "a bomb": (whole(BOMB, headers="Content-Encoding: gzip\r\n"), "upstream_garbled"),
    "a bomb that does not say so": (whole(BOMB), "upstream_garbled"),
    "text": (whole(b"hello", content_type="text/plain"), "upstream_garbled"),
    "nothing": (whole(b""), "upstream_garbled"),
    "a wrong name": (whole(HELLO, content_type="image/png"), ""),
}


@pytest.mark.parametrize("what", AT_ONCE)
def test_at_once(what: str, gateway: Gateway, upstream: Upstream) -> None:
    answer, code = AT_ONCE[what]
    upstream.answer = lambda _: answer
    started = time.monotonic()
    told = gateway.chat()
    assert time.monotonic() - started < 1.0
    if not code:
        assert told.json["choices"][0]["message"]["content"] == "Hello."
        return
    assert (told.status, told.error["code"]) == (502, code)
    assert gateway.outcome(told.headers["x-request-id"]).state is State.ORPHAN
    # The connection is not used for the next call.
    upstream.answer = lambda _: whole(HELLO)
    assert gateway.chat().json["choices"][0]["message"]["content"] == "Hello."


def test_a_bomb_inside_a_stream_is_no_content(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: [head(EVENTS) + chunk(delta("Hi")) + chunk(BOMB) + LAST]
    told = gateway.chat(stream=True)
    assert told.body.count(b"upstream_") == 1
    assert DONE not in told.body
