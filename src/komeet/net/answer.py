"""A provider's answer, on its way from the connection to whoever asked."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from komeet.core.errors import CutMidStream, Garbled


class Line(Protocol):
    """What an answer may do to the connection that it comes from."""

    def halt(self) -> None:
        """Take no more bytes."""
        ...

    def go_on(self) -> None:
        """Take bytes again."""
        ...

    def give_up(self) -> None:
        """Close, without waiting for the rest."""
        ...


class HttpAnswer:
    """Implements `komeet.core.http.Answer`. Pieces go straight from the socket's callback to `feed`: no queue, no task.

    What comes before anybody reads is kept, up to `buffer_bytes`; then the connection is not read.
    """

    __slots__ = (
        "_buffer_bytes", "_early", "_error", "_feed", "_full", "_host", "_limit", "_line", "_waiter", "headers",
        "paused", "status",
    )  # fmt: skip

    def __init__(self, host: str, line: Line, buffer_bytes: int) -> None:
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self.paused = False
        """Whether the reader asked for a pause."""
        self._host: Final = host
        self._buffer_bytes: Final = buffer_bytes
        self._line: Line | None = line
        self._early: bytes | bytearray = b""
        self._full = False
        self._limit: int | None = None
        self._feed: Callable[[bytes], None] | None = None
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Return once the head is there, or raise what came instead."""
        if not self.status and self._error is None:
            await self._wait()
        if not self.status and self._error is not None:
            raise self._error

    async def read(self, limit: int) -> bytes:
        self._limit = limit
        announced = self.headers.get(b"content-length")
        if len(self._early) > limit or (announced is not None and self._line is not None and int(announced) > limit):
            self.close()
            raise self._too_long(limit)
        if self._line is not None:
            self._unblock()
            await self._wait()
        if self._error is not None:
            raise self._error
        body = self._early
        return body if isinstance(body, bytes) else bytes(body)

    async def relay(self, feed: Callable[[bytes], None]) -> None:
        early, self._early = self._early, b""
        if early:
            try:
                feed(bytes(early))
            except BaseException:
                self.close()
                raise
        if self._line is not None:
            self._feed = feed
            self._unblock()
            await self._wait()
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        if not self.paused and self._line is not None:
            self.paused = True
            if not self._full:
                self._line.halt()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if self._line is not None and not self._full:
                self._line.go_on()

    def close(self) -> None:
        line, self._line = self._line, None
        self._feed = None
        if line is not None:
            self._error = CutMidStream(f"The answer of {self._host} was given up before its end.")
            line.give_up()
            self._wake()

    @property
    def halted(self) -> bool:
        """Whether the connection is not read, at the reader's wish or because nobody reads."""
        return self.paused or self._full

    # What the connection calls.

    def begun(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take the head."""
        self.status = status
        self.headers = headers
        self._wake()

    def piece(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        feed = self._feed
        if feed is not None:
            feed(data)
            return
        line = self._line
        if line is None:
            return
        early = self._early
        if not early:
            self._early = early = data
        elif isinstance(early, bytearray):
            early += data
        else:
            self._early = early = bytearray(early)
            early += data
        if self._limit is not None:
            if len(early) > self._limit:
                raise self._too_long(self._limit)
        elif len(early) > self._buffer_bytes and not self._full:
            self._full = True
            if not self.paused:
                line.halt()

    def ended(self, error: BaseException | None) -> None:
        """Take the end: the orderly one, or what broke it. The connection is not this answer's any more."""
        self._line = None
        self._feed = None
        self._error = error
        self._wake()

    def _unblock(self) -> None:
        if self._full:
            self._full = False
            if not self.paused and self._line is not None:
                self._line.go_on()

    async def _wait(self) -> None:
        """Wait for the next `_wake`; cancelling gives the answer up."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _too_long(self, limit: int) -> Garbled:
        return Garbled(f"The answer of {self._host} is longer than {limit} bytes.")
