"""Balances added up from the rows one after the other, however many there are: what an audit compares with.

The rows come as they are read, without an order that matters: each posting counts by itself. Of a budget's window, what
is posted follows from the postings too: the CHARGE of an attempt or entry for budgets of what customers are charged,
the CONTRA for those of what providers bill.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

import msgspec

from komeet.ledger.accounts import Leg, legs
from komeet.ledger.budget import Window, window_of
from komeet.ledger.port import Share

_chain: Final = msgspec.json.Decoder(tuple[int, ...]).decode
_shares: Final = msgspec.json.Decoder(tuple[Share, ...]).decode
_MODULUS: Final = 2**64

PostedLeg = tuple[int, Leg, int]
"""On which account, as which leg, how much."""


class Cause(NamedTuple):
    """What postings are to follow from: an attempt that ended, or an entry."""

    name: str
    """`att_…`, or `entry 7`."""
    chain: tuple[int, ...]
    """The accounts that are charged; empty: a credit."""
    provider: int
    """The provider's account."""
    cost: int
    charge: int
    shares: tuple[Share, ...]


def chain_of(text: str) -> tuple[int, ...]:
    """Return the accounts of a hold, as they are kept."""
    return _chain(text)


def shares_of(text: str) -> tuple[Share, ...]:
    """Return the shares of a hold, as they are kept."""
    return () if text == "[]" else _shares(text)


@final
class Derivation:
    """The balances that follow from the postings so far."""

    __slots__ = ("margin", "posted", "windows")

    def __init__(self, margin: int) -> None:
        """Begin at nothing.

        Args:
            margin: the account of margins; 0: there is none yet.
        """
        self.margin = margin
        self.posted: defaultdict[int, int] = defaultdict(int)
        """By account."""
        self.windows: defaultdict[Window, int] = defaultdict(int)

    def add(self, posted: Iterable[PostedLeg], shares: Sequence[Share]) -> None:
        """Count postings of one cause, of which these are the shares."""
        for account, leg, amount in posted:
            self.posted[account] += amount
            if not shares or leg not in {Leg.CHARGE, Leg.CONTRA}:
                continue
            for share in shares:
                if share.charged == (leg is Leg.CHARGE):
                    self.windows[window_of(share)] += amount if share.charged else -amount

    def copy(self) -> "Derivation":
        """Return another one that has counted the same."""
        new = Derivation(self.margin)
        new.posted.update(self.posted)
        new.windows.update(self.windows)
        return new

    def agrees(self, cause: Cause, posted: Sequence[PostedLeg]) -> bool:
        """Whether these are the postings that follow from a cause, each once and no others."""
        return sorted(self.legs(cause)) == sorted(_unnamed(cause, posted))

    def legs(self, cause: Cause) -> list[PostedLeg]:
        """Return the postings that follow from a cause; on accounts without a name (0) for a credit."""
        if not cause.chain:
            return [(0, Leg.CHARGE, cause.charge), (0, Leg.CONTRA, -cause.charge)]
        return legs(cause.chain, cause.provider, self.margin, cause.cost, cause.charge)


def _unnamed(cause: Cause, posted: Sequence[PostedLeg]) -> Sequence[PostedLeg]:
    return posted if cause.chain else [(0, leg, amount) for _, leg, amount in posted]


@final
class Multiset:
    """Postings, whatever their order: two of these are alike if each posting is in both as often."""

    __slots__ = ("count", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def add(self, cause: Cause, posted: Sequence[PostedLeg]) -> None:
        """Add the postings of a cause."""
        for account, leg, amount in _unnamed(cause, posted):
            what = f"{cause.name} {account} {leg.value} {amount}".encode()
            self.sum = (self.sum + int.from_bytes(hashlib.blake2b(what, digest_size=8).digest(), "big")) % _MODULUS
            self.count += 1

    def is_like(self, other: "Multiset") -> bool:
        """Whether both hold the same."""
        return (self.count, self.sum) == (other.count, other.sum)
