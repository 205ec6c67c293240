"""The connections to one origin: kept for the next call, opened where there is none, waited for at the limit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from komeet.core.errors import ConnectFailed
from komeet.core.http import Origin
from komeet.net.connection import Connection
from komeet.net.dial import place
from komeet.net.limits import ClientLimits
from komeet.net.proxies import Proxy


class Pool:
    """At most so many connections; the one used last is used first; who waits is served in turn."""

    __slots__ = (
        "_closed", "_dial", "_emptied", "_idle", "_limits", "_open", "_taken", "_waiting", "fixed_lines", "place",
        "target_prefix",
    )  # fmt: skip

    def __init__(
        self,
        origin: Origin,
        limits: ClientLimits,
        dial: Callable[[], Awaitable[Connection]],
        forwards: Proxy | None = None,
    ) -> None:
        """Open connections to `origin` with `dial`; `forwards` is the proxy that is sent its requests, if one is."""
        self.place: Final = place(origin)
        """The host, for messages."""
        host = self.place.encode("idna" if not self.place.isascii() else "ascii")
        self.fixed_lines: Final = b"host: " + host + b"\r\n" + (b"" if forwards is None else forwards.lines())
        """The header fields of every request, as lines."""
        self.target_prefix: Final = "" if forwards is None else f"http://{host.decode('ascii')}"
        """What precedes the target of every request."""
        self._limits: Final = limits
        self._dial: Final = dial
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._taken = 0
        """Connections that are open, being opened, or promised to a waiter."""
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def take(self) -> Connection | None:
        """Return an idle connection, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.discard()
        return None

    async def acquire(self) -> Connection:
        """Return a connection, opened now or waited for.

        Raises:
            ConnectFailed: it could not be opened, too many wait for one, or the client is closing.
        """
        while True:
            connection = self.take()
            if connection is not None:
                return connection
            if self._taken < self._limits.connections:
                self._taken += 1
                return await self._connect()
            if len(self._waiting) >= self._limits.waiting:
                raise ConnectFailed(
                    f"No connection to {self.place}: all {self._limits.connections} are in use, and"
                    f" {len(self._waiting)} calls wait for one."
                )
            granted = await self._wait()
            if self._closed:
                raise self._closing()
            if granted is None:
                return await self._connect()
            if granted.usable:
                return granted
            granted.discard()

    def release(self, connection: Connection) -> None:
        """Take back a connection that can carry another request."""
        if self._closed:
            connection.discard()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Learn that the connection is closed: another may be opened in its place."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._open.discard(connection)
        self._leave()
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    async def aclose(self) -> None:
        """Close every connection, and open no more; return when all are closed."""
        self._closed = True
        while self._waiting:
            self._leave()
        if self._open:
            self._emptied = asyncio.get_running_loop().create_future()
            for connection in self._open:
                connection.discard()
            await self._emptied

    async def _connect(self) -> Connection:
        """Open a connection in a place that is already counted."""
        try:
            connection = await self._dial()
        except BaseException:
            self._leave()
            raise
        if self._closed or not connection.usable:
            self._leave()
            connection.discard()
            if self._closed:
                raise self._closing()
            raise ConnectFailed(f"{self.place} closed the connection as soon as it was open.")
        self._open.add(connection)
        connection.adopt(self)
        return connection

    async def _wait(self) -> Connection | None:
        """Return a connection that another call has done with, or None for the right to open one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                granted = waiter.result()  # granted in the same moment: the next in line gets it
                if granted is None:
                    self._leave()
                elif granted.usable:
                    self.release(granted)
                else:
                    granted.discard()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _leave(self) -> None:
        """Give a place up, to the first who waits for one."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken -= 1

    def _closing(self) -> ConnectFailed:
        return ConnectFailed(f"No connection to {self.place}: Komeet is shutting down.")
