"""Opens connections: names to addresses, the first address that answers, TLS. Failures say which host and why."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from komeet.core.errors import ConnectFailed
from komeet.core.http import Origin
from komeet.net.tasks import Tasks

_HEAD_START = 0.25
"""Seconds that one address has before the next is tried beside it (RFC 8305, 5: Connection Attempt Delay)."""

_P = TypeVar("_P", bound=asyncio.Protocol)
Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


async def dial(
    origin: Origin,
    context: ssl.SSLContext | None,
    make: Callable[[], _P],
    tasks: Tasks,
    admits: Callable[[str], bool] | None = None,
) -> _P:
    """Return the protocol of a new connection to `origin`, over TLS if there is a context.

    `admits` says of each address that the name has whether it may be connected to; one that may not is enough.

    Raises:
        ConnectFailed: the name, the address, the port or the certificate is not what it should be.
    """
    where = place(origin)
    addresses = await _resolve(origin)
    if admits is not None and not all(admits(str(target[0])) for _, target in addresses):
        raise ConnectFailed(f"{where} is not an address of the public internet.")
    channel = await connect_any(addresses, where, tasks)
    try:
        _, protocol = await asyncio.get_running_loop().create_connection(
            make, sock=channel, ssl=context, server_hostname=None if context is None else origin.host
        )
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(f"The certificate of {where} was not accepted: {error.verify_message}.") from error
    except ssl.SSLError as error:
        raise ConnectFailed(f"TLS with {where} failed: {error.reason or error}.") from error
    except OSError as error:
        raise ConnectFailed(f"{where} closed the connection while it was set up.", detail=repr(error)) from error
    return protocol


def place(origin: Origin) -> str:
    """Return the host, and the port where it is not the scheme's, as it stands in a `host` field."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == {"https": 443, "http": 80}.get(origin.scheme) else f"{host}:{origin.port}"


async def _resolve(origin: Origin) -> list[Address]:
    """Return the addresses in the order in which to try them: families take turns, the preferred one first."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"The name {origin.host} could not be resolved: {_reason(error)}.") from error
    first = [(family, address) for family, _, _, _, address in found if family == found[0][0]]
    other = [(family, address) for family, _, _, _, address in found if family != found[0][0]]
    turns = chain.from_iterable(zip_longest(first, other))
    return [address for address in turns if address is not None]


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
    reasons = sorted({_reason(error) for error in errors}) or ["it has no address"]
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


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
