"""How much to reason, in the words of Messages: by an effort or within a budget, as the model takes it."""

from collections.abc import Sequence
from typing import Final

from komeet.canonical.part import Part, Reasoning, ToolCall, ToolResult
from komeet.canonical.request import Thinking
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import ThinkingStyle
from komeet.wire.anthropic_messages.members import ORIGIN, foreign, has_sign, own
from komeet.wire.anthropic_messages.parse_request import OWN
from komeet.wire.anthropic_messages.rendering import Rendering
from komeet.wire.effort import nearest_effort

Json = dict[str, object]

_BUDGETS: Final = {"minimal": 2048, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")


def render_thinking(rendering: Rendering, limit: int) -> tuple[Json | None, str | None]:
    """Return `thinking` and the effort of `output_config`, each None where it is not sent; `limit` is `max_tokens`."""
    thinking = rendering.request.thinking or Thinking()
    rendering.losses.extend(foreign(thinking.extras, "thinking"))
    effort = rendering.request.effort
    if has_sign(thinking.extras, OWN):
        return _explicit(thinking), effort
    if thinking.mode == "disabled" or (thinking.mode is None and effort == "none"):
        return (None if rendering.profile.thinking is ThinkingStyle.NONE else {"type": "disabled"}), None
    if thinking.mode is None and effort is None:
        return _explicit(thinking), None
    match rendering.profile.thinking:
        case ThinkingStyle.NONE:
            rendering.lose("reasoning_effort", f"{rendering.request.model} does not reason")
            return None, None
        case ThinkingStyle.ADAPTIVE:
            return _adaptive(thinking, effort, rendering)
        case ThinkingStyle.BUDGET:
            return _budget(thinking, effort, limit, rendering), None


def _explicit(thinking: Thinking) -> Json | None:
    """Return what a caller of this format said, as it said it."""
    match thinking.mode:
        case "adaptive":
            told: Json = {"type": "adaptive"}
        case "budget":
            told = {"type": "enabled", "budget_tokens": thinking.budget}
        case "disabled":
            return {"type": "disabled", **own(thinking.extras)}
        case None:
            return dict(own(thinking.extras)) or None
    return {**told, **_display(thinking), **own(thinking.extras)}


def _display(thinking: Thinking) -> Json:
    if thinking.summary is None:
        return {}
    return {"display": "omitted" if thinking.summary == "omitted" else "summarized"}


def _adaptive(thinking: Thinking, effort: str | None, rendering: Rendering) -> tuple[Json | None, str | None]:
    told = _explicit(thinking) if thinking.mode is not None else _explicit(_with_mode(thinking))
    assert told is not None
    possible = _possible(told, rendering)
    return possible, None if possible is None else _effort(effort, rendering)


def _with_mode(thinking: Thinking) -> Thinking:
    return Thinking(mode="adaptive", summary=thinking.summary, extras=thinking.extras)


def _effort(effort: str | None, rendering: Rendering) -> str | None:
    if effort is None:
        return None
    wanted = "low" if effort == "minimal" else effort
    nearest = nearest_effort(wanted, rendering.profile.efforts or _EFFORTS)
    if nearest != wanted:
        rendering.lose(
            "reasoning_effort", f"{rendering.request.model} does not take {effort!r}; it is asked for {nearest!r}"
        )
    return nearest


def _budget(thinking: Thinking, effort: str | None, limit: int, rendering: Rendering) -> Json | None:
    wanted = thinking.budget if thinking.mode == "budget" else None
    if wanted is not None:
        budget = min(wanted, limit - 1)
    else:  # an effort is no wish to reason until nothing is left for the answer
        budget = min(_BUDGETS.get(effort or "high", 16_384), limit * 3 // 4)
    if budget < _LEAST_BUDGET:
        rendering.lose("reasoning_effort", f"an output limit of {limit} leaves no room for reasoning")
        return None
    if _lacks_thinking(rendering.request.turns):
        rendering.lose("reasoning_effort", "the calls that are under way came without the provider's own reasoning")
        return None
    told = {"type": "enabled", "budget_tokens": budget, **_display(thinking), **own(thinking.extras)}
    return _possible(told, rendering)


def _possible(told: Json, rendering: Rendering) -> Json | None:
    """Return None where the request forces a call: no model reasons before one."""
    if rendering.forces_call:
        rendering.lose("reasoning_effort", "the model does not reason before a call that it is made to make")
        return None
    return told


def _lacks_thinking(turns: Sequence[Turn]) -> bool:
    """Whether the calls since the user last spoke lack the reasoning that must stand before them."""
    parts: list[Part] = []
    waits = False
    """Whether calls were the last thing that the assistant said: what a user adds joins their results."""
    for turn in turns:
        if turn.role is Role.ASSISTANT:
            parts += turn.parts
            waits = any(isinstance(part, ToolCall) for part in turn.parts)
        elif not waits and not any(isinstance(part, ToolResult) for part in turn.parts):
            parts = []
    called = any(isinstance(part, ToolCall) for part in parts)
    sealed = any(isinstance(part, Reasoning) and part.seal and part.seal.origin == ORIGIN for part in parts)
    return called and not sealed
