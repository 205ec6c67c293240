"""One end of the connection between a supervisor and a worker, on an event loop."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import msgspec
from msgspec import Struct

from komeet.serving.messages import BadMessageError, Unpacker, packed

_LOG = logging.getLogger("komeet.serving")

M = TypeVar("M")


class Line(asyncio.Protocol, Generic[M]):
    """Hands each message to whoever listens, as it comes; what is sent is queued, never waited for."""

    __slots__ = ("_closed", "_closing", "_gone", "_heard", "_read", "_transport", "_unpacker")

    def __init__(self, read: Callable[[bytes], M], heard: Callable[[M], None], gone: Callable[[], None]) -> None:
        """Listen.

        Args:
            read: decodes a message.
            heard: takes each.
            gone: is called once the line is closed, unless this end has closed it.
        """
        self._read: Final = read
        self._heard: Final = heard
        self._gone: Final = gone
        self._unpacker: Final = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._closed: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()

    async def open(self, end: socket.socket) -> None:
        """Speak on a connected socket, which is closed with the line."""
        end.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def send(self, message: Struct) -> None:
        """Send a message, unless the other end has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packed(message))

    async def close(self) -> None:
        """Close, and return once what was sent is out."""
        if self._transport is not None:
            self._closing = True
            self._transport.close()
            await asyncio.shield(self._closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._unpacker.feed(data):
                self._heard(self._read(body))
        except (BadMessageError, msgspec.DecodeError) as error:
            _LOG.error("a line between processes is closed: %s", error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._closed.done():
            self._closed.set_result(None)
        if not self._closing:
            self._gone()
