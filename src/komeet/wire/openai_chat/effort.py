"""How much to reason, in the words of Chat Completions."""

from typing import Final

from komeet.canonical.request import Request, Thinking
from komeet.wire.openai_chat.members import foreign
from komeet.wire.openai_chat.render_content import Target

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGETS: Final = ((4096, "low"), (16_384, "medium"))
"""Most tokens of reasoning that an effort stands for."""


def resolve_effort(request: Request, target: Target) -> str | None:
    """Return the effort that a request asks for by its effort or its thinking: the nearest that the model takes."""
    thinking = request.thinking
    effort = request.effort
    if thinking is not None:
        target.losses.extend(foreign(thinking.extras, "thinking"))
        if thinking.summary is not None:
            target.lose("thinking.summary", "Chat Completions does not say how reasoning is to be shown")
        effort = effort or _effort(thinking)
    taken = target.profile.efforts
    if effort is None or not taken or effort in taken or effort not in _EFFORTS:
        return effort
    nearest = min(taken, key=lambda word: _distance(word, effort))
    target.lose("reasoning_effort", f"{request.model} does not take {effort!r}; it is asked for {nearest!r}")
    return nearest


def _effort(thinking: Thinking) -> str | None:
    match thinking.mode:
        case "disabled":
            return "none"
        case "adaptive":
            return "high"  # what Anthropic's models do by default
        case "budget":
            budget = thinking.budget or 0
            return next((effort for most, effort in _BUDGETS if budget <= most), "high")
        case None:
            return None


def _distance(word: str, wanted: str) -> int:
    return abs(_EFFORTS.index(word) - _EFFORTS.index(wanted)) if word in _EFFORTS else len(_EFFORTS)
