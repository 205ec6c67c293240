"""What a customer is charged: a part of what the provider bills or of what the price book lists, or a fixed price.

Cost and charge are two amounts of every call, each rounded once, from exact products: a charge is never made from a
cost that was rounded before.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, Literal

from msgspec import Struct

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.price import ModelPrice
from komeet.catalog.profile import Profile
from komeet.core.money import ONE, Nano, Ratio, settle
from komeet.metering.bound import affordable_output, upper_bound
from komeet.metering.cost import exact_cost


class Buyer(Struct, frozen=True, kw_only=True):
    """Whose call it is."""

    key: str = ""
    project: str | None = None
    organisation: str | None = None
    tags: tuple[str, ...] = ()


class Allowance(Struct, frozen=True, kw_only=True):
    """What each customer of a rule is charged nothing for, in each window."""

    limit: int
    """Nano-dollars of charges, or tokens."""
    tokens: bool = False
    """Whether it counts tokens."""
    per: Literal["total", "hour", "day", "week", "month"] = "month"
    zone: str = "UTC"
    """The name of the time zone in which windows begin."""


class Sale(Struct, frozen=True, kw_only=True):
    """One rule: whose calls of what, and how their charge is made."""

    organisation: str | None = None
    project: str | None = None
    key: str | None = None
    tag: str | None = None
    models: tuple[str, ...] = ()
    """Patterns; empty: all."""
    providers: tuple[str, ...] = ()
    """Names; empty: all."""
    since: int = 0
    """Unix milliseconds."""
    basis: Literal["list", "cost", "price"]
    ratio: Ratio = ONE
    price: ModelPrice | None = None
    """The fixed price, where that is the basis."""
    version: str
    """What is noted on the rows that it priced."""
    free: Allowance | None = None

    def fits(self, buyer: Buyer, provider: str, model: str, at: int) -> bool:
        """Say whether it is about such a call."""
        return (
            self.since <= at
            and self.organisation in (None, buyer.organisation)
            and self.project in (None, buyer.project)
            and self.key in (None, buyer.key)
            and (self.tag is None or self.tag in buyer.tags)
            and (not self.providers or provider in self.providers)
            and (not self.models or any(fnmatchcase(model, pattern) for pattern in self.models))
        )


class Terms(Struct, frozen=True):
    """How the charge of one call is made: a part of what it would cost by a price."""

    price: ModelPrice
    ratio: Ratio = ONE
    version: str = ""

    def charge(self, usage: Usage, *, tier: str | None) -> Nano:
        """Return what is charged for `usage`; the arguments are those of `metering.cost.cost`."""
        return settle(exact_cost(usage, self.price, tier=tier), self.ratio)

    def bound(self, extent: Extent, profile: Profile, output_limit: int) -> Nano | None:
        """Return the most that may be charged; the arguments are those of `metering.bound.upper_bound`."""
        return upper_bound(extent, profile, self.price, output_limit, self.ratio)

    def affordable(self, extent: Extent, profile: Profile, amount: Nano) -> int | None:
        """Return the largest output limit that `amount` pays for; see `metering.bound.affordable_output`."""
        return affordable_output(extent, profile, self.price, amount, self.ratio)


class Sales:
    """The rules, in the order in which they are tried."""

    def __init__(self, sales: Iterable[Sale] = ()) -> None:
        self._sales: Final = tuple(sales)

    def find(self, buyer: Buyer, *, provider: str, model: str, at: int) -> Sale | None:
        """Return the first rule that fits and has begun; None: the customer is charged the cost.

        Args:
            buyer: whose call it is.
            provider: by its name.
            model: as the provider is asked for it.
            at: Unix milliseconds.
        """
        return next((sale for sale in self._sales if sale.fits(buyer, provider, model, at)), None)


def terms_of(sale: Sale | None, *, price: ModelPrice | None, listed: ModelPrice | None) -> Terms | None:
    """Return how the charge is made, or None where that is not known: the call is unpriced for its customer.

    Args:
        sale: the rule that is in force.
        price: what the provider bills, own prices included.
        listed: what the price book lists, without own prices; where it lists nothing, it is what the provider bills.
    """
    basis = price
    match sale:
        case Sale(basis="price"):
            basis = sale.price
        case Sale(basis="list"):
            basis = listed or price
        case _:
            pass
    if basis is None:
        return None
    return Terms(basis) if sale is None else Terms(basis, sale.ratio, sale.version)
