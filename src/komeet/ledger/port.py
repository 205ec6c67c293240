"""The port to the ledger: what the pipeline asks of it, and the values that go through.

An attempt is one call to one provider. It is held before anything is sent, and ends in exactly one outcome.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.free import Free


class Share(Struct, frozen=True, array_like=True):
    """What an attempt holds of one budget."""

    budget: int
    starts_at: int
    """Of the budget's window, in Unix milliseconds; 0 where the budget has but one."""
    amount: Nano
    hard: bool
    charged: bool
    """Whether the budget counts what the customer is charged, or else what the provider bills."""


class Hold(Struct, frozen=True, kw_only=True):
    """The reservation of one attempt: an upper bound of its cost, on each account and budget that it concerns."""

    attempt_id: str
    request_id: str
    key_id: str
    accounts: tuple[int, ...]
    """The accounts on which it will be charged: the key's first, then those of what it belongs to."""
    provider: str
    model: str
    """As the provider is asked for it."""
    model_asked: str
    """As the caller wrote it."""
    tags: tuple[str, ...] = ()
    amount: Nano
    """The most that the provider may bill."""
    charge: Nano | None = None
    """The most that the customer may be charged; None: the same."""
    held_at: int
    """Unix milliseconds."""
    shares: tuple[Share, ...] = ()
    """Filled in by the ledger, which knows the budgets."""
    free: Free | None = None
    """What of its charge may be free."""

    @property
    def most_charged(self) -> Nano:
        """The most that the customer may be charged."""
        return self.amount if self.charge is None else self.charge


class Subject(Struct, frozen=True):
    """Whom the budgets of a call are to be looked up for."""

    key: str
    user: str | None = None
    project: str | None = None
    organisation: str | None = None


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
    """What the provider bills; 0 unless settled."""
    charge: Nano | None = None
    """What the customer is charged; None: the same. Before what is free, until the ledger has taken that off."""
    free: Nano = Nano(0)
    """What was taken off the charge, by a free allowance; the ledger's to say."""
    free_tokens: int = 0
    """What was used for it of an allowance of tokens."""
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

    @property
    def charged(self) -> Nano:
        """What the customer is charged."""
        return self.cost if self.charge is None else self.charge


class Ledger(Protocol):
    """Keeps holds and outcomes, in the order in which they are handed in."""

    def knows(self, books: int) -> bool:
        """Whether the budgets are known as they were after the change of this number (`Key.books`)."""
        ...

    async def learn(self) -> None:
        """Learn the budgets as they are now.

        Raises:
            Unavailable: the store is out of reach.
        """
        ...

    def is_bounded(self, subject: Subject, provider: str, model: str) -> bool:
        """Whether a hard budget concerns such a call, so that its upper bound must be known."""
        ...

    async def hold(self, hold: Hold, subject: Subject) -> None:
        """Return once the hold is durable on all its accounts and budgets, or on none.

        Cancelled while it waits, it voids the hold, whatever became of it.

        Raises:
            BudgetExceeded: a budget has no room; names it, its limit, what is spent and held, and when it begins anew.
            Unavailable: the store is out of reach; nothing is held.
        """
        ...

    def end(self, outcome: Outcome) -> None:
        """Take the attempt's outcome; never blocks, never raises. Durable soon after, and surely before a clean exit.

        A second outcome of the same attempt changes nothing.
        """
        ...
