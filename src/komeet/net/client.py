"""The HTTP/1.1 client: kept-alive connections to providers, TLS always verified, deadlines for each phase of a call.

A request is sent once. What may have reached the provider is never sent again from here: that is for whoever knows
whether it may be repeated. Bodies are handed on as they come; `accept-encoding` is the caller's business.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from komeet.core.clock import Clock
from komeet.core.errors import ConnectFailed, ConnectTimedOut, InternalError
from komeet.core.http import Origin, Outgoing
from komeet.net.answer import HttpAnswer
from komeet.net.connection import Connection
from komeet.net.dial import Dialer, place
from komeet.net.head import field_lines
from komeet.net.limits import ClientLimits
from komeet.net.pool import Pool
from komeet.net.proxies import Proxies
from komeet.net.resolve import LookUp, Resolver
from komeet.net.sweep import Sweeper
from komeet.net.tasks import Tasks
from komeet.net.trust import Trust

_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})
"""Fields that this client writes, or that would change how a request is framed."""

_UNSENDABLE = "The gateway could not write the request to the provider."

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Client:
    """Implements `komeet.core.http.Fetcher`. One per process and event loop."""

    __slots__ = (
        "_clock", "_closed", "_dialer", "_limits", "_pools", "_sweeper", "_tasks",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        *,
        limits: ClientLimits | None = None,
        trust: Trust | None = None,
        proxies: Proxies | None = None,
        sweep_seconds: float = 0.1,
        admits: Callable[[str], bool] | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        """Connect directly, and trust the system's certificate authorities, unless told otherwise.

        Args:
            clock: for deadlines.
            limits: bounds on connections and answers.
            trust: further authorities, and certificates of our own.
            proxies: which origins are reached through a proxy.
            sweep_seconds: how late a deadline may be met.
            admits: says of an address whether it may be connected to; None: every address. Not asked of what a proxy
                connects to: not to be combined.
            look_up: what makes addresses out of names; None: the system.
        """
        self._clock: Final = clock
        self._limits: Final = limits if limits is not None else ClientLimits()
        self._sweeper: Final = Sweeper(clock, sweep_seconds)
        self._tasks: Final = Tasks()
        resolver = Resolver(clock, self._tasks, self._limits.names_seconds, look_up)
        self._dialer: Final = Dialer(resolver, trust or Trust(), proxies or Proxies(), self._tasks, admits)
        self._pools: dict[Origin, Pool] = {}
        self._closed = False

    async def fetch(self, outgoing: Outgoing, sent: Callable[[], None] | None = None) -> HttpAnswer:
        origin, deadlines = outgoing.origin, outgoing.deadlines
        if self._closed:
            raise ConnectFailed(f"No connection to {place(origin)}: Komeet is shutting down.")
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._new_pool(origin)
        head = _request_head(outgoing, pool.target_prefix, pool.fixed_lines)
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
        if len(self._tasks):  # a name that is still being looked up
            await self._tasks.drain(0.0)

    def _new_pool(self, origin: Origin) -> Pool:
        where = place(origin)

        def new() -> Connection:
            return Connection(where, self._limits, self._sweeper)

        return Pool(origin, self._limits, lambda: self._dialer.dial(origin, new), self._dialer.forwards(origin))

    async def _acquire(self, pool: Pool, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await pool.acquire()
        except TimeoutError as error:
            raise ConnectTimedOut(f"No connection to {pool.place} within {seconds:g} s.") from error


def _request_head(outgoing: Outgoing, prefix: str, fixed_lines: bytes) -> bytes:
    """Return the request line, its target behind `prefix`, and the header section, with `fixed_lines` first.

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
            f"{method} {prefix}{target} HTTP/1.1\r\n".encode("ascii"),
            fixed_lines,
            b"" if not body and method in _WITHOUT_BODY else b"content-length: %d\r\n" % len(body),
            field_lines(headers),
            b"\r\n",
        )
    )
