"""Money is an integer of nano-US-dollars (10⁻⁹ $), everywhere; a float never holds it.

A price is an integer of nano-dollars per million units (tokens, requests …): 1.75 $ per million tokens is
1_750_000_000. `tokens × price` is exact, and is divided by a million and rounded once, when a call is settled.
"""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final, NewType

from msgspec import Struct

Nano = NewType("Nano", int)
"""Nano-US-dollars."""

PerMillion = NewType("PerMillion", int)
"""Nano-US-dollars per million units."""

NANO_PER_DOLLAR = 1_000_000_000
UNITS_PER_PRICE = 1_000_000
MOST_DOLLARS = 1_000_000_000
"""More than anybody spends, and far from the end of a 64-bit integer of nano-dollars."""


class Ratio(Struct, frozen=True):
    """A part of an amount, exactly: `parts` of `whole`."""

    parts: int
    whole: int

    @classmethod
    def of(cls, number: Decimal) -> "Ratio":
        """Return the ratio that a number is; raises ValueError unless it is finite, and 0 or more."""
        if not number.is_finite() or number < 0:
            raise ValueError(f"{number} is not a ratio: a number of zero or more, such as 0.8")
        return cls(*number.as_integer_ratio())


ONE: Final = Ratio(1, 1)


def settle(exact: int, ratio: Ratio = ONE) -> Nano:
    """Divide `exact` (units × price per million) by a million, half to even: the one rounding of a bill."""
    whole = UNITS_PER_PRICE * ratio.whole
    quotient, rest = divmod(exact * ratio.parts, whole)
    return Nano(quotient + (2 * rest > whole or (2 * rest == whole and quotient % 2 == 1)))


def ceil(exact: int, ratio: Ratio = ONE) -> Nano:
    """Divide `exact` (units × price per million) by a million, upwards: for upper bounds."""
    return Nano(-(-exact * ratio.parts // (UNITS_PER_PRICE * ratio.whole)))


def price(dollars_per_million: Decimal) -> PerMillion:
    """Return a price from dollars per million units; raises ValueError below a nano-dollar per million."""
    exact = dollars_per_million * NANO_PER_DOLLAR
    if exact != exact.to_integral_value():
        raise ValueError(f"{dollars_per_million} $ per million is finer than a nano-dollar per million")
    return PerMillion(int(exact))


def parse_dollars(text: str) -> Nano:
    """Read an amount as people write it (`10`, `0.05`, `$2.50`); raises ValueError naming what is wrong."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in dollars, such as 10 or 0.05") from None
    if not amount.is_finite() or not 0 <= amount <= MOST_DOLLARS:
        raise ValueError(f"{text!r} is not an amount between 0 and {MOST_DOLLARS} dollars")
    return Nano(int((amount * NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))


def dollars(amount: int) -> str:
    """Write an amount in dollars, exactly, without trailing zeros: `0.0000945`, `12`, `-0.5`."""
    sign, rest = "-" if amount < 0 else "", abs(amount)
    whole, fraction = divmod(rest, NANO_PER_DOLLAR)
    return f"{sign}{whole}.{fraction:09d}".rstrip("0").rstrip(".")
