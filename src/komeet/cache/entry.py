"""An answer that is kept, so that the same call is answered again without a provider."""

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.money import Nano


class Entry(Struct, frozen=True, kw_only=True, array_like=True):
    """What a caller got, as it got it."""

    request_id: str
    """The call that a provider answered."""
    provider: str
    model_served: str
    streamed: bool
    include_usage: bool
    """Whether the stream tells usage."""
    body: bytes
    losses: bytes = b""
    """What `x-komeet-loss` said; empty: nothing was lost."""
    usage: Usage | None = None
    """What the call used; None: nobody knows."""
    cost: Nano = Nano(0)
    """What the provider billed: so much each further use saves."""
    created_at: int
    """Unix milliseconds."""
    expires_at: int
    """Unix milliseconds."""
