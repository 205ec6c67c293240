"""Event streams (WHATWG HTML, 9.2), without I/O: bytes are split into events and forwarded as they came.

A block is one event with the blank line that ends it. Blocks put end to end are the stream, byte for byte.
"""

import re

from msgspec import Struct

from komeet.core.errors import Garbled

LIMIT = 16 << 20
"""Most bytes of one event."""

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class Event(Struct, frozen=True):
    """What a block says."""

    event: bytes | None
    """The type; None: the default one."""
    data: bytes
    """Its lines, joined by LF."""


class Splitter:
    """Splits a stream into blocks, however its bytes are cut."""

    __slots__ = ("_begun", "_buffer", "_limit", "_searched")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        """Bytes of the buffer in which no blank line begins."""
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the blocks that `data` completes.

        A byte order mark at the start is a block of its own. The LF of a CR LF that was cut is the start of the next
        block, where it means nothing: no event waits for it.

        Raises:
            Garbled: an event is longer than the limit.
        """
        if self._begun and not self._buffer and b"\r" not in data:
            if 1 < data.find(b"\n\n") + 2 == len(data) <= self._limit:  # the usual case: one event a read
                return [data]
            *texts, rest = data.split(b"\n\n")
            if len(data) <= self._limit:
                self._keep(rest)
                return [text + b"\n\n" for text in texts]
        if not self._buffer:
            return self._split(data)
        self._buffer += data
        if self._begun and not _BLANK_LINE.search(self._buffer, self._searched):
            self._measure()
            return []
        return self._split(self.rest())

    def rest(self) -> bytes:
        """Return the bytes after the last block, and forget them."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest

    def _keep(self, rest: bytes) -> None:
        self._buffer += rest
        self._measure()

    def _measure(self) -> None:
        self._searched = max(0, len(self._buffer) - 3)
        if len(self._buffer) > self._limit:
            raise self._too_long()

    def _split(self, whole: bytes) -> list[bytes]:
        blocks: list[bytes] = []
        start = 0
        if not self._begun:
            if whole.startswith(_BOM):
                blocks.append(_BOM)
                start = len(_BOM)
            self._begun = start > 0 or not _BOM.startswith(whole)
        while found := _BLANK_LINE.search(whole, start):
            end = found.end()
            if end - start > self._limit:
                raise self._too_long()
            blocks.append(whole[start:end])
            start = end
        self._keep(whole[start:])
        return blocks

    def _too_long(self) -> Garbled:
        return Garbled(f"The provider sent an event of more than {self._limit} bytes.")


def fields(block: bytes) -> Event | None:
    """Return what `block` says; None when it has no data, as comments have none."""
    if block.startswith(b"data: ") and b"\r" not in block and block.find(b"\n") == len(block) - 2:
        return Event(None, block[6:-2])
    event: bytes | None = None
    data: list[bytes] = []
    for line in block.splitlines():
        name, colon, value = line.partition(b":")
        if colon and value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value or None
    return Event(event, b"\n".join(data)) if data else None


def one_line(text: bytes) -> bytes:
    """Return JSON text as one line: parts of it that are as a provider wrote them may have line breaks between members.

    Inside of strings JSON has none (RFC 8259, 7).
    """
    return text if b"\n" not in text and b"\r" not in text else text.replace(b"\r", b" ").replace(b"\n", b" ")
