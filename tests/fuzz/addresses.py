"""Addresses that strangers write: where a call comes from, what a proxy answers, and files that are named by URL."""

import asyncio
import ipaddress
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Any, Final
from unittest.mock import patch

from tests.fuzz.target import CUTS, Options, Target, check_error, parted, pieces
from tests.fuzz.wires import Wire

from komeet.core.clock import ManualClock
from komeet.core.errors import Blame, ConnectFailed, Garbled, WireError
from komeet.core.hosts import is_this_machine
from komeet.core.http import Outgoing
from komeet.net.client import _request_head  # pyright: ignore[reportPrivateUsage] - what would be sent
from komeet.net.forwarded import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from komeet.net.media import PublicMedia, is_public
from komeet.net.proxy_protocol import NotProxyProtocol, Preamble
from komeet.net.tunnel import Tunnel

_PEER: Final = "10.1.2.3"


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def addresses(data: bytes) -> None:
    """Read one of them, as the first letter of the input says."""
    options, said = parted(data)
    options.choose(0, (_preamble, _forwarded, _tunnel, _media, _judged))(said, options)


def _preamble(said: bytes, options: Options) -> None:
    """Read a preamble: never a byte further than its end, and however it is cut the same."""
    assert _read_preamble(said, 0) == _read_preamble(said, options.choose(1, CUTS))


def _read_preamble(said: bytes, size: int) -> tuple[str | None, bytes] | None:
    preamble, rest = Preamble(), said
    while not preamble.done:
        wanted = preamble.wanted
        assert wanted > 0
        piece = rest[: min(wanted, size or wanted)]
        if not piece:
            return None
        rest = rest[len(piece) :]
        try:
            preamble.feed(piece)
        except NotProxyProtocol:
            return None
        assert len(said) - len(rest) <= 16 + 2048
    if preamble.client is not None:
        assert str(ipaddress.ip_address(preamble.client)) == preamble.client
    return preamble.client, rest


def _forwarded(said: bytes, options: Options) -> None:
    """Take proxies at their word: an address or nothing, and never one that a trusted hop does not vouch for."""
    field = options.choose(1, (FORWARDED, X_FORWARDED_FOR))
    proxies = TrustedProxies(["10.0.0.0/8", "fd00::/8"], field)
    line = said.replace(b"\r", b"").replace(b"\n", b"").strip()
    reader = proxies.reader(_PEER)
    assert reader is not None
    found = reader({field: line})
    if found:
        assert str(ipaddress.ip_address(found)) == found
    behind = reader({field: line + (b", for=1.2.3.4" if field == FORWARDED else b", 1.2.3.4")})
    if b'"' not in line:
        assert behind == "1.2.3.4", "what the nearest proxy says is not what counts"
    assert TrustedProxies([], field).reader(_PEER) is None
    assert reader({}) == _PEER
    assert isinstance(is_this_machine(line.decode("latin-1").lower()), bool)


def _tunnel(said: bytes, options: Options) -> None:
    """Answer a CONNECT: it is open, or it is not, and never by words of the other end."""

    async def main() -> tuple[bool, bool]:
        wire, tunnel = Wire(), Tunnel("proxy.example")
        tunnel.connection_made(wire)
        opening = asyncio.get_running_loop().create_task(tunnel.open("up.example:443", b""))
        await asyncio.sleep(0)
        for piece in pieces(said, options.choose(1, CUTS)):
            tunnel.data_received(piece)
            await asyncio.sleep(0)
        tunnel.connection_lost(None)
        await asyncio.sleep(0)
        assert opening.done()
        error = opening.exception()
        if error is not None:
            assert isinstance(error, ConnectFailed), error
            check_error(error, Blame.UPSTREAM)
            assert error.message.isascii()
        assert wire.out == [b"CONNECT up.example:443 HTTP/1.1\r\nhost: up.example:443\r\n\r\n"]
        return error is None, tunnel.stirred

    opened, stirred = _loop().run_until_complete(main())
    assert stirred
    if opened:
        assert said.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
        assert b"\r\n\r\n" in said


class _Answer:
    """What is fetched; a redirect, as often as not."""

    def __init__(self, status: int, location: bytes) -> None:
        self.status = status
        self.headers = {b"location": location, b"content-type": location}

    async def read(self, limit: int) -> bytes:
        return self.headers[b"location"][:limit]

    def close(self) -> None:
        """Nothing is open."""


