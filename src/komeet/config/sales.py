"""Rules of the configuration file for what customers are charged, made into exact ratios and prices."""

from collections.abc import Sequence
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from komeet.config import pricing
from komeet.config.exact import Exact
from komeet.config.load import ConfigError
from komeet.config.own import model_price
from komeet.core.money import ONE, Ratio
from komeet.metering.charge import Allowance, Sale, Sales

_BASES: Final = "list, cost, price"


def sales_of(wanted: Sequence[pricing.Sale]) -> Sales:
    """Return the rules, in the order of the file.

    Raises:
        ConfigError: one of them is none; names its path.
    """
    return Sales([_sale(told, f"sales[{index}]") for index, told in enumerate(wanted)])


def _sale(told: pricing.Sale, path: str) -> Sale:
    basis, number = _basis(told, path)
    price = None if told.price is None else model_price(told.price, f"{path}.price", kind="sale")
    ratio = ONE if number is None else Ratio.of(number)
    return Sale(
        organisation=told.buyer.organisation,
        project=told.buyer.project,
        key=told.buyer.key,
        tag=told.buyer.tag,
        models=told.models,
        providers=told.providers,
        since=int(told.since or 0),
        basis=basis,
        ratio=ratio,
        price=price,
        version=f"{number} of {basis}" if price is None else price.version,
        free=None if told.free is None else _free(told.free, f"{path}.free"),
    )


def _free(told: pricing.Free, path: str) -> Allowance:
    if (told.dollars is None) == (told.tokens is None):
        raise ConfigError(f"{path}: give dollars or tokens, one of them")
    try:
        ZoneInfo(told.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"{path}.zone: there is no time zone {told.zone!r}") from None
    if told.tokens is not None:
        return Allowance(limit=told.tokens, tokens=True, per=told.per, zone=told.zone)
    assert told.dollars is not None
    limit = told.dollars * 10**9
    if limit != int(limit):
        raise ConfigError(f"{path}.dollars: {told.dollars} is finer than a nano-dollar")
    return Allowance(limit=int(limit), per=told.per, zone=told.zone)


def _basis(told: pricing.Sale, path: str) -> tuple[Literal["list", "cost", "price"], Exact | None]:
    """Return what the charge is made from, and the ratio; raises ConfigError unless exactly one is given."""
    if sum(each is not None for each in (told.list_ratio, told.cost_ratio, told.price)) != 1:
        raise ConfigError(f"{path}: give one of {_BASES}")
    if told.list_ratio is not None:
        return "list", told.list_ratio
    if told.cost_ratio is not None:
        return "cost", told.cost_ratio
    return "price", None
