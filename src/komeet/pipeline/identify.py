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
    token = presented(headers, PREFIX)
    if token is None:
        raise AuthError(
            "No API key. Send one as `Authorization: Bearer sk-km-…` (or `x-api-key`, `x-goog-api-key`);"
            " `komeet key create --name NAME` makes one."
        )
    if not token.startswith(PREFIX):
        raise AuthError(_UNKNOWN)
    hashed = digest(token)
    key = keys.known(hashed) or await keys.find(hashed)
    if key is None:
        raise AuthError(_UNKNOWN)
    if key.revoked_at is not None:
        raise AuthError(f"This API key ({key.name}) has been revoked.")
    if key.expires_at is not None and key.expires_at <= clock.unix_ms():
        raise AuthError(f"This API key ({key.name}) has expired.")
    if key.archived:
        raise NotAllowed(f"The {key.archived} that this API key ({key.name}) belongs to is archived.")
    return key
