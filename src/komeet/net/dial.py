"""Opens connections: names to addresses, the first address that answers, a proxy's tunnel, TLS.

Failures say which host and why.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from komeet.core.errors import ConnectFailed
from komeet.core.http import Origin
from komeet.net.proxies import Proxies, Proxy
from komeet.net.resolve import Address, Resolver, explain
from komeet.net.tasks import Tasks
from komeet.net.trust import TlsFileError, Trust
from komeet.net.tunnel import Tunnel

_HEAD_START = 0.25
"""Seconds that one address has before the next is tried beside it (RFC 8305, 5: Connection Attempt Delay)."""

_P = TypeVar("_P", bound=asyncio.Protocol)


class Dialer:
    """Opens connections to origins.

    Args:
        resolver: what makes addresses out of names.
        trust: what TLS is made with.
        proxies: which origins are reached through a proxy.
        tasks: runs the attempts.
        admits: says of each address that a name has whether it may be connected to; one that may not is enough to
            refuse. None: every one may. Of a proxy's it is not asked, nor of what the proxy connects to.
    """

    __slots__ = ("_admits", "_proxies", "_resolver", "_tasks", "_trust")

    def __init__(
        self,
        resolver: Resolver,
        trust: Trust,
        proxies: Proxies,
        tasks: Tasks,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        self._resolver: Final = resolver
        self._trust: Final = trust
        self._proxies: Final = proxies
        self._tasks: Final = tasks
        self._admits: Final = admits

    def forwards(self, origin: Origin) -> Proxy | None:
        """Return the proxy that is sent the requests to `origin` itself: one on the way to plain http."""
        return self._proxies.towards(origin) if origin.scheme == "http" else None

    async def dial(self, origin: Origin, make: Callable[[], _P]) -> _P:
        """Return the protocol of a new connection, over TLS where the origin is https.

        Raises:
            ConnectFailed: the name, the address, the port, the proxy or the certificate is not what it should be.
        """
        proxy = self._proxies.towards(origin)
        if proxy is None:
            return await self._direct(origin, make)
        if origin.scheme == "http":
            return await self._direct(proxy.origin, make, f"the proxy {place(proxy.origin)}")
        return await self._through(proxy, origin, make)

    async def _direct(self, origin: Origin, make: Callable[[], _P], called: str = "") -> _P:
        where = called or place(origin)
        context = self._context(origin)
        channel = await self._reach(origin, where, checked=not called)
        try:
            _, protocol = await asyncio.get_running_loop().create_connection(
                make, sock=channel, ssl=context, server_hostname=None if context is None else origin.host
            )
        except OSError as error:
            self._resolver.forget(origin.host, origin.port)
            raise _set_up_failed(where, error) from error
        except BaseException:
            self._resolver.forget(origin.host, origin.port)
            raise
        return protocol

    async def _through(self, proxy: Proxy, origin: Origin, make: Callable[[], _P]) -> _P:
        """Have the proxy connect, and speak TLS with the origin inside: the proxy sees neither request nor answer."""
        beyond = place(proxy.origin)
        tunnel = await self._direct(proxy.origin, lambda: Tunnel(beyond), f"the proxy {beyond}")
        try:
            await tunnel.open(authority(origin), proxy.lines())
            secured = await self._secure(tunnel, origin)
        except BaseException:
            tunnel.abort()
            raise
        protocol = make()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        return protocol

    async def _secure(self, tunnel: Tunnel, origin: Origin) -> asyncio.Transport:
        where, context = place(origin), self._context(origin)
        assert context is not None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                tunnel.transport, tunnel, context, server_hostname=origin.host
            )
        except OSError as error:
            raise _set_up_failed(where, error) from error
        if secured is None or tunnel.stirred:
            raise ConnectFailed(f"{where} ended the connection, or spoke, before it was asked.")
        return secured

    async def _reach(self, origin: Origin, where: str, *, checked: bool) -> socket.socket:
        addresses = await self._resolver.addresses(origin.host, origin.port)
        if checked and self._admits is not None and not all(self._admits(str(target[0])) for _, target in addresses):
            raise ConnectFailed(f"{where} is not an address of the public internet.")
        try:
            return await connect_any(addresses, where, self._tasks)
        except BaseException:  # no answer in time is one too
            self._resolver.forget(origin.host, origin.port)
            raise

    def _context(self, origin: Origin) -> ssl.SSLContext | None:
        if origin.scheme != "https":
            return None
        try:
            return self._trust.context(origin.tls)
        except TlsFileError as error:
            raise ConnectFailed(
                f"No connection to {place(origin)}: Komeet's own TLS files cannot be used.", detail=str(error)
            ) from error


def place(origin: Origin) -> str:
    """Return the host, and the port where it is not the scheme's, as it stands in a `host` field."""
    return _host(origin) if origin.port == {"https": 443, "http": 80}.get(origin.scheme) else authority(origin)


def authority(origin: Origin) -> str:
    """Return the host and the port, always."""
    return f"{_host(origin)}:{origin.port}"


def _host(origin: Origin) -> str:
    return f"[{origin.host}]" if ":" in origin.host else origin.host


def _set_up_failed(where: str, error: OSError) -> ConnectFailed:
    match error:
        case ssl.SSLCertVerificationError():
            return ConnectFailed(f"The certificate of {where} was not accepted: {error.verify_message}.")
        case ssl.SSLError():
            return ConnectFailed(f"TLS with {where} failed: {error.reason or error}.")
        case _:
            return ConnectFailed(f"The connection to {where} was closed while it was set up.", detail=repr(error))


async def connect_any(addresses: Sequence[Address], where: str, tasks: Tasks) -> socket.socket:
    """Return a socket to the first address that answers; a slow one does not hold up the next (RFC 8305)."""
    errors: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket | OSError]] = set()
    waiting = list(addresses)
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(tasks.spawn(f"connect to {where}", _connect(waiting.pop(0))))
            done, attempts = await asyncio.wait(
                attempts, timeout=_HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                result = attempt.result()
                if not isinstance(result, OSError):
                    attempts |= done - {attempt}
                    return result
                errors.append(result)
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_late)
            attempt.cancel()
    reasons = sorted({explain(error) for error in errors}) or ["it has no address"]
    raise ConnectFailed(f"No connection to {where}: {'; '.join(reasons)}.")


async def _connect(address: Address) -> socket.socket | OSError:
    family, target = address
    try:
        channel = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # a family that this machine does not have, or no more file descriptors
        return error
    try:
        channel.setblocking(False)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(channel, target)
    except OSError as error:
        channel.close()
        return error
    except BaseException:
        channel.close()
        raise
    return channel


def _close_late(attempt: asyncio.Task[socket.socket | OSError]) -> None:
    """Close what an attempt that lost the race has still opened."""
    if not attempt.cancelled() and attempt.exception() is None:
        result = attempt.result()
        if not isinstance(result, OSError):
            result.close()
