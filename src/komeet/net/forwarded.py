"""Whose call it is when a proxy passes it on: nobody is believed about that but the proxies that are named."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

ClientOf = Callable[[Mapping[bytes, bytes]], str]
"""Returns the address of the caller of a request with these header fields."""

FORWARDED: Final = b"forwarded"
X_FORWARDED_FOR: Final = b"x-forwarded-for"


class TrustedProxies:
    """The proxies whose word is taken, and the header field in which they give it.

    Only the named field is read: a proxy that writes one of them passes the other on as the caller sent it.
    """

    __slots__ = ("_field", "_networks", "announce")

    def __init__(self, networks: Sequence[str] = (), field: bytes | None = None, *, announce: bool = False) -> None:
        """Trust proxies at `networks` (addresses, or `10.0.0.0/8`); raises ValueError for what is neither."""
        self.announce: Final = announce
        """Whether they begin each connection with the PROXY protocol instead."""
        self._networks: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple([ip_network(each) for each in networks])
        self._field: Final = field

    def trusts(self, address: str) -> bool:
        """Whether `address` is a proxy's that is named."""
        if not self._networks:
            return False
        try:
            found = ip_address(_unmapped(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def reader(self, peer: str) -> ClientOf | None:
        """Return what says whose the requests of a connection from `peer` are; None: its own."""
        if self._field is None or not self.trusts(peer):
            return None
        return lambda headers: self._client(headers, peer)

    def _client(self, headers: Mapping[bytes, bytes], peer: str) -> str:
        """Go back from hop to hop for as long as they are proxies that are trusted; "": the last one does not say."""
        assert self._field is not None
        said = headers.get(self._field)
        if said is None:
            return peer
        text = said.decode("latin-1")
        hops = _forwarded(text) if self._field == FORWARDED else [_address(each) for each in text.split(",")]
        client = peer
        for hop in reversed(hops):
            client = hop
            if not self.trusts(hop):
                break
        return client


def _forwarded(text: str) -> list[str]:
    """Return the `for` of each element (RFC 7239); "" where there is none that is an address."""
    found: list[str] = []
    for element in _split(text, ","):
        pairs = [pair.strip().partition("=") for pair in _split(element, ";")]
        found.append(next((_address(value) for name, _, value in pairs if name.lower() == "for"), ""))
    return found


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quotes; a quote that nothing closes holds the rest."""
    parts: list[str] = []
    start, quoted = 0, False
    for at, letter in enumerate(text):
        if letter == '"' and not (quoted and text[at - 1] == "\\"):
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _address(text: str) -> str:
    """Return the address of one hop without quotes, brackets and port; "" where it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(_unmapped(text)))
    except ValueError:
        return ""


def _unmapped(address: str) -> str:
    """Return the IPv4 address that an IPv6 one stands for, as a socket for both shows it, or the address itself."""
    if not address.lower().startswith("::ffff:"):
        return address
    try:
        inner = IPv6Address(address).ipv4_mapped
    except ValueError:
        return address
    return address if inner is None else str(inner)
