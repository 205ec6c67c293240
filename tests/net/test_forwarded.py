"""Whose call it is behind a proxy: the named field of a named proxy, and nothing else."""

import pytest

from komeet.core.clock import ManualClock
from komeet.core.errors import KomeetError
from komeet.net.forwarded import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from komeet.net.intake import Arrival, Intake
from komeet.net.limits import ServerLimits

PROXY = "10.0.0.1"
BOTH = {b"x-forwarded-for": b"203.0.113.7", b"forwarded": b"for=198.51.100.9"}


def client(proxies: TrustedProxies, headers: dict[bytes, bytes], peer: str = PROXY) -> str:
    read = proxies.reader(peer)
    return peer if read is None else read(headers)


@pytest.mark.parametrize("peer", ["10.0.0.2", "", "::1", "11.0.0.1", "nonsense"])
def test_nobody_is_believed_but_who_is_named(peer: str) -> None:
    assert client(TrustedProxies([PROXY], X_FORWARDED_FOR), BOTH, peer) == peer
    assert client(TrustedProxies(), BOTH, peer) == peer


def test_only_the_named_field_is_read() -> None:
    assert client(TrustedProxies([PROXY], X_FORWARDED_FOR), BOTH) == "203.0.113.7"
    assert client(TrustedProxies([PROXY], FORWARDED), BOTH) == "198.51.100.9"
    assert client(TrustedProxies([PROXY], FORWARDED), {b"x-forwarded-for": b"203.0.113.7"}) == PROXY
    assert client(TrustedProxies([PROXY], announce=True), BOTH) == PROXY


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b" 203.0.113.7 ", "203.0.113.7"),
        (b"203.0.113.7:4711", "203.0.113.7"),
        (b"2001:DB8::1", "2001:db8::1"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"::ffff:203.0.113.7", "203.0.113.7"),
        (b"127.0.0.1, 203.0.113.7", "203.0.113.7"),  # what the caller wrote itself stands to the left
        (b"198.51.100.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),  # 10.0.0.9 is a proxy, too
        (b"10.0.0.8, 10.0.0.9", "10.0.0.8"),
        (b"127.0.0.1, unknown", ""),
        (b"127.0.0.1, ", ""),
        (b"", ""),
        (b"127.0.0.1, evil.example", ""),
        (b"127.0.0.1, 203.0.113.7\xff", ""),
    ],
)
def test_from_hop_to_hop(value: bytes, found: str) -> None:
    assert client(TrustedProxies(["10.0.0.0/8"], X_FORWARDED_FOR), {b"x-forwarded-for": value}) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"for=203.0.113.7", "203.0.113.7"),
        (b'For="[2001:db8::1]:4711"; proto=https;by=10.0.0.1', "2001:db8::1"),
        (b'for=127.0.0.1, for=203.0.113.7;host="a,b;for=127.0.0.1"', "203.0.113.7"),
        (b"for=203.0.113.7, for=10.0.0.3", "203.0.113.7"),
        (b'for=203.0.113.7;host="a\\", for=127.0.0.1"', "203.0.113.7"),
        (b"for=127.0.0.1, for=_hidden", ""),
        (b"for=127.0.0.1, for=unknown", ""),
        (b"for=127.0.0.1, proto=https", ""),
        (b"nonsense", ""),
        (b'for="', ""),
    ],
)
def test_the_standard_field(value: bytes, found: str) -> None:
    assert client(TrustedProxies(["10.0.0.0/8"], FORWARDED), {b"forwarded": value}) == found


def test_several_fields_are_one_list() -> None:
    """A caller's own field before the proxy's must not hide it, nor the other way round."""
    proxies = TrustedProxies(["10.0.0.0/8"], X_FORWARDED_FOR)
    reader = Intake(ServerLimits(), ManualClock(), PROXY, proxies.reader(PROXY))
    reader.feed(
        b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.7\r\n"
        b"x-forwarded-for: 10.0.0.9\r\n\r\n"
    )
    (arrival,) = reader.ready
    assert isinstance(arrival, Arrival)
    assert arrival.request.peer == "203.0.113.7"
    many = b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x-forwarded-for: 10.0.0.9\r\n" * 99 + b"\r\n"
    reader.feed(many)
    assert isinstance(reader.ready[-1], Arrival)
    reader.feed(many.replace(b"\r\n\r\n", b"\r\nx-forwarded-for: 1\r\n\r\n"))
    refused = reader.ready[-1]
    assert isinstance(refused, KomeetError)
    assert refused.http_status == 431


@pytest.mark.parametrize("network", ["10.0.0.1/8", "nonsense", "10.0.0.0/40", ""])
def test_what_is_no_network_is_a_mistake(network: str) -> None:
    with pytest.raises(ValueError):
        TrustedProxies([network])
