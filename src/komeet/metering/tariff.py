"""What a customer is charged, as people read it: dollars as exact decimal strings."""

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

from msgspec import Struct

from komeet.catalog.price import Rates, Step
from komeet.core.money import NANO_PER_DOLLAR, UNITS_PER_PRICE, Ratio
from komeet.metering.charge import Terms

_EXACT: Final = Context(prec=80)
_SINGLE: Final = ("request", "web_search", "storage_search")
"""Classes that are priced one by one."""
_TOKENS: Final = tuple(name for name in Rates.__struct_fields__ if name not in {*_SINGLE, "audio_ms"})


class Dearer(Struct, frozen=True, kw_only=True):
    """What long calls cost: all their tokens, not only those above."""

    above: int
    """Input tokens."""
    dollars_per_million: Mapping[str, str]


class Tariff(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The prices of a model."""

    dollars_per_million: Mapping[str, str]
    """Of tokens, by class; one that is left out is charged as the class that contains it."""
    dollars_each: Mapping[str, str] = {}
    """Of calls and searches, on top."""
    dearer: tuple[Dearer, ...] = ()


def tariff(terms: Terms) -> Tariff:
    """Return the prices of the default tier; every amount is exact."""
    first, *more = terms.price.steps
    return Tariff(
        dollars_per_million=_tokens(first, terms.ratio),
        dollars_each={
            name: _dollars(rate, terms.ratio, UNITS_PER_PRICE)
            for name in _SINGLE
            if (rate := getattr(first.rates, name)) > 0
        },
        dearer=tuple(Dearer(above=step.above, dollars_per_million=_tokens(step, terms.ratio)) for step in more),
    )


def _tokens(step: Step, ratio: Ratio) -> dict[str, str]:
    rates = {name: getattr(step.rates, name) for name in _TOKENS}
    return {name: _dollars(rate, ratio, 1) for name, rate in rates.items() if rate is not None}


def _dollars(rate: int, ratio: Ratio, units: int) -> str:
    exact = _EXACT.divide(Decimal(rate * ratio.parts), Decimal(ratio.whole * NANO_PER_DOLLAR * units))
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
