"""How much to reason, in the words of Gemini: by a level, or within a budget, as the model takes it."""

from typing import Final

from komeet.canonical.request import Thinking
from komeet.catalog.profile import ThinkingStyle
from komeet.wire.effort import effort_of, nearest_effort
from komeet.wire.gemini.config_in import DYNAMIC, OWN
from komeet.wire.gemini.members import foreign, has_sign, own
from komeet.wire.gemini.rendering import Rendering

Json = dict[str, object]

_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""As Google's own OpenAI-compatible endpoint has them."""
_MOST: Final = 24_576
"""The highest budget that every model with budgets takes."""
_LEVELS: Final = ("minimal", "low", "medium", "high")
_PATH: Final = "reasoning_effort"


def render_thinking(rendering: Rendering) -> Json | None:
    """Return `thinkingConfig`; None where it is not sent."""
    thinking = rendering.request.thinking or Thinking()
    effort = rendering.request.effort
    rendering.losses.extend(foreign(thinking.extras, "thinking"))
    if has_sign(thinking.extras, OWN):
        return _as_written(thinking, effort)
    if thinking.mode is None and effort is None:
        return None
    off = thinking.mode == "disabled" or (thinking.mode is None and effort == "none")
    match rendering.profile.thinking:
        case ThinkingStyle.NONE:
            if not off:
                rendering.lose(_PATH, f"{rendering.request.model} does not reason")
            return None
        case ThinkingStyle.ADAPTIVE:
            wanted = "none" if off else effort or (effort_of(thinking) if thinking.mode == "budget" else None)
            told: Json = {} if wanted is None else {"thinkingLevel": _level(wanted, rendering).upper()}
        case ThinkingStyle.BUDGET:
            told = {"thinkingBudget": _budget(thinking, "none" if off else effort, rendering)}
    shown = not off and thinking.summary != "omitted"
    return {**told, **({"includeThoughts": True} if shown else {})}


def _as_written(thinking: Thinking, effort: str | None) -> Json:
    told: Json = {}
    match thinking.mode:
        case "disabled":
            told["thinkingBudget"] = 0
        case "adaptive":
            told["thinkingBudget"] = DYNAMIC
        case "budget":
            told["thinkingBudget"] = thinking.budget
        case None:
            pass
    if effort is not None:
        told["thinkingLevel"] = effort.upper()
    if thinking.summary is not None:
        told["includeThoughts"] = thinking.summary != "omitted"
    return {**told, **own(thinking.extras, "thinkingConfig")}


def _level(effort: str, rendering: Rendering) -> str:
    return _nearest(effort, tuple([name for name in rendering.profile.efforts if name != "none"]) or _LEVELS, rendering)


def _budget(thinking: Thinking, effort: str | None, rendering: Rendering) -> int:
    if thinking.mode == "budget" and thinking.budget is not None:
        if thinking.budget > _MOST:
            rendering.lose("thinking.budget_tokens", f"no more than {_MOST} are asked for")
        return min(thinking.budget, _MOST)
    if effort is None:
        return DYNAMIC
    return _BUDGETS.get(_nearest(effort, rendering.profile.efforts or tuple(_BUDGETS), rendering), _MOST)


def _nearest(effort: str, taken: tuple[str, ...], rendering: Rendering) -> str:
    nearest = nearest_effort(effort, taken)
    if nearest != effort:
        rendering.lose(_PATH, f"{rendering.request.model} does not take {effort!r}; it is asked for {nearest!r}")
    return nearest
