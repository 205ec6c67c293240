"""The first words with a proxy: CONNECT, and its answer. TLS with the other end is spoken through it afterwards."""

import asyncio
import re
from typing import Final, cast

from komeet.core.errors import ConnectFailed

_MOST: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d\d\d)(?: ([^\r\n]*))?\r\n")
_END: Final = b"\r\n\r\n"


class Tunnel(asyncio.Protocol):
    """Holds the connection to the proxy at `place` until whoever speaks with the other end takes over."""

    __slots__ = ("_answered", "_head", "_place", "stirred", "transport")

    def __init__(self, place: str) -> None:
        self.stirred = False
        """Whether, once it was open, it ended or something came through it that nobody had asked for."""
        self._place: Final = place
        self.transport = cast("asyncio.Transport", None)
        self._head = b""
        self._answered: asyncio.Future[None] | None = None

    async def open(self, authority: str, lines: bytes) -> None:
        """Have the proxy connect to `authority`, a host with its port.

        `lines` are further header fields, with their line ends.

        Raises:
            ConnectFailed: it did not.
        """
        if self.transport.is_closing():
            raise self._broke()
        self._answered = asyncio.get_running_loop().create_future()
        name = authority.encode("idna" if not authority.isascii() else "ascii")
        self.transport.write(b"CONNECT " + name + b" HTTP/1.1\r\nhost: " + name + b"\r\n" + lines + b"\r\n")
        await self._answered
        found = _STATUS.match(self._head)
        if found is None:
            raise ConnectFailed(f"The proxy {self._place} did not answer in HTTP/1.1.")
        if found[1][:1] != b"2":
            reason = (found[2] or b"").decode("latin-1").encode("unicode_escape").decode("ascii")[:100]
            status = f"{found[1].decode()} {reason}".strip()
            raise ConnectFailed(f"The proxy {self._place} did not connect to {authority}: {status}.")
        if self._head.index(_END) != len(self._head) - len(_END):
            raise ConnectFailed(f"The proxy {self._place} sent more than its answer.")

    def abort(self) -> None:
        """Close the connection."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        waiter = self._answered
        if waiter is None or waiter.done():
            self.stirred = True
            return
        self._head += data
        if _END in self._head:
            waiter.set_result(None)
        elif len(self._head) > _MOST:
            waiter.set_exception(ConnectFailed(f"The answer of the proxy {self._place} is above {_MOST} bytes."))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.stirred = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(self._broke())

    def _broke(self) -> ConnectFailed:
        return ConnectFailed(f"The proxy {self._place} closed the connection before it was open.")
