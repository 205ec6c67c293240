"""Signatures of webhooks, as Stripe makes them: HMAC-SHA256 over the time and the body, in one header.

    komeet-signature: t=1700000000,v1=5257a869e7...

`v1` is the hexadecimal HMAC, under the shared secret, of `t`, a full stop and the bytes of the body. A header may hold
several of them, while a secret is being changed.
"""

import hmac
from typing import Final

from komeet.core.errors import BadSignature
from komeet.core.secrets import Secret

HEADER: Final = b"komeet-signature"
TOLERANCE: Final = 300
"""Seconds between the time of a signature and now above which it is refused."""
LEAST: Final = 16
"""Characters that a secret has at least."""
_MOST: Final = 16
"""Signatures in one header that are looked at."""


def sign(secret: Secret, body: bytes, at: int) -> bytes:
    """Return the value of the header.

    Args:
        secret: that both sides know.
        body: that is signed.
        at: Unix seconds.
    """
    return f"t={at},v1={_mac(secret, body, str(at))}".encode("ascii")


def verify(secret: Secret, header: bytes | None, body: bytes, now: int) -> None:
    """Return if the header is a signature of the body that was made about now.

    Args:
        secret: that both sides know.
        header: its value; None: there is none.
        body: exactly as it came.
        now: Unix seconds.

    Raises:
        BadSignature: it is not.
    """
    if header is None:
        raise BadSignature("No signature. Send `Komeet-Signature: t=…,v1=…`; see docs/budgets.md.")
    parts = [part.strip().partition("=") for part in header.decode("latin-1").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12 or not given:
        raise BadSignature("The signature cannot be read: `Komeet-Signature: t=<Unix seconds>,v1=<hexadecimal>`.")
    wanted = _mac(secret, body, times[0]).encode()
    matching = [hmac.compare_digest(wanted, value.encode("latin-1")) for value in given[:_MOST]]
    if not any(matching):
        raise BadSignature("The signature is not that of this body under the configured secret.")
    if abs(now - int(times[0])) > TOLERANCE:
        raise BadSignature(f"The signature was made more than {TOLERANCE // 60} minutes ago, or is of the future.")


def _mac(secret: Secret, body: bytes, at: str) -> str:
    return hmac.digest(secret.reveal().encode(), at.encode("ascii") + b"." + body, "sha256").hex()
