"""How much a call may cost at most: what a reservation holds.

Input is at most one token per byte, plus what the provider's chat template and tool instructions add, and never more
than the model takes; content that is not text in the request's own bytes counts as the model's whole input limit. All
of it is charged at the dearest class that it could fall into (a cache write may cost more than plain input), all output
at the dearest class of output, at the context length where that is dearest. Of the service tiers, the default and the
one that was asked for are considered: a provider may serve either. A project whose *default* tier is a dearer one, by a
setting at the provider, is not visible here; where that is so the ledger's overrun row says it.
"""

from komeet.canonical.extent import Extent
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.catalog.profile import Profile
from komeet.core.money import ONE, UNITS_PER_PRICE, Nano, Ratio, ceil

_UNLIMITED = 1 << 40
"""Tokens: the output that is affordable where output costs nothing and no limit is known."""

_SEARCHES = ("social_searches_kcount", "code_executions_kcount")
"""Charges of tools that the provider runs; a call without such tools does not meet them."""


class _Line:
    """The cost of one tier at one context length, as a line over the output tokens of one answer."""

    __slots__ = ("fixed", "per_token")

    def __init__(self, fixed: int, per_token: int) -> None:
        self.fixed = fixed
        self.per_token = per_token


def upper_bound(
    extent: Extent, profile: Profile, price: ModelPrice, output_limit: int, ratio: Ratio = ONE
) -> Nano | None:
    """Return the most that a call can cost, or None where no bound is known.

    Args:
        extent: what the request's bytes tell.
        profile: the model's limits.
        price: the price in force.
        output_limit: most output tokens of one answer: the caller's, or the one that is inserted.
        ratio: the part of it that is charged.

    No bound is known where the provider runs tools that it charges apart, where the price book lists a charge for such
    content that the price does not carry, and where content is not in the request's bytes while the model's input limit
    is not known. None is never 0: a key with a budget is to be refused.
    """
    lines = _lines(extent, profile, price)
    if lines is None:
        return None
    return ceil(max(line.fixed + line.per_token * output_limit for line in lines), ratio)


def affordable_output(
    extent: Extent, profile: Profile, price: ModelPrice, amount: Nano, ratio: Ratio = ONE
) -> int | None:
    """Return the largest output limit whose upper bound is at most `amount`; 0 where not even the input fits.

    None where no bound is known. Never more than the model's own output limit, where that is known.
    """
    lines = _lines(extent, profile, price)
    if lines is None:
        return None
    most = _UNLIMITED if profile.output_limit is None else profile.output_limit
    for line in lines:
        if ratio.parts == 0:
            break
        room = amount * UNITS_PER_PRICE * ratio.whole // ratio.parts - line.fixed
        if room < 0:
            return 0
        if line.per_token > 0:
            most = min(most, room // line.per_token)
    return most


def most_input(extent: Extent, profile: Profile, price: ModelPrice) -> int | None:
    """Return the most input tokens that a call can have, or None where that is not known."""
    each = profile.input_limit or profile.context_window or price.context_window
    limit = None if each is None else each * extent.inputs
    if extent.media > 0 or extent.external:
        return limit
    tokens = extent.bytes + profile.template_tokens
    return tokens if limit is None else min(tokens, limit)


def _lines(extent: Extent, profile: Profile, price: ModelPrice) -> list[_Line] | None:
    if extent.hosted_tools or profile.hosted_tools:
        return None  # what they search for is charged apart, as often as they like
    media = extent.media > 0 or extent.external
    if any(charge not in _SEARCHES and (media or not _is_media(charge)) for charge in price.omitted):
        return None
    if media and any(step.rates.audio_ms for steps in _reachable_tiers(price, extent.service_tier) for step in steps):
        return None  # how long a sound is does not stand in the request
    tokens = most_input(extent, profile, price)
    lines: list[_Line] = []
    for steps in _reachable_tiers(price, extent.service_tier):
        for index, step in enumerate(steps):
            if tokens is not None and index > 0 and tokens <= step.above:
                break
            line = _line(step.rates, _most_in_step(steps, index, tokens), extent, media=media)
            if line is None:
                return None
            lines.append(line)
    return lines


def _reachable_tiers(price: ModelPrice, asked: str | None) -> tuple[tuple[Step, ...], ...]:
    other = None if asked is None else price.tiers.get(asked)
    return (price.steps,) if other is None else (price.steps, other)


def _most_in_step(steps: tuple[Step, ...], index: int, tokens: int | None) -> int | None:
    if index + 1 == len(steps):
        return tokens
    end = steps[index + 1].above
    return end if tokens is None else min(tokens, end)


def _line(rates: Rates, tokens: int | None, extent: Extent, *, media: bool) -> _Line | None:
    dearest = _dearest_input(rates, media=media)
    if tokens is None:
        if dearest > 0:
            return None
        tokens = 0
    fixed = rates.request + tokens * dearest + extent.searches * rates.web_search
    return _Line(fixed, _dearest_output(rates) * max(extent.candidates, 1))


def _dearest_input(rates: Rates, *, media: bool) -> int:
    classes = [rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h]
    if media:
        classes += [rates.input_audio, rates.cache_read_audio, rates.input_image, rates.cache_read_image]
    return max(rate for rate in classes if rate is not None)


def _dearest_output(rates: Rates) -> int:
    return max(
        rate for rate in (rates.output, rates.reasoning, rates.output_audio, rates.output_image) if rate is not None
    )


def _is_media(charge: str) -> bool:
    return any(kind in charge for kind in ("audio", "video", "image", "document", "pixels"))
