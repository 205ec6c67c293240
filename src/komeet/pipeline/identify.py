"""Who is calling: the same answer for every route that asks."""

from collections.abc import Mapping

from komeet.access.keys import PREFIX, Key, KeyStore, digest
from komeet.access.rules import presented
from komeet.core.clock import Clock
from komeet.core.errors import AuthError, NotAllowed

_UNKNOWN = "Incorrect API key: it is not known here. `komeet key list` lists the keys that are."


async def identify(headers: Mapping[bytes, bytes], keys: KeyStore, clock: Clock) -> Key:
    """Return the key of a request.

    Raises:
        AuthError: there is none, or it is not known, revoked or expired.
        NotAllowed: what it belongs to is archived.
        Unavailable: the store of keys is out of reach.
    """
    hashed = _digest(headers)
    key = keys.known(hashed) or await keys.find(hashed)
    if key is None:
        raise AuthError(_UNKNOWN)
    _check(key, clock)
    return key


def in_hand(headers: Mapping[bytes, bytes], keys: KeyStore, clock: Clock) -> Key | None:
    """Return the key of a request if `identify` would find it without asking the store; no I/O.

    Raises:
        AuthError: there is none, or it is revoked or expired.
    """
    key = keys.known(_digest(headers))
    if key is not None:
        _check(key, clock)
    return key


def _digest(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the digest of the key that a request shows; raises AuthError where it shows none."""
    token = presented(headers, PREFIX)
    if token is None:
        raise AuthError(
            "No API key. Send one as `Authorization: Bearer sk-km-…` (or `x-api-key`, `x-goog-api-key`);"
            " `komeet key create --name NAME` makes one."
        )
    if not token.startswith(PREFIX):
        raise AuthError(_UNKNOWN)
    return digest(token)


def _check(key: Key, clock: Clock) -> None:
    """Raise AuthError where the key is revoked or expired, NotAllowed where what it belongs to is archived."""
    if key.revoked_at is not None:
        raise AuthError(f"This API key ({key.name}) has been revoked.")
    if key.expires_at is not None and key.expires_at <= clock.unix_ms():
        raise AuthError(f"This API key ({key.name}) has expired.")
    if key.archived:
        raise NotAllowed(f"The {key.archived} that this API key ({key.name}) belongs to is archived.")
