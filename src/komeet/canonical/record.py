"""One line about one call: what the request log keeps and what the metrics count."""

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.money import Nano


class Tried(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who was asked for a call; or who was not, where there is no attempt. Times as those of the call."""

    model: str
    """`provider/model`; of who was left out, as the route names it."""
    why: str
    """Why it was its turn, or why it was not asked."""
    attempt_id: str = ""
    """Its row in the ledger."""
    format: str = ""
    """In which it was asked."""
    credential: str = ""
    """The name of the key that was shown."""
    began_us: int = 0
    ended_us: int = 0
    sent: bool = False
    status: int = 0
    """What the provider answered; 0: nothing."""
    error: str = ""
    """The code of what went wrong."""
    said: str = ""
    """The same in words."""


class CallRecord(Struct, frozen=True, kw_only=True):
    """A call that has ended, with the attempt that answered it; all times in microseconds from its first byte."""

    request_id: str
    at: int
    """Unix milliseconds of its arrival."""
    surface: str
    """The path of the public API that it came in by."""
    key_id: str = ""
    tags: tuple[str, ...] = ()
    model_asked: str = ""
    model_served: str = ""
    provider: str = ""
    attempt_id: str = ""
    attempts: int = 0
    status: int
    """The HTTP status that the caller got; 499 where the caller left before one."""
    error: str = ""
    """The code of the error that the caller got, also inside a stream."""
    usage: Usage = Usage()
    cost: Nano = Nano(0)
    estimated: bool = False
    unpriced: bool = False
    streamed: bool = False
    latency_us: int = 0
    first_token_us: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    losses: tuple[str, ...] = ()
    """Paths of the knobs that were left out."""
    upstream_request_id: str = ""
    """The provider's own id of the call, for its support."""
    replay_of: str = ""
    """The request whose answer the caller got once more (`Idempotency-Key`, the cache): this one was not executed."""
    trail: tuple[Tried, ...] = ()
    """Who was asked and who was not; nothing where it went to whom it named, and nowhere else."""
    cache: str = ""
    """`hit`, `miss`, `refreshed` or `bypassed`; empty: the response cache had nothing to do with it."""
    saved: Nano = Nano(0)
    """What a hit would have cost: what the provider billed for the answer when it was made."""
    prompt_saved: Nano = Nano(0)
    """What the provider's prompt cache saved of the cost; less than 0 where writing to it cost more."""
    request_body: bytes | None = None
    """Only where the key asks for bodies to be kept."""
    response_body: bytes | None = None
