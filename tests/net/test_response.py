"""Answers out of bytes: the same however they are cut, never whole when they are not, and garbage is called so."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.errors import Garbled
from komeet.net.response import ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: a/b \r\nX: 1\r\nX: 2\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = (
    b"HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
TO_EOF = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world"


class Seen:
    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self.body = b""

    def begun(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        assert self.status == 0
        self.status, self.headers = status, headers

    def piece(self, data: bytes) -> None:
        assert self.status
        self.body += data


def read(*pieces: bytes, head_only: bool = False) -> tuple[Seen, ResponseReader, BaseException | None]:
    seen, reader = Seen(), ResponseReader("up.example", 1000, 50)
    reader.expect(seen, head_only=head_only)
    for piece in pieces:
        if (error := reader.feed(piece)) is not None:
            return seen, reader, error
        if reader.complete:
            break
    return seen, reader, None


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, INTERIM + LENGTH, TO_EOF])
def test_however_it_is_cut_it_is_the_same(data: bytes) -> None:
    for cut in range(len(data) + 1):
        seen, reader, error = read(data[:cut], data[cut:])
        assert error is None
        assert seen.body == b"hello world"
        assert reader.complete is (data != TO_EOF)
        assert reader.ends_with_eof() is (data == TO_EOF)
        assert reader.reusable is (data != TO_EOF)
    assert read(*[data[i : i + 1] for i in range(len(data))])[0].body == b"hello world"


def test_the_head_as_it_is_seen() -> None:
    seen, _, _ = read(LENGTH)
    assert seen.status == 200
    assert seen.headers == {b"content-type": b"a/b", b"x": b"2", b"content-length": b"11"}
    seen, _, _ = read(CHUNKED)
    assert (seen.status, seen.headers) == (429, {b"transfer-encoding": b"chunked"})


@pytest.mark.parametrize("data", [LENGTH, CHUNKED, INTERIM + LENGTH])
def test_a_part_is_never_whole(data: bytes) -> None:
    for cut in range(len(data)):
        _, reader, error = read(data[:cut])
        assert error is None
        assert not reader.complete
        assert not reader.ends_with_eof()


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    _, reader, error = read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    assert error is None
    assert reader.complete
    assert reader.reusable


def test_an_answer_to_head_has_no_body() -> None:
    seen, reader, _ = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head_only=True)
    assert reader.complete
    assert seen.headers == {b"content-length": b"5"}


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LENGTH])
def test_what_follows_an_answer_disqualifies_the_connection(extra: bytes) -> None:
    for data in (LENGTH, CHUNKED):
        seen, reader, error = read(data + extra)
        assert error is None
        assert seen.body == b"hello world"
        assert reader.complete
        assert not reader.reusable


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nX: y\r\n"]
)
def test_connections_that_close(head: bytes) -> None:
    seen, reader, error = read(head + b"Content-Length: 2\r\n\r\nhi")
    assert (error, seen.body, reader.complete, reader.reusable) == (None, b"hi", True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 020 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"v" * 1000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: " + b"v" * 1000 + b"\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nx: " + b"v" * 2000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"t" * 2000,
    ],
)
def test_what_is_garbled(data: bytes) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        _, reader, error = read(*pieces)
        assert isinstance(error, Garbled), error
        assert "up.example" in error.message
        assert not reader.complete


_WORDS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n", b"HTTP/1.0 204 N\r\n", b"\r\n", b"content-length: 3\r\n", b"abc",
     b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"connection: close\r\n", b"upgrade: x\r\n",
     b"connection: upgrade\r\n", b"\n", b"\0", b": "]
)  # fmt: skip


@given(st.lists(st.binary(max_size=100) | _WORDS, max_size=20))
def test_whatever_comes_nothing_but_garbled_comes_of_it(pieces: list[bytes]) -> None:
    _, _, error = read(*pieces)
    assert error is None or isinstance(error, Garbled)
