"""Names to addresses: asked once however many wait, kept for a while, never used past that while.

The system's look-up says nothing of how long an answer holds, so the lifetime is ours. An answer whose addresses turn
out not to work is forgotten by whoever found that out; a look-up that fails leaves nothing behind to fall back on.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Final, TypeAlias

from komeet.core.clock import Clock
from komeet.core.errors import ConnectFailed
from komeet.net.tasks import Tasks

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
LookUp: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""What asks the system: host and port to addresses, the preferred one first. Raises OSError or UnicodeError."""

_Place: TypeAlias = tuple[str, int]
_MOST_KEPT: Final = 1024


class Resolver:
    """Keeps what it found for `keep_seconds`, of at most 1024 names; 0 keeps nothing."""

    __slots__ = ("_asked", "_clock", "_keep_seconds", "_kept", "_look_up", "_tasks")

    def __init__(self, clock: Clock, tasks: Tasks, keep_seconds: float, look_up: LookUp | None = None) -> None:
        self._clock: Final = clock
        self._tasks: Final = tasks
        self._keep_seconds: Final = keep_seconds
        self._look_up: Final = look_up or ask_system
        self._kept: dict[_Place, tuple[float, Sequence[Address]]] = {}
        self._asked: dict[_Place, asyncio.Task[Sequence[Address] | Exception]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses in the order in which to try them: families take turns, the preferred one first.

        Raises:
            ConnectFailed: the name could not be resolved.
        """
        place = (host, port)
        kept = self._kept.get(place)
        if kept is not None:
            if self._clock.monotonic() < kept[0]:
                return kept[1]
            del self._kept[place]
        asked = self._asked.get(place)
        if asked is None:
            asked = self._asked[place] = self._tasks.spawn(f"resolve {host}", self._ask(host, port))
        # Waited for, not awaited: who leaves does not take the answer away from the others.
        await asyncio.wait((asked,))
        if asked.cancelled():
            raise ConnectFailed(f"The name {host} was not resolved: Komeet is shutting down.")
        found = asked.result()
        if isinstance(found, Exception):
            raise ConnectFailed(f"The name {host} could not be resolved: {explain(found)}.") from found
        return found

    def forget(self, host: str, port: int) -> None:
        """Ask again next time: the addresses did not work."""
        self._kept.pop((host, port), None)

    async def _ask(self, host: str, port: int) -> Sequence[Address] | Exception:
        """Ask the system, and keep what it says; a failure is returned, for each who waits to raise as their own."""
        try:
            found = take_turns(await self._look_up(host, port))
        except (OSError, UnicodeError) as error:
            return error
        finally:
            del self._asked[host, port]
        if self._keep_seconds > 0 and found:
            while len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[host, port] = (self._clock.monotonic() + self._keep_seconds, found)
        return found


def take_turns(addresses: Iterable[Address]) -> Sequence[Address]:
    """Return the addresses with the families in turn, so that a family that does not work costs one attempt."""
    found = list(addresses)
    first = [address for address in found if address[0] == found[0][0]]
    other = [address for address in found if address[0] != found[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


async def ask_system(host: str, port: int) -> Sequence[Address]:
    """Ask as this machine is configured to: its hosts file, its name servers."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def explain(error: Exception) -> str:
    """Say in words why a look-up or an attempt to connect failed."""
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
