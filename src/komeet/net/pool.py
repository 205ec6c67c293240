"""The connections to one origin: kept for the next call, opened where there is none, waited for at the limit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from komeet.core.errors import ConnectFailed
from komeet.core.http import Origin
from komeet.net.connection import Connection
from komeet.net.dial import place


class Pool:
    """At most `limit` connections; the one used last is used first; who waits is served in turn."""

    __slots__ = ("_closed", "_dial", "_emptied", "_idle", "_limit", "_open", "_taken", "_waiting", "host_line", "place")

    def __init__(self, origin: Origin, limit: int, dial: Callable[[], Awaitable[Connection]]) -> None:
        self.place: Final = place(origin)
        """The host, for messages."""
        self.host_line: Final = b"host: " + self.place.encode("idna" if not self.place.isascii() else "ascii") + b"\r\n"
        self._limit: Final = limit
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
        return None

    async def acquire(self) -> Connection:
        """Return a connection, opened now or waited for.

        Raises:
            ConnectFailed: it could not be opened, or the client is closing.
        """
        while True:
            connection = self.take()
            if connection is not None:
                return connection
            if self._taken < self._limit:
                self._taken += 1
                return await self._connect()
            granted = await self._wait()
            if self._closed:
                raise self._closing()
            if granted is None:
                return await self._connect()
            if granted.usable:
                return granted

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
