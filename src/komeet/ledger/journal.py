"""The journal's bytes: holds and outcomes in the order in which they happened, each with a checksum.

A file begins with a header. Each record is its length and the CRC-32 of its body (4 bytes each, little-endian), then
its body: one byte that says what it is, and the value in MessagePack. A process that is killed can leave a part of some
record at the end of its file: that record was never relied upon, as nothing goes on before it is written whole.
"""

from collections.abc import Iterator
from struct import Struct as Layout
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec
from msgspec import Struct

from komeet.ledger.port import Hold, Outcome

Record: TypeAlias = Hold | Outcome

MAGIC: Final = b"komeet journal 1\n"
_FRAME: Final = Layout("<II")
_LONGEST: Final = 1 << 20
"""Bytes; a length above it is not one that we wrote."""
_HOLD, _OUTCOME, _HEADER = b"H", b"O", b"K"
_ENCODER: Final = msgspec.msgpack.Encoder()
_HOLDS: Final = msgspec.msgpack.Decoder(Hold)
_OUTCOMES: Final = msgspec.msgpack.Decoder(Outcome)


class Header(Struct, frozen=True):
    """Whose journal it is."""

    session: str
    node: str
    boot: str
    """The run of the machine: what was written in an earlier one may have lost its end."""
    segment: int
    """The number of the file among those of its session."""


_HEADERS: Final = msgspec.msgpack.Decoder(Header)


class JournalError(Exception):
    """The file is not a journal, or of a version that is not known here."""


class Placed(NamedTuple):
    """A record, and where the next one begins."""

    record: Record
    end: int


class Torn(NamedTuple):
    """What is at the end of a journal is no record."""

    at: int
    followed: bool
    """Whether more than one record's beginning is there: this is not what a process leaves that is killed."""


def write_header(header: Header) -> bytes:
    """Return the beginning of a journal."""
    return MAGIC + _framed(_HEADER + _ENCODER.encode(header))


def write_record(record: Record) -> bytes:
    """Return the bytes of a record."""
    kind = _HOLD if isinstance(record, Hold) else _OUTCOME
    return _framed(kind + _ENCODER.encode(record))


def read_header(data: bytes) -> tuple[Header, int]:
    """Return the header, and where the first record begins.

    Raises:
        JournalError: there is none.
    """
    if not data.startswith(MAGIC):
        raise JournalError("it does not begin as a journal of this version does")
    body = _body(data, len(MAGIC))
    if body is None or body[:1] != _HEADER:
        raise JournalError("its header is damaged")
    try:
        return _HEADERS.decode(body[1:]), len(MAGIC) + _FRAME.size + len(body)
    except msgspec.DecodeError as error:
        raise JournalError(f"its header cannot be read: {error}") from error


def read_records(data: bytes, start: int) -> Iterator[Placed | Torn]:
    """Yield the records from `start` on; where one cannot be read, yield that and end."""
    while start < len(data):
        body = _body(data, start)
        record = None if body is None else _record(body)
        if body is None or record is None:
            yield Torn(start, followed=_is_followed(data, start))
            return
        start += _FRAME.size + len(body)
        yield Placed(record, start)


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), crc32(body)) + body


def _body(data: bytes, start: int) -> bytes | None:
    """The body of the record that begins there; None: there is no whole one."""
    if len(data) - start < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack_from(data, start)
    body = data[start + _FRAME.size : start + _FRAME.size + length]
    return body if 0 < length <= _LONGEST and len(body) == length and crc32(body) == checksum else None


def _record(body: bytes) -> Record | None:
    try:
        match body[:1]:
            case b"H":
                return _HOLDS.decode(body[1:])
            case b"O":
                return _OUTCOMES.decode(body[1:])
            case _:
                return None
    except msgspec.DecodeError:
        return None


def _is_followed(data: bytes, start: int) -> bool:
    """Whether the file goes on after the record whose length is told there, or tells a length that cannot be."""
    if len(data) - start < _FRAME.size:
        return False
    length, _ = _FRAME.unpack_from(data, start)
    return not 0 < length <= _LONGEST or start + _FRAME.size + length <= len(data)
