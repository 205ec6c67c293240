"""Usage to money: exact integers, rounded once."""

from msgspec.structs import replace

from komeet.canonical.usage import Usage
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.core.money import Nano, settle


def cost(usage: Usage, price: ModelPrice, *, tier: str | None) -> Nano:
    """Return what a call cost.

    Args:
        usage: by class; a class of its own price is taken out of the class that contains it.
        price: the price that was in force when the call was made.
        tier: the service tier that the provider says it served; one without a price of its own is charged as default.

    Where a provider's numbers contradict each other (more cached tokens than input tokens), every class is charged as
    reported and no remainder is negative: never less than the provider could mean.
    """
    return settle(exact_cost(usage, price, tier=tier))


def saved_by_cache(usage: Usage, price: ModelPrice, *, tier: str | None) -> Nano:
    """Return what the provider's prompt cache saved: the cost if nothing had been read from it or written to it, less \
the cost.

    Arguments are those of `cost`. Less than 0 where writing cost more than reading saved.
    """
    if not (usage.cache_read or usage.cache_write):
        return Nano(0)
    plain = replace(usage, cache_read=0, cache_write=0, cache_write_1h=0, cache_read_audio=0, cache_read_image=0)
    return Nano(cost(plain, price, tier=tier) - cost(usage, price, tier=tier))


def exact_cost(usage: Usage, price: ModelPrice, *, tier: str | None) -> int:
    """Return the same in millionths of a nano-dollar, before anything is rounded."""
    steps = price.steps if tier is None else price.tiers.get(tier, price.steps)
    return exact(usage, rates_at(steps, usage.input))


def rates_at(steps: tuple[Step, ...], input_tokens: int) -> Rates:
    """Return the rates for a call of this many input tokens."""
    for step in reversed(steps):
        if input_tokens > step.above:
            return step.rates
    return steps[0].rates


def exact(usage: Usage, rates: Rates) -> int:
    """Return the cost of `usage` in millionths of a nano-dollar."""
    return rates.request + _input(usage, rates) + _output(usage, rates) + _apart(usage, rates)


def _input(usage: Usage, rates: Rates) -> int:
    read = _first(rates.cache_read, rates.input)
    write = _first(rates.cache_write, rates.input)
    audio = _first(rates.input_audio, rates.input)
    image = _first(rates.input_image, rates.input)
    fresh_audio = max(usage.input_audio - usage.cache_read_audio, 0)
    fresh_image = max(usage.input_image - usage.cache_read_image, 0)
    text = usage.input - usage.cache_read - usage.cache_write - fresh_audio - fresh_image
    total = (
        max(text, 0) * rates.input
        + max(usage.cache_read - usage.cache_read_audio - usage.cache_read_image, 0) * read
        + max(usage.cache_write - usage.cache_write_1h, 0) * write
        + usage.cache_write_1h * _first(rates.cache_write_1h, write)
    )
    if usage.input_audio or usage.cache_read_audio:
        cached = _first(rates.cache_read_audio, _shared(rates.cache_read, rates.input_audio, rates))
        total += fresh_audio * audio + usage.cache_read_audio * cached
    if usage.input_image or usage.cache_read_image:
        cached = _first(rates.cache_read_image, _shared(rates.cache_read, rates.input_image, rates))
        total += fresh_image * image + usage.cache_read_image * cached
    return total


def _output(usage: Usage, rates: Rates) -> int:
    text = usage.output - usage.reasoning - usage.output_audio - usage.output_image
    return (
        max(text, 0) * rates.output
        + usage.reasoning * _first(rates.reasoning, rates.output)
        + usage.output_audio * _first(rates.output_audio, rates.output)
        + usage.output_image * _first(rates.output_image, rates.output)
    )


def _apart(usage: Usage, rates: Rates) -> int:
    return (
        usage.web_searches * rates.web_search
        + usage.storage_searches * rates.storage_search
        + usage.audio_ms * rates.audio_ms
    )


def _first(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def _shared(one: int | None, other: int | None, rates: Rates) -> int:
    """Return the rate of tokens that two classes contain and none prices for itself: the dearer of the two."""
    return max((rate for rate in (one, other) if rate is not None), default=rates.input)
