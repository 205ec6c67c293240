"""A call that its caller names, so that it is executed once however often it is sent (`Idempotency-Key`)."""

from msgspec import Struct

from komeet.core.money import Nano


class Claim(Struct, frozen=True, kw_only=True):
    """A call of a key under a name."""

    key_id: str
    digest: bytes
    """SHA-256 of the name that the caller gave."""
    body_digest: bytes
    """SHA-256 of what was asked: the address and the body."""
    request_id: str
    at: int
    """Unix milliseconds of its arrival."""


class Kept(Struct, frozen=True, kw_only=True):
    """What became of a call that was executed, or is under way."""

    request_id: str
    body_digest: bytes
    done: bool = True
    """False: it is under way."""
    status: int = 0
    """What its caller got; 0: nobody knows any more."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    """None: the answer was not kept, since it was too long, or never came to its end."""
    streamed: bool = False
    cost: Nano | None = None
    """None: not known."""
