"""How much to reason, where formats and models have other words for it."""

from collections.abc import Sequence
from typing import Final

from komeet.canonical.request import Thinking

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From least to most."""
_BUDGETS: Final = ((4096, "low"), (16_384, "medium"))
"""Most tokens of reasoning that an effort stands for."""


def effort_of(thinking: Thinking | None) -> str | None:
    """Return the effort that a way of thinking comes nearest to; None where it says nothing of that."""
    match thinking:
        case None | Thinking(mode=None):
            return None
        case Thinking(mode="disabled"):
            return "none"
        case Thinking(mode="budget", budget=budget):
            return next((effort for most, effort in _BUDGETS if (budget or 0) <= most), "high")
        case Thinking():
            return "high"  # adaptive: what Anthropic's models do by default


def nearest_effort(effort: str, taken: Sequence[str]) -> str:
    """Return the effort of `taken` that is nearest; `effort` itself where all are taken, or nothing is known of it."""
    known = [name for name in taken if name in EFFORTS]
    if effort in taken or effort not in EFFORTS or not known:
        return effort
    at = EFFORTS.index(effort)
    return min(known, key=lambda name: abs(EFFORTS.index(name) - at))
