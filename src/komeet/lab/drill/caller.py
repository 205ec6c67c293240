"""A caller that trusts nothing: it reads an answer to its end and notes how that came."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final, final
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser
from msgspec import Struct

from komeet.core.clock import Clock
from komeet.lab.drill.scenario import Call, Ended, Seen
from komeet.lab.drill.upstream import mark

_READ: Final = 65_536
_MOST: Final = 1_000_000
"""Bytes of an answer that are kept."""


class Target(Struct, frozen=True):
    """The gateway, as a caller knows it."""

    url: str
    """Where its API begins, `/v1` included."""
    model: str
    headers: Mapping[str, str] = {}
    """Sent with every call: the key, and what else it needs."""
    patience: float = 30.0
    """Seconds in which an answer has to be complete."""


def question(call: Call, number: int, model: str) -> dict[str, Any]:
    """Return the body of a call, marked with its number."""
    messages = [{"role": "user", "content": f"{mark(number)} Say four words about comets, and nothing else."}]
    if call.prefill:
        messages.append({"role": "assistant", "content": "Here they are:"})
    body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": 100}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if call.stream else {})


@final
class _Reader:
    """What httptools calls."""

    __slots__ = ("body", "complete", "headers")

    def __init__(self) -> None:
        self.headers: Final[dict[str, str]] = {}
        self.body: Final = bytearray()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        if len(self.body) < _MOST:
            self.body.extend(data)

    def on_message_complete(self) -> None:
        self.complete = True

    @property
    def until_the_end(self) -> bool:
        """Whether the body ends where the connection does."""
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers


async def make(target: Target, call: Call, number: int, clock: Clock) -> Seen:
    """Make one call on a connection of its own, and return what came of it."""
    split = urlsplit(target.url)
    trust = ssl.create_default_context() if split.scheme == "https" else None
    port = split.port or (80 if trust is None else 443)
    body = json.dumps(question(call, number, target.model)).encode()
    fields = {"host": split.netloc, "content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.lower(): value for name, value in target.headers.items()} | {"connection": "close"}
    head = f"POST {split.path.rstrip('/')}/chat/completions HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    reader = _Reader()
    parser = HttpResponseParser(reader)
    try:
        async with asyncio.timeout(target.patience):
            source, sink = await asyncio.open_connection(split.hostname, port, ssl=trust)
            try:
                sink.write(head.encode("latin-1") + body)
                ended = await _read(source, parser, reader, call.leave_after)
                left_at = clock.monotonic() if ended is Ended.LEFT else None
            finally:
                sink.close()
            with contextlib.suppress(OSError):
                await sink.wait_closed()
    except TimeoutError:
        ended, left_at = Ended.HANG, None
    except OSError:
        ended, left_at = Ended.NOTHING, None
    status = parser.get_status_code() if reader.headers else 0
    return Seen(ended=ended, status=status, headers=reader.headers, body=bytes(reader.body), left_at=left_at)


async def _read(
    source: asyncio.StreamReader, parser: HttpResponseParser, reader: _Reader, leave_after: int | None
) -> Ended:
    try:
        while data := await source.read(_READ):
            parser.feed_data(data)
            if reader.complete:
                return Ended.WHOLE
            if leave_after is not None and reader.body.count(b"data: ") >= leave_after:
                return Ended.LEFT
    except (HttpParserError, OSError):
        return Ended.BROKEN if reader.headers else Ended.NOTHING
    if not reader.headers:
        return Ended.NOTHING
    return Ended.WHOLE if reader.until_the_end else Ended.BROKEN
