"""How much to reason, in this format's words, and whether a model reasons at all."""

from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.request import Request, Thinking
from komeet.catalog.profile import Profile
from komeet.wire.effort import effort_of as effort_of_thinking
from komeet.wire.effort import nearest_effort

_SUMMARIES: Final = {"auto": "auto", "concise": "concise", "detailed": "detailed", "summarized": "auto"}


def reasons(profile: Profile, effort: str | None) -> bool:
    """Whether the model reasons when it is asked for `effort`."""
    return (effort or profile.default_effort) not in (None, "none")


def effort_of(request: Request, profile: Profile, losses: list[Loss]) -> str | None:
    """Return the effort that a request asks for, as far as the model takes it."""
    disabled = request.thinking is not None and request.thinking.mode == "disabled"
    effort = "none" if disabled else request.effort or effort_of_thinking(request.thinking)
    if effort is None:
        return None
    nearest = nearest_effort(effort, profile.efforts)
    if nearest != effort:
        losses.append(Loss("effort", f"the model does not take {effort!r}; it is asked for {nearest!r}"))
    return nearest


def summary_of(thinking: Thinking | None) -> str | None:
    """Return how the reasoning is to be shown; None: not at all."""
    return None if thinking is None or thinking.summary is None else _SUMMARIES.get(thinking.summary)
