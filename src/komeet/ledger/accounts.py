"""The rows of the ledger: accounts, postings, ended attempts.

Two numbers describe an account. `posted` is what has been billed; `held` is what attempts in flight (and orphans)
may still cost. Both are sums over immutable rows, kept beside them so that admission is one look:

    posted = the sum of the account's postings
    held   = the sum of the holds on it that have no outcome, or ended as orphans

A settled attempt with a cost posts the legs below, so that the books can be checked attempt by attempt:
CHARGE + CONTRA = 0, and each ROLLUP equals the CHARGE. A provider's account is therefore minus what it has billed.
An attempt that cost nothing posts nothing.
"""

from enum import StrEnum

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.port import Outcome

MOST = Nano(2**61)
"""No single amount and no account goes above this (about 2.3 thousand million dollars): sums stay within 64 bits."""


class Kind(StrEnum):
    """What an account belongs to."""

    KEY = "key"
    PROJECT = "project"
    ORGANISATION = "organisation"
    PROVIDER = "provider"


class Account(Struct, frozen=True, kw_only=True):
    """An account and its balances."""

    id: int
    kind: Kind
    name: str
    limit: Nano | None = None
    """The most that posted and held may come to; None: no hard budget."""
    posted: Nano = Nano(0)
    held: Nano = Nano(0)
    blocked: bool = False
    """It has a limit and a provider billed above a reservation: nothing is admitted until an operator lifts it."""


class Balance(Struct, frozen=True):
    """The two numbers of an account."""

    posted: Nano = Nano(0)
    held: Nano = Nano(0)


class Leg(StrEnum):
    """Which side of a settlement a posting is."""

    CHARGE = "charge"
    """+cost on the first account of the chain: the key's."""
    CONTRA = "contra"
    """-cost on the provider's account."""
    ROLLUP = "rollup"
    """+cost on each further account of the chain."""


class Posting(Struct, frozen=True):
    """One immutable entry on one account."""

    attempt_id: str
    account: int
    leg: Leg
    amount: Nano
    posted_at: int
    """Unix milliseconds."""


class Ended(Struct, frozen=True):
    """An outcome as it is kept."""

    outcome: Outcome
    overrun: Nano = Nano(0)
    """How far its cost lies above its reservation."""
