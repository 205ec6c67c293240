"""The port to the ledger: what the pipeline asks of it, and the values that go through.

An attempt is one call to one provider. It is held before anything is sent, and ends in exactly one outcome.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.money import Nano


class Hold(Struct, frozen=True, kw_only=True):
    """The reservation of one attempt: an upper bound of its cost, on every account of the chain."""

    attempt_id: str
    request_id: str
    key_id: str
    accounts: tuple[int, ...]
    """The accounts that must all have room: the key's first, then what it belongs to."""
    provider: str
    model: str
    """As the provider is asked for it."""
    model_asked: str
    """As the caller wrote it."""
    tags: tuple[str, ...] = ()
    amount: Nano
    held_at: int
    """Unix milliseconds."""


class State(StrEnum):
    """How an attempt ended."""

    SETTLED = "settled"
    """Its cost is posted."""
    VOIDED = "voided"
    """It costs nothing: nothing was sent, or the provider refused it."""
    ORPHAN = "orphan"
    """It was sent and its cost is not known: the full reservation stays held until somebody resolves it."""


class Outcome(Struct, frozen=True, kw_only=True):
    """The end of one attempt."""

    attempt_id: str
    state: State
    cost: Nano = Nano(0)
    """What is posted; 0 unless settled."""
    usage: Usage = Usage()
    estimated: bool = False
    """The tokens were counted here, since the provider reported none."""
    unpriced: bool = False
    """The model has no known price: `cost` is 0 and is not to be believed."""
    price_version: str = ""
    model_served: str = ""
    reason: str = ""
    """Why it was voided or orphaned: an error code."""
    latency_us: int = 0
    """From the request's first byte to the answer's last."""
    first_token_us: int | None = None
    """From the request's first byte to the first content of the answer."""
    ended_at: int
    """Unix milliseconds."""


class Ledger(Protocol):
    """Keeps holds and outcomes, in the order in which they are handed in."""

    async def hold(self, hold: Hold) -> None:
        """Return once the hold is durable on all its accounts, or on none.

        Cancelled while it waits, it voids the hold, whatever became of it.

        Raises:
            BudgetExceeded: an account has no room; names it, its limit, what is posted and held.
            Unavailable: the store is out of reach; nothing is held.
        """
        ...

    def end(self, outcome: Outcome) -> None:
        """Take the attempt's outcome; never blocks, never raises. Durable soon after, and surely before a clean exit.

        A second outcome of the same attempt changes nothing.
        """
        ...
