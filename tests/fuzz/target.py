"""What a fuzz target is, and what targets share: how an input is read, and how what comes out is judged."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast

from msgspec import Struct

from komeet.core.errors import Blame, KomeetError
from komeet.core.http import Headers

T = TypeVar("T")

MOST: Final = 4096
"""Bytes of an input, unless a target says otherwise."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")


class Target(Struct, frozen=True, kw_only=True):
    """One parser, or several that share their code."""

    name: str
    holds: str
    """What is held of it, for the page: each input must end in an answer or in the declared error, besides."""
    run: Callable[[bytes], None]
    """Returns, whatever the bytes are. What it raises is a mistake of the product."""
    starts: Callable[[], Iterator[bytes]]
    """Inputs to begin with, besides those that are kept."""
    most: int = MOST
    """Bytes of an input."""


class Options:
    """The first line of an input: each letter of it chooses something. What is missing chooses the first."""

    def __init__(self, line: bytes) -> None:
        self._line = line

    def number(self, at: int, below: int) -> int:
        """Return the number that the letter at `at` says: a digit says itself, if it is small enough."""
        return (self._line[at] - ord("0")) % below if at < len(self._line) else 0

    def choose(self, at: int, choices: Sequence[T]) -> T:
        """Return the one that the letter at `at` says."""
        return choices[self.number(at, len(choices))]


def parted(data: bytes) -> tuple[Options, bytes]:
    """Return the options of an input, and what follows its first line."""
    line, _, rest = data.partition(b"\n")
    return Options(line), rest


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield `data` cut into pieces of `size` bytes; 0: at once."""
    size = size or max(1, len(data))
    for start in range(0, len(data), size):
        yield data[start : start + size]


CUTS: Final = (0, 1, 2, 3, 5, 7, 16, 61, 200)
"""Sizes of pieces; 0: at once."""


def read_json(text: bytes) -> Any:
    """Return what strict JSON says, read by a parser that shares nothing with the product's."""
    try:
        return json.loads(text.decode(), parse_constant=_no_number, parse_int=str, parse_float=str)
    except RecursionError:
        return None  # nested deeper than that parser goes: nothing is said about it


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def events(stream: bytes) -> list[tuple[str, bytes]]:
    """Return the events of a stream as a strict reader sees them: type and data."""
    found: list[tuple[str, bytes]] = []
    assert stream == b"" or stream.endswith((b"\n\n", b"\r\n\r\n")), "the last event is not ended"
    for block in re.split(rb"\r\n\r\n|\n\n", stream):
        kind, data = "", list[bytes]()
        for line in block.splitlines():
            name, _, value = line.partition(b": ")
            assert name in (b"event", b"data", b"id", b"retry", b""), f"no field: {line!r}"
            if name == b"event":
                kind = value.decode("ascii")
            elif name == b"data":
                data.append(value)
        if data:
            found.append((kind, b"\n".join(data)))
    return found


def bounded(out: bytes, data: bytes) -> None:
    """Hold what came out to a bound: nobody makes much out of little."""
    assert len(out) <= 60_000 + 400 * len(data), f"{len(out)} bytes out of {len(data)}"


def check_headers(headers: Headers) -> None:
    """Hold header fields to what may be written."""
    for name, value in headers:
        assert _TOKEN.fullmatch(name), name
        assert value.isascii(), value
        assert value.decode().isprintable(), value
        assert len(value) < 4096, f"{name!r} has {len(value)} bytes"


def check_refusal(status: int, headers: Headers, body: bytes) -> Any:
    """Hold an answer that says an error to its form; return its JSON."""
    assert 400 <= status <= 599, status
    check_headers(headers)
    told = read_json(body)
    assert isinstance(told, dict | list), body
    return cast("Any", told)


def check_error(error: KomeetError, blame: Blame) -> None:
    """Hold an error to the one who is to blame; what breaks inside would be another's."""
    assert error.blame is blame, error
    assert isinstance(error.message, str)
    assert error.message
    error.message.encode()
    if error.param is not None:
        error.param.encode()
    assert 400 <= error.http_status <= 599
