"""Keys that are good for a while: what a program printed, or a token service answered."""

from datetime import datetime

import msgspec
from msgspec import Struct

from komeet.core.secrets import Secret


class Token(Struct, frozen=True, kw_only=True):
    """A key, and how long it is good for. Its representation holds no secret."""

    secret: Secret
    seconds: float
    """From the moment at which it was had."""


class _Printed(Struct, frozen=True):
    key: str
    expires: datetime | float | None = None


def printed(text: bytes, *, at_ms: int, expires: float) -> Token:
    """Return the key that a program printed: alone, or as JSON with `key` and `expires`.

    Args:
        text: what it printed.
        at_ms: the time, in Unix milliseconds.
        expires: how long the key is good for where nothing else is said, in seconds.

    Raises:
        ValueError: it is no key, or one that has expired; the message holds none of it, and follows the name of the
            program.
    """
    stripped = text.strip()
    if not stripped:
        raise ValueError("printed nothing")
    if not stripped.startswith(b"{"):
        try:
            return Token(secret=Secret(stripped.decode("ascii")), seconds=expires)
        except UnicodeDecodeError:
            raise ValueError("printed what is no key") from None
    try:
        said = msgspec.json.decode(stripped, type=_Printed)
    except msgspec.DecodeError:
        raise ValueError(
            "printed JSON without a `key`, or with an `expires` that is neither RFC 3339 nor Unix seconds"
        ) from None
    until = said.expires
    if until is None:
        return Token(secret=Secret(said.key), seconds=expires)
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise ValueError("printed an `expires` without a time zone: 2026-11-25T12:00:00Z")
        until = until.timestamp()
    left = until - at_ms / 1000
    if left <= 0:
        raise ValueError("printed a key that has expired")
    return Token(secret=Secret(said.key), seconds=left)
