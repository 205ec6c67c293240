"""Prices of the configuration file, made into integers: what providers bill, in place of the price book."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from hashlib import sha256
from typing import Final

import msgspec

from komeet.catalog.own import OwnPrice, OwnPrices
from komeet.catalog.price import ModelPrice, Rates, Step, rates_from_dollars
from komeet.config import pricing
from komeet.config.load import ConfigError
from komeet.config.schema import Config
from komeet.providers import registry

_CLASSES: Final = pricing.Rates.__struct_fields__
_TIERS: Final = ("batch", "flex", "priority")
_DIGITS: Final = 8


def own_prices(config: Config) -> OwnPrices:
    """Return the operator's own prices.

    Raises:
        ConfigError: one of them is none, or of a provider that there is not; names its path.
    """
    if not config.prices:
        return OwnPrices()
    providers = {*registry.load(), *(provider.name for provider in config.providers or ())}
    for index, told in enumerate(config.prices):
        if told.provider not in providers:
            close = get_close_matches(told.provider, providers, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise ConfigError(f"prices[{index}].provider: there is no provider `{told.provider}`{hint}")
    try:
        return OwnPrices(_each(config.prices))
    except ValueError as error:
        raise ConfigError(f"prices: {error}: give each a `from` of its own") from None


def model_price(wanted: pricing.Tiers, path: str, *, kind: str) -> ModelPrice:
    """Return the price that a part of the file is, with a version that tells it from every other.

    Args:
        wanted: what the file says.
        path: where it says it.
        kind: the first word of the version.

    Raises:
        ConfigError: a class has an amount that cannot be kept exactly, or the input has none; names its path.
    """
    base = _told(wanted)
    if "input" not in base:
        raise ConfigError(f"{path}.input: needed; 0 where input costs nothing")
    tiers = {name: tier for name in _TIERS if (tier := _tier_of(wanted, name)) is not None}
    price = ModelPrice(
        version="",
        steps=_steps(base, wanted.long_context, path),
        tiers={
            name: _steps({**base, **_told(tier)}, tier.long_context, f"{path}.{name}") for name, tier in tiers.items()
        },
    )
    digest = sha256(msgspec.json.encode(price)).hexdigest()[:_DIGITS]
    return msgspec.structs.replace(price, version=f"{kind} {digest}")


def _each(wanted: Sequence[pricing.Price]) -> Iterator[OwnPrice]:
    for index, told in enumerate(wanted):
        since = int(told.since or 0)
        kind = f"configuration {datetime.fromtimestamp(since / 1000, UTC):%Y-%m-%d}" if since else "configuration"
        yield OwnPrice(
            provider=told.provider,
            model=told.model,
            since=since,
            price=model_price(told, f"prices[{index}]", kind=kind),
            answers=told.output is not None,
        )


def _tier_of(wanted: pricing.Tiers, name: str) -> pricing.Tier | None:
    return {"batch": wanted.batch, "flex": wanted.flex, "priority": wanted.priority}[name]


def _steps(base: Mapping[str, Decimal], more: Sequence[pricing.LongContext], path: str) -> tuple[Step, ...]:
    steps = {0: _rates(base, path)}
    for index, step in enumerate(more):
        if step.above in steps:
            raise ConfigError(f"{path}.long_context[{index}].above: {step.above} is given twice")
        steps[step.above] = _rates({**base, **_told(step)}, f"{path}.long_context[{index}]")
    return tuple(Step(above=above, rates=rates) for above, rates in sorted(steps.items()))


def _told(rates: pricing.Rates) -> dict[str, Decimal]:
    amounts = {name: getattr(rates, name) for name in _CLASSES}
    return {name: amount for name, amount in amounts.items() if amount is not None}


def _rates(dollars: Mapping[str, Decimal], path: str) -> Rates:
    try:
        return rates_from_dollars(dollars)
    except ValueError as error:
        raise ConfigError(f"{path}.{error}") from None
