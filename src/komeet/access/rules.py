"""The access rule that every route carries: bound to the route object, never worked out from a path."""

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address


class Access(StrEnum):
    """Who may use a route."""

    PUBLIC = "public"
    """Anybody who reaches the port: it tells nothing and spends nothing."""
    OPERATOR = "operator"
    """This machine, or any valid key."""
    KEY = "key"
    """A valid key."""


def from_this_machine(peer: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a connection comes from this machine and was not passed on by a proxy for somebody else."""
    if b"x-forwarded-for" in headers or b"forwarded" in headers or b"x-real-ip" in headers:
        return False
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key of an `Authorization: Bearer …` header (RFC 6750 §2.1), or None."""
    value = headers.get(b"authorization")
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip().decode("latin-1") or None
