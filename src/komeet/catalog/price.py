"""What one model costs at one provider, as integers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from komeet.core.money import PerMillion, price


class Rates(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices per class, in nano-dollars per million tokens; None: priced as the class that contains it."""

    input: PerMillion
    output: PerMillion
    cache_read: PerMillion | None = None
    cache_write: PerMillion | None = None
    cache_write_1h: PerMillion | None = None
    input_audio: PerMillion | None = None
    cache_read_audio: PerMillion | None = None
    input_image: PerMillion | None = None
    cache_read_image: PerMillion | None = None
    reasoning: PerMillion | None = None
    output_audio: PerMillion | None = None
    output_image: PerMillion | None = None
    request: PerMillion = PerMillion(0)
    """For the call itself, on top of its tokens: nano-dollars per million calls."""
    web_search: PerMillion = PerMillion(0)
    """For a search of the web that the provider runs: nano-dollars per million searches."""
    storage_search: PerMillion = PerMillion(0)
    """The same of files that the caller keeps with the provider."""
    audio_ms: PerMillion = PerMillion(0)
    """For sound by its length: nano-dollars per million milliseconds."""


class Step(Struct, frozen=True, kw_only=True):
    """Rates for calls with more than `above` input tokens: all their tokens, not only those above."""

    above: int
    rates: Rates


class ModelPrice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a model may cost at a provider."""

    version: str
    """The price book and its release: kept on every row that it priced."""
    steps: tuple[Step, ...]
    """By context length, ascending; the first one holds from 0 tokens."""
    tiers: dict[str, tuple[Step, ...]] = {}
    """The same by service tier (`flex`, `priority`, `batch`), where that differs."""
    context_window: int | None = None
    """Tokens, where the price book says it."""
    omitted: tuple[str, ...] = ()
    """Charges that the price book lists and this price does not carry (searches, hours of audio), by its own names."""
    characters: bool = False
    """Whether what it calls tokens of input are characters: the provider bills those, and nothing else."""


_SINGLE: Final = {
    "request": ("request", 1_000_000),
    "web_search": ("web_search", 1_000_000),
    "storage_search": ("storage_search", 1_000_000),
    "second": ("audio_ms", 1_000),
}
"""What is priced one by one: the class, and how many of what people write make a million of ours."""

FREE: Final = ModelPrice(version="free", steps=(Step(above=0, rates=Rates(input=PerMillion(0), output=PerMillion(0))),))
"""The price of a model that runs on the operator's own machine: zero, and known."""


def price_from_dollars(
    *,
    input: Decimal,  # noqa: A002 - the class is called that everywhere
    output: Decimal,
    cache_read: Decimal | None = None,
    cache_write: Decimal | None = None,
    reasoning: Decimal | None = None,
    request: Decimal = Decimal(0),
    version: str = "configuration",
) -> ModelPrice:
    """Make a price from dollars per million tokens; `request` is dollars per call. A price of 0 is a known one: free.

    Raises:
        ValueError: an amount is negative, not a number, or finer than a nano-dollar per million tokens.
    """
    given = {"cache_read": cache_read, "cache_write": cache_write, "reasoning": reasoning, "request": request}
    told = {name: amount for name, amount in given.items() if amount is not None}
    rates = rates_from_dollars({"input": input, "output": output, **told})
    return ModelPrice(version=version, steps=(Step(above=0, rates=rates),))


def rates_from_dollars(dollars: Mapping[str, Decimal]) -> Rates:
    """Make rates from dollars by class: per million tokens, but each of a request, of a search, of a `second` of sound.

    Raises:
        ValueError: an amount is negative, not a number, or finer than a nano-dollar per million; names the class.
        KeyError: the input has no price.
    """
    rates = {"input": dollars["input"], "output": Decimal(0), **dollars}
    return Rates(**{_SINGLE.get(name, (name, 0))[0]: _rate(name, amount) for name, amount in rates.items()})


def _rate(name: str, dollars: Decimal) -> PerMillion:
    dollars_per_million = dollars * _SINGLE.get(name, ("", 1))[1] if dollars.is_finite() else dollars
    if not dollars_per_million.is_finite() or dollars_per_million < 0:
        raise ValueError(f"{name}: {dollars} is not a price: zero or more dollars")
    try:
        return price(dollars_per_million)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
