"""How the outcomes of a drill are told: for people, and for programs."""

from collections.abc import Sequence
from typing import Any, Final

from komeet.lab.drill.scenario import WORST, Outcome, Result

SIGNS: Final = {Result.PASS: "✓", Result.PARTIAL: "~", Result.SAFE_FAIL: "!", Result.FAIL: "✗"}


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what is printed as JSON."""
    return {"scenarios": [{"name": one.name, "result": one.result.value, "why": one.why} for one in outcomes]}


def line(outcome: Outcome) -> str:
    """Return one outcome in a line."""
    why = f"  {outcome.why}" if outcome.why else ""
    return f"{SIGNS[outcome.result]} {outcome.name:16} {outcome.result.value:9}{why}".rstrip()


def score(outcomes: Sequence[Outcome]) -> str:
    """Return how many came out how."""
    counts = [(sum(one.result is result for one in outcomes), result) for result in WORST]
    told = ", ".join(f"{count} {result.value}" for count, result in counts if count)
    return f"{len(outcomes)} scenarios: {told}"


def failed(outcomes: Sequence[Outcome]) -> bool:
    """Whether any scenario failed."""
    return any(one.result is Result.FAIL for one in outcomes)
