"""How much to reason, as the model behind Converse is told it: Claude's `thinking`, or a member of the model's own."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from komeet.canonical.part import Part, Reasoning, ToolCall, ToolResult
from komeet.canonical.request import Thinking
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import ThinkingStyle
from komeet.wire.bedrock_converse.members import ORIGIN, Json, foreign
from komeet.wire.bedrock_converse.rendering import Rendering
from komeet.wire.effort import effort_of, nearest_effort

_BUDGETS: Final = {"minimal": 2048, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_PATH: Final = "reasoning_effort"


class Told(Struct, frozen=True, kw_only=True):
    """What a request says of reasoning."""

    fields: Json = {}
    """Members of `additionalModelRequestFields`."""
    effort: str | None = None
    """The effort of `outputConfig`."""
    thinks: bool = False
    """Whether Claude reasons, which limits how it may be sampled."""


def render_thinking(rendering: Rendering) -> Told:
    """Return what the request says of reasoning; what the model does not take is a loss."""
    thinking = rendering.request.thinking or Thinking()
    rendering.losses.extend(foreign(thinking.extras, "thinking"))
    effort = rendering.request.effort
    if rendering.profile.effort_member is not None:
        return _by_member(rendering.profile.effort_member, effort or effort_of(thinking), rendering)
    if thinking.mode == "disabled" or (thinking.mode is None and effort == "none"):
        adaptive = rendering.profile.thinking is ThinkingStyle.ADAPTIVE  # others do not reason unless they are told to
        return Told(fields={"thinking": {"type": "disabled"}} if adaptive else {})
    if thinking.mode is None and effort is None:
        return Told()
    match rendering.profile.thinking:
        case ThinkingStyle.NONE:
            rendering.lose(_PATH, f"{rendering.request.model} cannot be told how much to reason")
            return Told()
        case ThinkingStyle.ADAPTIVE:
            told = _possible({"type": "adaptive", **_display(thinking)}, rendering)
            return told if effort is None or not told.thinks else _with_effort(told, effort, rendering)
        case ThinkingStyle.BUDGET:
            return _budget(thinking, effort, rendering)


def _by_member(path: str, effort: str | None, rendering: Rendering) -> Told:
    profile = rendering.profile
    if effort is None or (effort == "none" and profile.default_effort == "none"):
        return Told()
    nearest = _nearest(effort, profile.efforts, rendering)
    outer, dot, inner = path.partition(".")
    return Told(fields={outer: {"type": "enabled", inner: nearest}} if dot else {outer: nearest})


def _with_effort(told: Told, effort: str, rendering: Rendering) -> Told:
    wanted = "low" if effort == "minimal" else effort
    nearest = _nearest(wanted, rendering.profile.efforts or _EFFORTS, rendering)
    return Told(fields=told.fields, effort=nearest, thinks=told.thinks)


def _nearest(effort: str, taken: Sequence[str], rendering: Rendering) -> str:
    nearest = nearest_effort(effort, taken)
    if nearest != effort:
        rendering.lose(_PATH, f"{rendering.request.model} does not take {effort!r}; it is asked for {nearest!r}")
    return nearest


def _display(thinking: Thinking) -> Json:
    if thinking.summary is None:
        return {}
    return {"display": "omitted" if thinking.summary == "omitted" else "summarized"}


def _budget(thinking: Thinking, effort: str | None, rendering: Rendering) -> Told:
    wanted = thinking.budget if thinking.mode == "budget" else None
    budget = wanted or _BUDGETS.get(effort or "high", 16_384)
    limit = rendering.request.output_limit or rendering.profile.output_limit
    if limit is not None:
        budget = min(budget, limit - 1)
    if budget < _LEAST_BUDGET:
        rendering.lose(_PATH, f"an output limit of {limit} leaves no room for reasoning")
        return Told()
    if _lacks_thinking(rendering.request.turns):
        rendering.lose(_PATH, "the calls that are under way came without the provider's own reasoning")
        return Told()
    return _possible({"type": "enabled", "budget_tokens": budget}, rendering)


def _possible(thinking: Json, rendering: Rendering) -> Told:
    """Return nothing where the request forces a call: Claude does not reason before one."""
    if rendering.forces_call:
        rendering.lose(_PATH, "the model does not reason before a call that it is made to make")
        return Told()
    return Told(fields={"thinking": thinking}, thinks=True)


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
