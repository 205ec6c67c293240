"""The start of a connection: what a load balancer says of it, and TLS, before the first byte of HTTP."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from uvloop import loop as _uvloop

from komeet.net.proxy_protocol import NotProxyProtocol, Preamble
from komeet.net.server import STATE_KEY, HttpProtocol, Serving, address_of


class _MakeTls(Protocol):
    """`uvloop`'s own layer, which `create_server(ssl=…)` puts between a socket and a protocol.

    Used here by itself: it can be given a certificate per connection and a deadline, and stand behind a preamble.
    """

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        app_protocol: asyncio.Protocol,
        sslcontext: ssl.SSLContext,
        waiter: "asyncio.Future[None]",
        server_side: bool,
        *,
        ssl_handshake_timeout: float,
    ) -> asyncio.BufferedProtocol: ...


_tls = cast("_MakeTls", _uvloop.SSLProtocol)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def protocol(
    config: Config,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.BaseProtocol:
    """Return what speaks on a new connection; uvicorn's `http`."""
    serving: Serving = app_state[STATE_KEY]
    loop = _loop or asyncio.get_running_loop()

    def speak(client: str | None) -> asyncio.BaseProtocol:
        http = HttpProtocol(config, server_state, app_state, loop, client=client)
        if serving.certificates is None:
            return http
        if len(server_state.connections) + serving.greeting >= serving.limits.connections:
            return _Full()
        waiter = loop.create_future()
        serving.greeting += 1
        waiter.add_done_callback(greeted)
        return _tls(
            loop,
            http,
            serving.certificates.current(),
            waiter,
            server_side=True,
            ssl_handshake_timeout=serving.limits.header_seconds,
        )

    def greeted(waiter: "asyncio.Future[None]") -> None:
        serving.greeting -= 1
        if not waiter.cancelled() and (error := waiter.exception()) is not None:
            serving.log.debug("no TLS with a caller: %s", error)

    return Entry(serving, server_state, speak) if serving.proxies.announce else speak(None)


class _Full(asyncio.Protocol):
    """Closes at once: a handshake only to refuse would cost most when there is least."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class Entry(asyncio.BufferedProtocol):
    """A connection that begins with a preamble, where a proxy that is named makes it; reads no further than its end."""

    __slots__ = ("_buffer", "_peer", "_preamble", "_serving", "_since", "_speak", "_state", "_transport")

    def __init__(
        self, serving: Serving, state: ServerState, speak: Callable[[str | None], asyncio.BaseProtocol]
    ) -> None:
        self._serving: Final = serving
        self._state: Final = state
        self._speak: Final = speak
        self._transport = cast("asyncio.Transport", None)
        self._preamble: Final = Preamble()
        self._buffer = bytearray()
        self._peer = ""
        self._since = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = address_of(transport)
        self._since = self._serving.clock.monotonic()
        connections = cast("set[object]", self._state.connections)
        connections.add(self)
        self._serving.sweeper.add(self)
        if not self._serving.proxies.trusts(self._peer):
            self._hand_over(None)
        elif len(connections) > self._serving.limits.connections:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        self._buffer = bytearray(self._preamble.wanted)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        preamble = self._preamble
        try:
            preamble.feed(bytes(self._buffer[:nbytes]))
        except NotProxyProtocol as error:
            self._serving.log.warning("a proxy at %s does not speak the PROXY protocol: %s", self._peer, error)
            self._transport.abort()
            return
        if preamble.done:
            self._hand_over(preamble.client)

    def eof_received(self) -> None:
        """Take the end of what is sent as the end of the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._leave()

    # What uvicorn calls.

    def shutdown(self) -> None:
        """Close: nothing is under way yet."""
        self._transport.abort()

    def retire(self) -> None:
        """Go on: what comes is answered, and `Serving` says that it is the last."""

    # What the sweeper calls.

    def sweep(self, now: float, since: float) -> None:
        del since
        if now - self._since > self._serving.limits.header_seconds:
            self._transport.abort()

    def _hand_over(self, client: str | None) -> None:
        self._leave()
        next_one = self._speak(client)
        self._transport.set_protocol(next_one)
        next_one.connection_made(self._transport)

    def _leave(self) -> None:
        cast("set[object]", self._state.connections).discard(self)
        self._serving.sweeper.remove(self)
