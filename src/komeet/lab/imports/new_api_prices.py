"""Ratios of New API and One API, made into rules for what customers are charged."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from komeet.lab.imports.costs import exact
from komeet.lab.imports.found import ImportFailed, Notes, is_written
from komeet.lab.imports.node import number_of
from komeet.lab.imports.source import read_json

_QUOTA: Final = Decimal(500_000)
"""Units of quota in a dollar, where nobody says."""
_PER_PRICE: Final = 10**6
_DEFAULT: Final = "default"
_GLOB: Final = frozenset("*?[")

Amounts = dict[str, Decimal]


def table_of(options: Mapping[str, str], key: str) -> dict[str, Decimal]:
    """Return a table of numbers by name that an option has as JSON; raises ImportFailed with the path."""
    path = f"options.{key}"
    text = options.get(key, "").strip()
    if not text:
        return {}
    try:
        value = read_json(text)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise ImportFailed(f"{path}: expected a mapping from names to numbers")
    found: dict[str, Decimal] = {}
    for name, number in cast("Mapping[str, object]", value).items():
        amount = number_of(number, f"{path}.{name}")
        if amount is not None:
            found[name] = amount
    return found


def sales_of(options: Mapping[str, str], models: Mapping[str, Sequence[str]], notes: Notes) -> list[dict[str, Any]]:
    """Return what customers are charged.

    Args:
        options: the table of options.
        models: what callers write, and what providers are asked for it.
        notes: takes what differs.
    """
    groups = table_of(options, "GroupRatio")
    prices = _prices(options, models, notes)
    base = groups.get(_DEFAULT, Decimal(1))
    written: list[dict[str, Any]] = []
    for group, ratio in groups.items():
        if not is_written(group):
            notes.missing("options.GroupRatio", "the name of a group cannot be written as it is, and is left out")
        elif group != _DEFAULT and ratio != base:
            written += _rules(prices, ratio, {"for": {"tag": group}}, notes)
            notes.maps(f"options.GroupRatio.{group}", f"sales for keys with the tag `{group}`")
    written += _rules(prices, base, {}, notes)
    return written + _unpriced(groups, base, notes)


def _unpriced(groups: Mapping[str, Decimal], base: Decimal, notes: Notes) -> list[dict[str, Any]]:
    """Models without a ratio have built-in ones there, which are near the lists of their makers."""
    written: list[dict[str, Any]] = []
    for group, ratio in groups.items():
        if group != _DEFAULT and ratio != base and is_written(group):
            written.append({"for": {"tag": group}, "list": ratio})
    if base != 1:
        written.append({"list": base})
    if written:
        notes.differs("options.GroupRatio", "of models without a ratio in the options: of the price book's price")
    return written


def _prices(options: Mapping[str, str], models: Mapping[str, Sequence[str]], notes: Notes) -> dict[str, Amounts]:
    """Return dollars per million tokens, by what providers are asked for."""
    ratios, outputs, calls = (table_of(options, key) for key in ("ModelRatio", "CompletionRatio", "ModelPrice"))
    reads, writes = table_of(options, "CacheRatio"), table_of(options, "CreateCacheRatio")
    unit = number_of(options.get("QuotaPerUnit"), "options.QuotaPerUnit") or _QUOTA
    found: dict[str, Amounts] = {}
    for alias, real_names in models.items():
        if alias in calls:
            price: Amounts = {"input": Decimal(0), "output": Decimal(0), "request": calls[alias]}
        elif alias in ratios and alias in outputs:
            once = ratios[alias] * _PER_PRICE / unit
            price = {"input": once, "output": once * outputs[alias]}
            price |= {"cache_read": once * reads[alias]} if alias in reads else {}
            price |= {"cache_write": once * writes[alias]} if alias in writes else {}
        else:
            if alias in ratios:
                notes.missing(
                    f"options.ModelRatio.{alias}",
                    "its completion ratio is built in there, and not in the options: write a sale yourself",
                )
            continue
        for real in real_names:
            _keep(found, real, alias, price, notes)
    unused = [name for name in {**ratios, **calls} if name not in models]
    if unused:
        notes.missing("options.ModelRatio", f"{len(unused)} of its models are offered by no channel that is here")
    return found


def _keep(found: dict[str, Amounts], real: str, alias: str, price: Amounts, notes: Notes) -> None:
    path = f"options.ModelRatio.{alias}"
    if _GLOB & set(real):
        notes.missing(path, f"`{real}` would be read as a pattern: write a sale yourself")
    elif found.setdefault(real, price) != price:
        notes.differs(path, f"`{real}` is sold at two prices there: the first one is written")
    else:
        notes.maps(path, f"a price in `sales` for `{real}`")


def _rules(
    prices: Mapping[str, Amounts], ratio: Decimal, whose: Mapping[str, Any], notes: Notes
) -> list[dict[str, Any]]:
    """Return a rule for each price, with all models that have it."""
    by_price: dict[tuple[tuple[str, Decimal], ...], list[str]] = {}
    for model, price in prices.items():
        rates = tuple(
            (name, exact(amount * ratio, f"options.ModelRatio.{model}", notes)) for name, amount in price.items()
        )
        by_price.setdefault(rates, []).append(model)
    return [{**whose, "models": models, "price": dict(rates)} for rates, models in by_price.items()]
