"""Fetches images and documents from addresses that callers name: public ones only, and within bounds.

A name is resolved once, every address that it has must be public, and the connection goes to one of those: what is
checked is what is connected to. Each redirect is checked in the same way. No credential and no cookie is sent. Proxies
are not used: what a proxy connects to could not be checked.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from komeet import __version__
from komeet.core.clock import Clock
from komeet.core.errors import UpstreamError, WireError
from komeet.core.http import Deadlines, Origin, Outgoing
from komeet.net.client import Client
from komeet.net.trust import Trust

_PORTS: Final = {"https": 443, "http": 80}
_WEB: Final = frozenset(_PORTS.values())
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 4
_HEADERS: Final = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", f"komeet/{__version__}".encode()),
)
_TUNNELS: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)
"""IPv6 that stands for an IPv4 address, which would have to be judged instead."""


def is_public(address: str) -> bool:
    """Whether a connection to this address leaves for the public internet (IANA's special-purpose registries)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    if mapped is not None:
        return is_public(str(mapped))
    if isinstance(found, ipaddress.IPv6Address) and any(found in tunnel for tunnel in _TUNNELS):
        return False
    return found.is_global and not found.is_multicast


class PublicMedia:
    """Implements `komeet.pipeline.ports.Media`.

    Args:
        clock: for deadlines.
        limit: most bytes of one file.
        seconds: most time for one file, redirects included.
        trust: further certificate authorities.
        admits: which addresses may be connected to.
        ports: which ports; None: any.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        limit: int,
        seconds: float,
        trust: Trust | None = None,
        admits: Callable[[str], bool] = is_public,
        ports: frozenset[int] | None = _WEB,
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._trust = trust or Trust()
        self._admits = admits
        self._ports = ports

    async def fetch(self, url: str) -> tuple[str, bytes]:
        """Return the media type, without parameters, and the bytes.

        Raises:
            WireError: 400, the address may not be fetched from, or does not give the file.
        """
        client = Client(self._clock, trust=self._trust, admits=self._admits)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(client, url)
        except TimeoutError:
            raise WireError(f"{_shown(url)} did not give the file within {self._seconds:g} s.") from None
        except UpstreamError as error:
            raise WireError(f"{_shown(url)} could not be fetched: {error.message}") from error
        finally:
            await client.aclose()

    async def _follow(self, client: Client, url: str) -> tuple[str, bytes]:
        for _ in range(_HOPS):
            origin, target = self._checked(url)
            deadlines = Deadlines(connect=self._seconds, first_byte=self._seconds, idle=self._seconds)
            outgoing = Outgoing(
                origin=origin, method="GET", target=target, headers=_HEADERS, body=b"", deadlines=deadlines
            )
            answer = await client.fetch(outgoing)
            try:
                if answer.status in _REDIRECTS:
                    url = _led_on(url, answer.headers.get(b"location", b"").decode("latin-1"))
                    continue
                if answer.status != 200:
                    raise WireError(f"{_shown(url)} answered with status {answer.status}, not with the file.")
                kind = answer.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
                return kind, await answer.read(self._limit)
            finally:
                answer.close()
        raise WireError(f"{_shown(url)} leads on to other addresses too many times.")

    def _checked(self, url: str) -> tuple[Origin, str]:
        """Return where `url` leads; raises WireError where it is not a plain web address."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise WireError(f"{_shown(url)} is not a URL.") from None
        plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and "@" not in parts.netloc
        if not plain or parts.scheme not in _PORTS or not parts.hostname:
            raise WireError(f"{_shown(url)} is not a plain http or https URL.")
        if self._ports is not None and port not in self._ports:
            raise WireError(f"{_shown(url)}: files are fetched from ports 443 and 80 only.")
        return Origin(parts.scheme, parts.hostname, port), _target(parts)


def _led_on(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise WireError(f"{_shown(url)} leads on to what is not a URL.") from None


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _shown(url: str) -> str:
    """Name an address without its query, which may hold a signature."""
    return url.partition("?")[0][:200].encode("unicode_escape").decode("ascii")
