"""The proxies that the environment names: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, and NO_PROXY for what they are not for.

As curl and Go read them: the names in lower case win, this machine is never behind a proxy, and entries of NO_PROXY are
names (with what is below them), addresses, networks (CIDR) or `*`, each with a port if it is meant for that one only.
"""

import base64
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from msgspec import Struct

from komeet.core.hosts import is_this_machine
from komeet.core.http import Origin
from komeet.core.secrets import Secret

_PORTS: Final = {"http": 80, "https": 443}


class ProxyError(Exception):
    """A variable names what cannot be used as a proxy; the message holds nothing of the address but its scheme."""


class Proxy(Struct, frozen=True, kw_only=True):
    """A proxy, and how it is asked. Its representation holds no secret."""

    origin: Origin
    authorization: Secret | None = None
    """The value of its `proxy-authorization` field."""

    def lines(self) -> bytes:
        """Return the header field that it wants, as a line; nothing where it wants none."""
        if self.authorization is None:
            return b""
        return b"proxy-authorization: " + self.authorization.reveal().encode("ascii") + b"\r\n"


class Proxies:
    """Says which proxy leads to an origin. Without arguments: none does."""

    __slots__ = ("_by_scheme", "_direct")

    def __init__(self, by_scheme: Mapping[str, Proxy] | None = None, no_proxy: str = "") -> None:
        self._by_scheme: Final = dict(by_scheme or {})
        self._direct: Final = tuple(_Exception.parse(text) for text in no_proxy.replace(",", " ").split())

    def towards(self, origin: Origin) -> Proxy | None:
        """Return the proxy through which `origin` is reached, or None: directly."""
        proxy = self._by_scheme.get(origin.scheme)
        if proxy is None or is_this_machine(origin.host) or any(one.covers(origin) for one in self._direct):
            return None
        return proxy


def from_environment(environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that these variables name.

    Raises:
        ProxyError: one of them names something else than an http or https proxy.
    """
    found: dict[str, Proxy] = {}
    for scheme in _PORTS:
        for variable in (f"{scheme}_proxy", "all_proxy"):
            name = variable if environment.get(variable) else variable.upper()
            if environment.get(name):
                found[scheme] = _proxy(name, environment[name])
                break
    return Proxies(found, environment.get("no_proxy") or environment.get("NO_PROXY") or "")


def _proxy(name: str, text: str) -> Proxy:
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        raise ProxyError(f"{name}: not the URL of a proxy") from None
    if parts.scheme not in _PORTS:
        raise ProxyError(
            f"{name}: Komeet does not speak {parts.scheme} to proxies; name an http or https one, or set"
            " `connections.proxies: none`"
        )
    host = parts.hostname or ""
    if not (host and host.isascii() and host.isprintable() and " " not in host) or parts.path not in ("", "/"):
        raise ProxyError(f"{name}: not the URL of a proxy: http://host:port")
    return Proxy(origin=Origin(parts.scheme, host, port or _PORTS[parts.scheme]), authorization=_authorization(parts))


def _authorization(parts: SplitResult) -> Secret | None:
    if parts.username is None:
        return None
    pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
    return Secret("Basic " + base64.b64encode(pair).decode("ascii"))


class _Exception(Struct, frozen=True):
    """An entry of NO_PROXY."""

    name: str
    """A name in lower case, without a leading dot; `*` is every one."""
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "_Exception":
        """Read one entry; what makes no sense covers nothing."""
        name, port = text.lower(), None
        head, colon, tail = name.rpartition(":")
        if colon and tail.isascii() and tail.isdigit() and (":" not in head or head.endswith("]")):
            name, port = head, int(tail)
        name = name.removeprefix("[").removesuffix("]")
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            network = None
        return cls(name.removeprefix("*.").strip("."), network, port)

    def covers(self, origin: Origin) -> bool:
        """Whether `origin` is reached directly because of this entry."""
        if self.port is not None and self.port != origin.port:
            return False
        host = origin.host.lower().rstrip(".")
        if self.network is not None:
            try:
                return ipaddress.ip_address(host) in self.network
            except ValueError:
                return False
        return bool(self.name) and (self.name in {"*", host} or host.endswith(f".{self.name}"))
