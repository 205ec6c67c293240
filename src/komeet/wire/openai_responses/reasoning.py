"""How much to reason, in this format's words, and whether a model reasons at all."""

from collections.abc import Sequence
from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.request import Request, Thinking
from komeet.catalog.profile import Profile

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES: Final = {"auto": "auto", "concise": "concise", "detailed": "detailed", "summarized": "auto"}


def reasons(profile: Profile, effort: str | None) -> bool:
    """Whether the model reasons when it is asked for `effort`."""
    return (effort or profile.default_effort) not in (None, "none")


def effort_of(request: Request, profile: Profile, losses: list[Loss]) -> str | None:
    """Return the effort that a request asks for, as far as the model takes it."""
    disabled = request.thinking is not None and request.thinking.mode == "disabled"
    effort = "none" if disabled else request.effort or _from_thinking(request.thinking)
    if effort is None or not profile.efforts or effort in profile.efforts:
        return effort
    nearest = _nearest(effort, profile.efforts)
    if nearest is None:
        return effort
    losses.append(Loss("effort", f"the model does not take {effort!r}; it is asked for {nearest!r}"))
    return nearest


def summary_of(thinking: Thinking | None) -> str | None:
    """Return how the reasoning is to be shown; None: not at all."""
    return None if thinking is None or thinking.summary is None else _SUMMARIES.get(thinking.summary)


def _from_thinking(thinking: Thinking | None) -> str | None:
    if thinking is None:
        return None
    match thinking.mode:
        case None:
            return None
        case "disabled":
            return "none"
        case "adaptive":
            return "high"
        case "budget":
            budget = thinking.budget or 0
            return "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"


def _nearest(effort: str, taken: Sequence[str]) -> str | None:
    known = [name for name in taken if name in EFFORTS]
    if effort not in EFFORTS or not known:
        return None
    at = EFFORTS.index(effort)
    return min(known, key=lambda name: abs(EFFORTS.index(name) - at))
