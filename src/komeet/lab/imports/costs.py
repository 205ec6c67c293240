"""Prices per token, as dollars per million tokens, exactly."""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from komeet.lab.imports.found import Notes
from komeet.lab.imports.node import Node

_MILLION: Final = 10**6
_FINEST: Final = Decimal("1e-9")
_CONTEXT: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
_PER_TOKEN: Final = (
    ("input_cost_per_token", "input"),
    ("cache_read_input_token_cost", "cache_read"),
    ("cache_creation_input_token_cost", "cache_write"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("input_cost_per_audio_token", "input_audio"),
    ("cache_read_input_audio_token_cost", "cache_read_audio"),
    ("input_cost_per_image_token", "input_image"),
    ("output_cost_per_token", "output"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("output_cost_per_audio_token", "output_audio"),
    ("output_cost_per_image_token", "output_image"),
)
_PER_UNIT: Final = (("input_cost_per_request", "request"), ("input_cost_per_second", "second"))
_ABOVE: Final = re.compile(r"(?P<field>.+)_above_(?P<thousands>\d{1,9})k_tokens")


def price_in(nodes: Iterable[Node], notes: Notes) -> dict[str, Any] | None:
    """Return the price that the first of some mappings has for each class; None where there is none.

    Args:
        nodes: where costs may stand, the more important first; what is understood is taken from them.
        notes: takes what cannot be carried over.
    """
    price: dict[str, Any] = {}
    above: dict[int, dict[str, Any]] = {}
    paths: list[str] = []
    for node in nodes:
        for key, path in list(node.left()):
            found = _ABOVE.fullmatch(key)
            name, scale = _class_of(found["field"] if found else key)
            if name is None:
                continue
            amount = node.number(key)
            if amount is None:
                continue
            paths.append(path)
            rates = above.setdefault(int(found["thousands"]) * 1000, {}) if found else price
            rates.setdefault(name, exact(_CONTEXT.multiply(amount, Decimal(scale)), path, notes))
    return _whole(price, {limit: rates for limit, rates in above.items() if limit}, paths, notes)


def exact(amount: Decimal, path: str, notes: Notes) -> Decimal:
    """Return an amount of dollars as Komeet keeps it: to a billionth; what is finer is rounded, and noted."""
    rounded = amount.quantize(_FINEST, context=_CONTEXT)
    if rounded != amount:
        notes.differs(path, f"finer than a nano-dollar per million: rounded to {rounded.normalize(_CONTEXT):f} $")
    return rounded.normalize(_CONTEXT)


def _class_of(key: str) -> tuple[str | None, int]:
    per_token = next((name for cost, name in _PER_TOKEN if cost == key), None)
    if per_token is not None:
        return per_token, _MILLION
    return next((name for cost, name in _PER_UNIT if cost == key), None), 1


def _whole(
    price: dict[str, Any], above: dict[int, dict[str, Any]], paths: list[str], notes: Notes
) -> dict[str, Any] | None:
    if not price and not above:
        return None
    if "input" not in price:
        if "output" in price or above:
            for path in paths:
                notes.missing(path, "a price of one's own needs one for input too; the price book's holds")
            return None
        price["input"] = Decimal(0)
    if "output" not in price:
        notes.differs(paths[0], "without a price for output it is for calls that generate nothing (embeddings)")
    if above:
        price["long_context"] = [{"above": limit, **rates} for limit, rates in sorted(above.items())]
    return price
