"""Requests out of bytes: the same however they are cut, and refused where framing or limits are not kept."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.clock import ManualClock
from komeet.core.errors import KomeetError
from komeet.core.http import HttpRequest
from komeet.net.intake import Arrival, Intake
from komeet.net.limits import ServerLimits

POST = (
    b"POST /v1/chat/completions?a=1&b=2 HTTP/1.1\r\nHost: localhost:4000\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer sk-km-x \r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 13\r\n\r\n" + b'{"model":"m"}'
)
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: t\r\nHost: evil\r\n\r\n"
)
UPGRADE = (
    b"POST /u?q HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABk\r\nX-Kept: yes\r\nContent-Length: 5\r\n\r\nhello"
)
LAST = b"GET /last HTTP/1.0\r\n\r\n"


def intake(**limits: int) -> Intake:
    return Intake(ServerLimits(**limits), ManualClock(), "10.1.2.3")


def read(*pieces: bytes, **limits: int) -> list[Arrival | KomeetError]:
    reader = intake(**limits)
    for piece in pieces:
        reader.feed(piece)
    return list(reader.ready)


def refusal(*pieces: bytes, **limits: int) -> KomeetError:
    ready = read(*pieces, **limits)
    assert ready, "nothing came of it"
    last = ready[-1]
    assert isinstance(last, KomeetError), last
    return last


def request(*pieces: bytes, **limits: int) -> HttpRequest:
    (arrival,) = read(*pieces, **limits)
    assert isinstance(arrival, Arrival), arrival
    return arrival.request


def test_a_request_is_read_whole() -> None:
    assert request(POST) == HttpRequest(
        method="POST",
        path="/v1/chat/completions",
        query=b"a=1&b=2",
        headers={
            b"host": b"localhost:4000",
            b"content-type": b"application/json",
            b"authorization": b"Bearer sk-km-x",
            b"x-two": b"2",
            b"content-length": b"13",
        },
        body=b'{"model":"m"}',
        arrived=0.0,
        peer="10.1.2.3",
    )


@pytest.mark.parametrize("data", [POST, CHUNKED, UPGRADE, POST + CHUNKED + UPGRADE + POST + LAST])
def test_however_it_is_cut_it_is_the_same(data: bytes) -> None:
    whole = read(data)
    assert all(isinstance(arrival, Arrival) for arrival in whole)
    assert read(*[data[i : i + 1] for i in range(len(data))]) == whole
    for cut in range(len(data)):
        assert read(data[:cut], data[cut:]) == whole


@given(st.lists(st.integers(0, 600), max_size=12))
def test_any_cuts_are_the_same(cuts: list[int]) -> None:
    data = CHUNKED + POST + UPGRADE
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == read(data)


def test_trailers_are_not_header_fields() -> None:
    got = request(CHUNKED)
    assert got.body == b"hello world"
    assert got.headers == {b"host": b"a", b"transfer-encoding": b"Chunked"}


def test_an_offered_upgrade_is_not_taken_and_its_body_not_lost() -> None:
    got = request(UPGRADE)
    assert (got.path, got.query, got.body) == ("/u", b"q", b"hello")
    assert got.headers[b"x-kept"] == b"yes"
    assert b"upgrade" not in got.headers


@pytest.mark.parametrize(
    "behind", [b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: x\r\n\r\n"]
)
def test_what_comes_behind_an_offered_upgrade_is_refused_as_anywhere(behind: bytes) -> None:
    upgraded, refused = read(UPGRADE + behind)
    assert isinstance(upgraded, Arrival)
    (alone,) = read(behind)
    assert isinstance(refused, KomeetError)
    assert isinstance(alone, KomeetError)
    assert (type(refused), refused.message) == (type(alone), alone.message)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", b""),
        (b"/a%20b/../c?x=%2F", "/a%20b/../c", b"x=%2F"),
        (b"//evil/x", "//evil/x", b""),
        (b"/?", "/", b""),
        (b"http://other/v1/models?x", "/v1/models", b"x"),
        (b"http://other", "/", b""),
        (b"http://other?x", "/", b"x"),
        (b"*", "*", b""),
    ],
)
def test_targets(target: bytes, path: str, query: bytes) -> None:
    method = b"OPTIONS " if target == b"*" else b"GET "
    got = request(method + target + b" HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (got.path, got.query) == (path, query)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", 400),  # obs-fold
        (b"GET / HTTP/1.1\nhost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: 1\r\nAuthorization: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-api-key: 1\r\nx-api-key: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: a\r\ncontent-type: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \xd9\xa1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n", 400),
        (b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nhost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nhost: a\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS on the plain port
    ],
)
def test_what_is_refused(head: bytes, status: int) -> None:
    assert refusal(head).http_status == status
    # … and nothing behind it is read as a request.
    assert len(read(head + b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")) == 1
    assert refusal(*[head[i : i + 1] for i in range(len(head))]).http_status == status


def test_http_10_needs_no_host_and_is_the_last() -> None:
    ready = read(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
    (arrival,) = ready
    assert isinstance(arrival, Arrival)
    assert (arrival.keep_alive, arrival.http11) == (False, False)


def test_what_follows_connection_close_is_dropped() -> None:
    (arrival,) = read(b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n")
    assert isinstance(arrival, Arrival)
    assert not arrival.keep_alive


def head_of(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nhost: a\r\nx: "
    return start + b"v" * (size - len(b"/" + b"hosta" + b"x") - 8) + b"\r\n\r\n"


def test_the_header_limit_is_exact() -> None:
    assert request(head_of(32 * 1024)).path == "/"
    assert refusal(head_of(32 * 1024 + 1)).http_status == 431
    assert refusal(b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n").http_status == 431
    repeats = b"".join(b"x: %d\r\n" % (10**400 + n) for n in range(90))
    assert refusal(b"GET / HTTP/1.1\r\nhost: a\r\n" + repeats + b"\r\n").http_status == 431


def test_a_header_section_without_end_is_refused_before_it_ends() -> None:
    reader = intake()
    fed = 0
    reader.feed(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
    while not reader.ready:
        reader.feed(b"v" * 1000)
        fed += 1000
    assert fed < 40 * 1024
    (refused,) = reader.ready
    assert isinstance(refused, KomeetError)
    assert refused.http_status == 431


def test_the_number_of_header_fields() -> None:
    def head(count: int, name: bytes) -> bytes:
        fields = b"".join(name.replace(b"#", b"%d" % n) + b": 1\r\n" for n in range(count - 1))
        return b"GET / HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n"

    assert request(head(100, b"x#"))
    assert refusal(head(101, b"x#")).http_status == 431
    assert refusal(head(101, b"x")).http_status == 431


def test_the_body_limit_is_exact_and_early() -> None:
    start = b"POST / HTTP/1.1\r\nhost: a\r\n"
    assert request(start + b"content-length: 100\r\n\r\n" + b"x" * 100, body_bytes=100).body == b"x" * 100
    assert refusal(start + b"content-length: 101\r\n\r\n", body_bytes=100).http_status == 413
    assert refusal(start + b"content-length: 18446744073709551615\r\n\r\n", body_bytes=100).http_status == 413
    chunks = start + b"transfer-encoding: chunked\r\n\r\n" + b"32\r\n" + b"x" * 50 + b"\r\n32\r\n" + b"x" * 50 + b"\r\n"
    assert request(chunks + b"0\r\n\r\n", body_bytes=100).body == b"x" * 100
    assert refusal(chunks + b"1\r\nx", body_bytes=100).http_status == 413


@pytest.mark.parametrize("junk", [b"1;" + b"e" * 70_000, b"0\r\nx: " + b"t" * 70_000, b"0\r\n" + b"x: t\r\n" * 12_000])
def test_framing_without_content_is_bounded(junk: bytes) -> None:
    data = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + junk
    assert refusal(*[data[i : i + 1000] for i in range(0, len(data), 1000)]).http_status == 431


def test_small_chunks_cost_no_more_memory_than_their_bytes() -> None:
    reader = intake()
    reader.feed(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(100):
        reader.feed(b"2\r\nxx\r\n" * 1000)
    reader.feed(b"0\r\n\r\n")
    (arrival,) = reader.ready
    assert isinstance(arrival, Arrival)
    assert arrival.request.body == b"x" * 200_000


def test_expectations() -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 1\r\n\r\n"
    reader = intake()
    reader.feed(head)
    assert reader.expects
    reader.feed(b"x")
    assert not reader.expects
    old = intake()
    old.feed(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert not old.expects


def test_deadlines_of_head_and_body() -> None:
    clock = ManualClock()
    reader = Intake(ServerLimits(body_rate=100), clock, "")
    assert reader.overdue(1e9) is None, "nothing has begun"
    reader.feed(b"POST / HTTP/1.1\r\n")
    for _ in range(5):  # a byte now and then does not help
        clock.advance(2.0)
        reader.feed(b"x")
        assert reader.overdue(clock.now) is None
    clock.advance(0.1)
    assert reader.overdue(clock.now) is not None
    reader.feed(b": 1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
    clock.advance(9.9)
    assert reader.overdue(clock.now) is None, "the body has a deadline of its own"
    reader.feed(b"x" * 1000)  # ten seconds' worth
    clock.advance(10.0)
    assert reader.overdue(clock.now) is None
    clock.advance(0.2)
    assert reader.overdue(clock.now) is not None
    reader.feed(b"x" * 4000)
    assert reader.overdue(clock.now) is None
    assert len(reader.ready) == 1


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_garbage_is_refused_or_waited_for(pieces: list[bytes]) -> None:
    for item in read(*pieces):
        assert isinstance(item, (Arrival, KomeetError))


_WORDS = st.sampled_from(
    [
        b"GET ", b"POST ", b"/", b"?", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\n", b"\r", b"host: a\r\n",
        b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n", b"upgrade: h2c\r\n",
        b"connection: upgrade\r\n", b"expect: 100-continue\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b": ", b"\0",
    ]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=30))
def test_nearly_http_is_refused_or_read_and_a_refusal_is_the_last(words: list[bytes]) -> None:
    whole = read(b"".join(words))
    assert all(isinstance(item, Arrival) for item in whole[:-1])
    assert [type(item) for item in read(*words)] == [type(item) for item in whole]
