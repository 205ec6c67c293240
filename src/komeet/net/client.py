"""The HTTP/1.1 client: kept-alive connections to providers, TLS always verified, deadlines for each phase of a call.

A request is sent once. What may have reached the provider is never sent again from here: that is for whoever knows
whether it may be repeated. Bodies are handed on as they come; `accept-encoding` is the caller's business.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from komeet.core.clock import Clock
from komeet.core.errors import ConnectFailed, InternalError, UpstreamTimedOut
from komeet.core.http import Origin, Outgoing
from komeet.net.answer import HttpAnswer
from komeet.net.connection import Connection
from komeet.net.dial import dial, place
from komeet.net.head import field_lines
from komeet.net.limits import ClientLimits
from komeet.net.pool import Pool
from komeet.net.sweep import Sweeper
from komeet.net.tasks import Tasks

_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})
"""Fields that this client writes, or that would change how a request is framed."""

_UNSENDABLE = "The gateway could not write the request to the provider."

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Client:
    """Implements `komeet.core.http.Fetcher`. One per process and event loop."""

    __slots__ = (
        "_admits",
        "_clock",
        "_closed",
        "_extra_ca",
        "_limits",
        "_open",
        "_pools",
        "_sweeper",
        "_tasks",
        "_tls",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        limits: ClientLimits | None = None,
        extra_ca: Path | None = None,
        sweep_seconds: float = 0.1,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        """Trust the system's certificate authorities, and those in the PEM file `extra_ca` if there is one.

        `admits` says of an address whether it may be connected to; None: every address.
        """
        self._admits: Final = admits
        self._clock: Final = clock
        self._limits: Final = limits if limits is not None else ClientLimits()
        self._extra_ca: Final = extra_ca
        self._sweeper: Final = Sweeper(clock, sweep_seconds)
        self._tasks: Final = Tasks()
        self._pools: dict[Origin, Pool] = {}
        # Loading the authorities takes a while, and a gateway with local providers only needs none. A file that is
        # named is read now: a mistake in it should not wait for the first call.
        self._tls: ssl.SSLContext | None = None if extra_ca is None else _tls_context(extra_ca)
        self._closed = False

    async def fetch(self, outgoing: Outgoing, sent: Callable[[], None] | None = None) -> HttpAnswer:
        origin, deadlines = outgoing.origin, outgoing.deadlines
        if self._closed:
            raise ConnectFailed(f"No connection to {place(origin)}: Komeet is shutting down.")
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._new_pool(origin)
        head = _request_head(outgoing, pool.host_line)
        started = now = self._clock.monotonic()
        connection = pool.take()
        if connection is None:
            connection = await self._acquire(pool, min(deadlines.connect, deadlines.total))
            now = self._clock.monotonic()
        if sent is not None:
            try:
                sent()
            except BaseException:
                pool.release(connection)
                raise
        answer = connection.send(
            head, outgoing.body, deadlines, head_only=outgoing.method == "HEAD", started=started, now=now
        )
        await answer.head()
        return answer

    async def aclose(self) -> None:
        """Close every connection, and return when all are closed; calls under way end as cut, new ones fail."""
        self._closed = True
        for pool in self._pools.values():
            await pool.aclose()

    def _new_pool(self, origin: Origin) -> Pool:
        return Pool(origin, self._limits.connections, lambda: self._dial(origin, place(origin)))

    async def _acquire(self, pool: Pool, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await pool.acquire()
        except TimeoutError as error:
            raise UpstreamTimedOut(f"No connection to {pool.place} within {seconds:g} s.", phase="connect") from error

    async def _dial(self, origin: Origin, where: str) -> Connection:
        context = None
        if origin.scheme == "https":
            if self._tls is None:
                self._tls = _tls_context(self._extra_ca)
            context = self._tls
        return await dial(
            origin, context, lambda: Connection(where, self._limits, self._sweeper), self._tasks, self._admits
        )


def _tls_context(extra_ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if extra_ca is not None:
        context.load_verify_locations(extra_ca)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request_head(outgoing: Outgoing, host_line: bytes) -> bytes:
    """Return the request line and the header section.

    Raises:
        InternalError: something in them would change how the request is framed.
    """
    method, target, headers, body = outgoing.method, outgoing.target, outgoing.headers, outgoing.body
    if not _FRAMING.isdisjoint([name for name, _ in headers]):
        raise InternalError(_UNSENDABLE, detail="a header field that only the client may write")
    if not (target.isascii() and target.isprintable() and target[:1] == "/" and " " not in target and method.isalpha()):
        raise InternalError(_UNSENDABLE, detail=f"request line: {method!r} {target!r}")
    return b"".join(
        (
            f"{method} {target} HTTP/1.1\r\n".encode("ascii"),
            host_line,
            b"" if not body and method in _WITHOUT_BODY else b"content-length: %d\r\n" % len(body),
            field_lines(headers),
            b"\r\n",
        )
    )
