"""Makes frames of AWS's event stream: for tests of what reads them."""

import json
import struct
from typing import Any
from zlib import crc32


def text(name: str, value: str) -> bytes:
    """A header whose value is a string."""
    return header(name, 7, struct.pack(">H", len(value.encode())) + value.encode())


def header(name: str, kind: int, value: bytes = b"") -> bytes:
    """A header of any type."""
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def frame(headers: bytes, payload: bytes) -> bytes:
    """A whole frame, with its checksums."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    before = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return before + struct.pack(">I", crc32(before))


def event(kind: str, **members: Any) -> bytes:
    """An event of Converse's stream."""
    headers = text(":event-type", kind) + text(":content-type", "application/json") + text(":message-type", "event")
    return frame(headers, json.dumps({**members, "p": "abc"}).encode())


def exception(kind: str, message: str) -> bytes:
    """An exception in the middle of a stream."""
    headers = text(":exception-type", kind) + text(":message-type", "exception")
    return frame(headers, json.dumps({"message": message}).encode())
