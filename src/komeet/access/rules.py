"""The access rule that every route carries: bound to the route object, never worked out from a path."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlencode

from msgspec.structs import replace

from komeet.core.hosts import is_loopback, is_this_machine
from komeet.core.http import HttpRequest


class Access(StrEnum):
    """Who may use a route."""

    PUBLIC = "public"
    """Anybody who reaches the port: it spends nothing, and tells nothing but what the operator chose to publish."""
    MACHINE = "machine"
    """This machine: it tells how Komeet stands, no secret, and changes nothing."""
    OPERATOR = "operator"
    """This machine, or any valid key."""
    KEY = "key"
    """A valid key."""
    SIGNED = "signed"
    """Whoever has the secret that its body is signed with; its handler checks that first."""


_PASSED_ON: Final = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)
"""Fields of a request that came through a proxy."""


def from_this_machine(peer: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes from this machine, was not passed on by a proxy, and means this machine.

    The last keeps web pages out: a browser on this machine sends the name of the page's own host, even where that name
    has been made to lead here (DNS rebinding).
    """
    if not _PASSED_ON.isdisjoint(headers):
        return False
    return is_loopback(peer) and is_this_machine(_name(headers.get(b"host", b"").decode("latin-1").lower()))


def _name(host: str) -> str:
    """Return a `host` field without its port and brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def with_key_in_header(request: HttpRequest) -> HttpRequest:
    """Return `request` with the key of its query (`?key=`, as Google's APIs take it) moved to a header.

    Nothing behind this sees the key in an address. A key that a header shows already is left as it is.
    """
    if b"key=" not in request.query:
        return request
    members = parse_qsl(request.query, keep_blank_values=True)
    key = next((value for name, value in members if name == b"key"), b"")
    rest = urlencode([(name, value) for name, value in members if name != b"key"]).encode("ascii")
    headers = dict(request.headers)
    if key.strip():
        headers.setdefault(b"x-goog-api-key", key.strip())
    return replace(request, query=rest, headers=headers)


_NAMED: Final = (b"x-api-key", b"x-goog-api-key")
"""Fields that hold nothing but a key."""


def presented(headers: Mapping[bytes, bytes], prefix: str) -> str | None:
    """Return the key that a request shows, as any of the official libraries sends it, or None.

    OpenAI's send `Authorization: Bearer …`, Anthropic's that or `x-api-key`, Google's `x-goog-api-key`, and some
    programs several, one of them a leftover of another service: a key that begins with `prefix` goes first, and of two
    such the one in `x-api-key`, as with Anthropic.
    """
    named = [headers.get(name, b"").strip().decode("latin-1") for name in _NAMED]
    shown = [key for key in (*named, bearer(headers)) if key]
    return next((key for key in shown if key.startswith(prefix)), shown[0] if shown else None)


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key of an `Authorization: Bearer …` header (RFC 6750 §2.1), or None."""
    value = headers.get(b"authorization")
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip().decode("latin-1") or None