class _Client:
    """Answers by a script, and holds what it is asked to what may be asked."""

    def __init__(self, script: list[bytes]) -> None:
        self._script = script

    async def fetch(self, outgoing: Outgoing) -> _Answer:
        assert outgoing.origin.scheme in ("http", "https")
        assert outgoing.origin.port in (80, 443)
        assert outgoing.origin.host
        assert not set(outgoing.origin.host) & set("@/\\ \t\r\n"), outgoing.origin.host
        head = _request_head(outgoing, "", b"")
        assert head.count(b"\r\n\r\n") == 1
        assert head.count(b" HTTP/1.1\r\n") == 1
        if not self._script:
            return _Answer(200, b"a/b; x=y")
        line = self._script.pop(0)
        if line == b"!":
            raise Garbled("It is not HTTP.")
        status, _, location = line.partition(b" ")
        return _Answer(int(status) if status.isdigit() and len(status) == 3 else 302, location.strip())

    async def aclose(self) -> None:
        """Nothing is open."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


def _media(said: bytes, options: Options) -> None:
    """Fetch a file from the address in the second line; each further line is what an address answers."""
    del options
    url, *script = said.split(b"\n")

    def make(*_: Any, **__: Any) -> _Client:
        return _Client(script)

    async def main() -> None:
        media = PublicMedia(ManualClock(), limit=100, seconds=5.0)
        with patch("komeet.net.media.Client", make):
            kind, fetched = await media.fetch(url.decode("utf-8", "replace"))
        assert kind == kind.strip().lower()
        assert isinstance(fetched, bytes)

    try:
        _loop().run_until_complete(main())
    except WireError as error:
        check_error(error, Blame.CLIENT)


def _judged(said: bytes, options: Options) -> None:
    """Judge an address: 4 bytes, or 16. What is public must be global to the standard library, too."""
    del options
    made: ipaddress.IPv4Address | ipaddress.IPv6Address
    made = ipaddress.IPv6Address(said[:16]) if len(said) >= 16 else ipaddress.IPv4Address(said[:4].ljust(4, b"\0"))
    public = is_public(str(made))
    if public:
        inner = getattr(made, "ipv4_mapped", None) or getattr(made, "sixtofour", None) or made
        assert inner.is_global
        assert not (inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast)
    if isinstance(made, ipaddress.IPv4Address):
        assert is_public(f"::ffff:{made}") == public
        assert not is_public(f"64:ff9b::{made}"), "an address that stands for another"


def _starts() -> Iterator[bytes]:
    yield b"01\nPROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET"
    yield b"02\nPROXY TCP6 ::1 fe80::1 1 65535\r\n"
    yield b"00\nPROXY UNKNOWN x\r\n"
    yield b"03\n\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2x"
    yield b"00\n\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24" + b"\xfe\x80" + b"\0" * 34
    yield b"00\n\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x03abc"
    yield b'10\nfor="[2001:db8::1]:80";proto=https;by=_x, For=10.0.0.1, for=unknown'
    yield b'10\nfor=1.2.3.4;x="a,\\"b;c", for=10.1.1.1'
    yield b"11\n1.2.3.4:5, [::ffff:10.0.0.1]:1, fd00::1, 10.2.2.2"
    yield b"21\nHTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n"
    yield b"20\nHTTP/1.0 407 Proxy \xc3\xa4\r\nproxy-authenticate: basic\r\n\r\nbody"
    yield b"23\nHTTP/1.1 204 \r\n\r\n"
    yield b"30\nhttps://example.com/a.png?sig=1\n302 /b.png\n301 //other.example/c\n200 image/png"
    yield b"30\nhttp://example.com:8080/x"
    yield b"30\nHTTPS://[2001:db8::1]:443\n302 http://[::1\n"
    yield b"30\nhttp://user@host/\\x\n!"
    yield b"40\n\x08\x08\x08\x08"
    yield b"40\n\x7f\0\0\1"
    yield b"40\n\x26\x06\x47\0" + b"\0" * 11 + b"\1"
    yield b"40\n" + b"\0" * 10 + b"\xff\xff\x0a\0\0\1"
    yield b"40\n\x20\x02\x0a\0\0\1" + b"\0" * 10


ADDRESSES: Final = Target(
    name="addresses",
    holds="the PROXY protocol, Forwarded and X-Forwarded-For, a proxy's answer to CONNECT, URLs of files and what they"
    " redirect to, which addresses are public",
    run=addresses,
    starts=_starts,
    most=1024,
)
