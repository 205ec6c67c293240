"""The binary event stream of AWS (`application/vnd.amazon.eventstream`), without I/O.

A frame is: its length and that of its headers, a checksum of the two, headers, payload, a checksum of all before it.
Both checksums are CRC-32, and all numbers are big-endian.
"""

import struct
from typing import Final
from zlib import crc32

import msgspec

from komeet.core.errors import Garbled
from komeet.wire.readable import readable
from komeet.wire.sse import Event

STREAM_TYPE: Final = b"application/vnd.amazon.eventstream"
LIMIT: Final = 16 << 20
"""Most bytes of one frame."""
ERROR: Final = b"error"
"""The type of the event that an error frame is told as; its data is `{"code", "message"}`."""

_LENGTHS: Final = struct.Struct(">II")
_CHECKSUM: Final = struct.Struct(">I")
_SHORT: Final = struct.Struct(">H")
_PRELUDE: Final = _LENGTHS.size + _CHECKSUM.size
_LEAST: Final = _PRELUDE + _CHECKSUM.size

_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID."""
_COUNTED: Final = frozenset({6, 7})
"""Types whose value says its own length: bytes, string."""

_TYPES: Final = {b"event": b":event-type", b"exception": b":exception-type"}
"""By kind of message: the header that names its type."""


class Frames:
    """Cuts one stream into events, however its bytes arrive; the data of an event is its payload."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = LIMIT) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes.

        Raises:
            Garbled: a checksum or a length is wrong, or a frame is longer than the limit.
        """
        self._buffer += data
        events: list[Event] = []
        start = 0
        while len(self._buffer) - start >= _PRELUDE:
            length, headers = self._lengths(start)
            if len(self._buffer) - start < length:
                break
            frame = bytes(memoryview(self._buffer)[start : start + length])
            start += length
            event = _event(frame, headers)
            if event is not None:
                events.append(event)
        if start:
            del self._buffer[:start]
        return events

    def rest(self) -> list[Event]:
        """Return nothing: a frame that is not complete says nothing, and the parser knows that its stream broke off."""
        self._buffer.clear()
        return []

    def _lengths(self, start: int) -> tuple[int, int]:
        length, headers = _LENGTHS.unpack_from(self._buffer, start)
        (told,) = _CHECKSUM.unpack_from(self._buffer, start + _LENGTHS.size)
        if crc32(memoryview(self._buffer)[start : start + _LENGTHS.size]) != told:
            raise _garbled("the checksum of a frame's lengths is wrong")
        if length > self._limit:
            raise Garbled(f"The provider sent a frame of more than {self._limit} bytes.")
        if length < _LEAST or headers > length - _LEAST:
            raise _garbled("the lengths of a frame do not fit")
        return length, headers


def _event(frame: bytes, headers: int) -> Event | None:
    """Return what a whole frame says; None where it is of a kind that is not known here."""
    (told,) = _CHECKSUM.unpack_from(frame, len(frame) - _CHECKSUM.size)
    if crc32(frame[: -_CHECKSUM.size]) != told:
        raise _garbled("the checksum of a frame is wrong")
    texts = _texts(frame[_PRELUDE : _PRELUDE + headers])
    kind = texts.get(b":message-type", b"event")
    if kind == ERROR:
        code, message = (
            texts.get(name, b"").decode("utf-8", "replace") for name in (b":error-code", b":error-message")
        )
        return Event(ERROR, msgspec.json.encode({"code": code, "message": message}))
    named = texts.get(_TYPES.get(kind, b""))
    return None if named is None else Event(named, readable(frame[_PRELUDE + headers : -_CHECKSUM.size]))


def _texts(data: bytes) -> dict[bytes, bytes]:
    """Return the headers whose values are strings; the others are read, and say nothing here."""
    found: dict[bytes, bytes] = {}
    at = 0
    try:
        while at < len(data):
            name = data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
            kind = data[at]
            at += 1
            size = _SIZES.get(kind)
            if kind in _COUNTED:
                (size,) = _SHORT.unpack_from(data, at)
                at += _SHORT.size
            if size is None:
                raise _garbled(f"a header of the unknown type {kind}")
            if kind == 7:
                found[name] = data[at : at + size]
            at += size
    except (IndexError, struct.error):
        raise _garbled("a header is cut short") from None
    if at != len(data):
        raise _garbled("a header is cut short")
    return found


def _garbled(detail: str) -> Garbled:
    error = Garbled("The provider's stream is not framed as AWS's event streams are.")
    error.detail = detail
    return error
