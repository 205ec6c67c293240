"""What calls of the past cost by the prices that are known now to have been in force then."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from komeet.catalog import profiles
from komeet.catalog.price import ModelPrice
from komeet.cli.setup import Setup
from komeet.config.own import own_prices
from komeet.config.prices import load_book
from komeet.config.sales import sales_of
from komeet.core.clock import ManualClock
from komeet.core.errors import ModelNotFound
from komeet.core.money import Nano
from komeet.ledger.entries import Attempt, EntryKind
from komeet.ledger.port import State
from komeet.metering.charge import Buyer, Sales, Terms, terms_of
from komeet.metering.cost import cost
from komeet.routing.directory import Directory
from komeet.store.entries import Amounts
from komeet.store.keys import Owner


class Repriced(Struct, frozen=True):
    """What an attempt comes to by the price that was in force."""

    attempt: Attempt
    amounts: Amounts
    version: str
    """Of the price, and of the rule of its charge."""


class Repricer:
    """Prices attempts again, each as of the moment at which it was held; in the order of these moments."""

    def __init__(self, setup: Setup) -> None:
        """Read the prices; raises ConfigError where they cannot be read."""
        self._then: Final = ManualClock(0)
        self._sales: Final[Sales] = sales_of(setup.config.sales)
        self._directory: Final = Directory(
            setup.found.providers, load_book(setup.data_dir), profiles.load(), self._then, own_prices(setup.config)
        )
        self.unpriced = 0
        """Attempts whose price is not known now, either."""

    def reprice(self, attempt: Attempt, owner: Owner) -> Repriced | None:
        """Return what it comes to, or None where it comes to that already, or nothing is to be said of it.

        Only of what was settled, and what nobody has corrected by hand. The ledger does not keep which service tier was
        served: where what is posted is right for one of the price's tiers, it stays; otherwise the default one counts.
        """
        outcome, hold = attempt.ended.outcome, attempt.hold
        by_hand = any(entry.kind is EntryKind.CORRECTION for entry in attempt.entries)
        if outcome.state is not State.SETTLED or by_hand:
            return None
        self._then.unix = hold.held_at
        try:
            found = self._directory.resolve(f"{hold.provider}/{hold.model}", answers=outcome.usage.output > 0)
        except ModelNotFound:
            self.unpriced += 1
            return None
        buyer = Buyer(key=hold.key_id, project=owner.project, organisation=owner.organisation, tags=hold.tags)
        sale = self._sales.find(buyer, provider=hold.provider, model=hold.model, at=hold.held_at)
        terms = terms_of(sale, price=found.price, listed=found.listed)
        if found.price is None or terms is None:
            self.unpriced += 1
            return None
        choices = list(_choices(attempt, found.price, terms))
        if Amounts(attempt.cost, attempt.charge) in choices:
            return None
        by = (found.price.version, terms.version)
        return Repriced(attempt, choices[0], "; ".join(version for version in by if version))


def _choices(attempt: Attempt, price: ModelPrice, terms: Terms) -> Iterator[Amounts]:
    """What it comes to by each tier, the default one first; of what was unpriced, by that one only."""
    usage = attempt.ended.outcome.usage
    tiers = () if attempt.ended.outcome.unpriced else sorted(price.tiers)
    for tier in (None, *tiers):
        charge = max(0, terms.charge(usage, tier=tier) - attempt.ended.outcome.free)  # what was free stays free
        yield Amounts(Nano(cost(usage, price, tier=tier)), Nano(charge))


def fits(attempt: Attempt, pattern: str | None) -> bool:
    """Whether an attempt's `provider/model` or model fits a pattern; None: any does."""
    hold = attempt.hold
    return pattern is None or fnmatchcase(hold.model, pattern) or fnmatchcase(f"{hold.provider}/{hold.model}", pattern)
