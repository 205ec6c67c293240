"""The rows of the ledger: accounts, postings, ended attempts.

Two numbers describe an account. `posted` is what has been billed; `held` is what attempts in flight (and orphans)
may still cost. Both are sums over immutable rows, kept beside them so that admission is one look:

    posted = the sum of the account's postings
    held   = the sum of the holds on it that have no outcome, or ended as orphans that nobody has resolved

A settled attempt posts the legs below, so that the books can be checked attempt by attempt: CHARGE + CONTRA + MARGIN is
0, and each ROLLUP equals the CHARGE. A provider's account is therefore minus what it has billed, and the account of
margins minus what was earned. A leg of nothing is left out. What is entered besides calls (`ledger.entries`) posts legs
that sum to zero too.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.port import Outcome

MOST = Nano(2**61)
"""No single amount and no account goes above this (about 2.3 thousand million dollars): sums stay within 64 bits."""


class Kind(StrEnum):
    """What an account belongs to."""

    KEY = "key"
    USER = "user"
    PROJECT = "project"
    ORGANISATION = "organisation"
    PROVIDER = "provider"
    MARGIN = "margin"
    """What was charged beyond what providers billed; there is one."""
    ADJUSTMENTS = "adjustments"
    """The other side of credits; there is one."""


class Account(Struct, frozen=True, kw_only=True):
    """An account and its balances."""

    id: int
    kind: Kind
    name: str
    posted: Nano = Nano(0)
    held: Nano = Nano(0)


class Balance(Struct, frozen=True):
    """The two numbers of an account."""

    posted: Nano = Nano(0)
    held: Nano = Nano(0)


class Leg(StrEnum):
    """Which side of a settlement a posting is."""

    CHARGE = "charge"
    """+charge on the first account of the chain: the key's; of a credit, -amount on the organisation's."""
    CONTRA = "contra"
    """-cost on the provider's account; of a credit, +amount on the account of adjustments."""
    ROLLUP = "rollup"
    """+charge on each further account of the chain."""
    MARGIN = "margin"
    """-(charge - cost) on the account of margins."""


class Posting(Struct, frozen=True):
    """One immutable entry on one account."""

    attempt_id: str
    """Empty where an entry is the cause."""
    account: int
    leg: Leg
    amount: Nano
    posted_at: int
    """Unix milliseconds."""
    entry: int | None = None
    """The entry that is the cause; None: the attempt is."""


class Ended(Struct, frozen=True):
    """An outcome as it is kept."""

    outcome: Outcome
    overrun: Nano = Nano(0)
    """How far its cost lies above its reservation."""


def legs(chain: Sequence[int], provider: int, margin: int, cost: int, charge: int) -> list[tuple[int, Leg, int]]:
    """Return what a settlement posts: on which account, as which leg, how much.

    Args:
        chain: the accounts that are charged, the key's first.
        provider: the provider's account.
        margin: the account of margins.
        cost: nano-dollars that the provider bills.
        charge: nano-dollars that the customer is charged.
    """
    both = [(chain[0], Leg.CHARGE, charge), (provider, Leg.CONTRA, -cost), (margin, Leg.MARGIN, cost - charge)]
    return [leg for leg in both + [(account, Leg.ROLLUP, charge) for account in chain[1:]] if leg[2]]
