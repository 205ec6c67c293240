"""Thresholds: percents of a budget's amount at which somebody is told, once for each window."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from komeet.core.money import Nano
from komeet.ledger.budget import Budget

MOST_PERCENT: Final = 1000
"""A soft budget may be told of up to ten times its amount."""


class Crossing(Struct, frozen=True, kw_only=True):
    """What is spent of a budget in one window has come to one of its thresholds."""

    budget: Budget
    starts_at: int
    """Of the window, in Unix milliseconds."""
    percent: int
    posted: Nano
    """What is spent in the window."""
    at: int
    """When, in Unix milliseconds."""


def crossed(thresholds: Iterable[int], amount: int, before: int, after: int) -> list[int]:
    """Return the percents of `amount` that were not spent before and are now, in order.

    A sum that falls again (by a correction) and rises anew crosses anew.

    Args:
        thresholds: percents.
        amount: of the budget, in nano-dollars.
        before: what was spent in the window.
        after: what is spent now.
    """
    return sorted(percent for percent in set(thresholds) if 100 * before < percent * amount <= 100 * after)
