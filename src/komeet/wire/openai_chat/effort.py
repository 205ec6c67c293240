"""How much to reason, in the words of Chat Completions."""

from komeet.canonical.request import Request
from komeet.wire.effort import effort_of, nearest_effort
from komeet.wire.openai_chat.members import foreign
from komeet.wire.openai_chat.render_content import Target


def resolve_effort(request: Request, target: Target) -> str | None:
    """Return the effort that a request asks for by its effort or its thinking: the nearest that the model takes."""
    thinking = request.thinking
    effort = request.effort
    if thinking is not None:
        target.losses.extend(foreign(thinking.extras, "thinking"))
        if thinking.summary is not None:
            target.lose("thinking.summary", "Chat Completions does not say how reasoning is to be shown")
        effort = effort or effort_of(thinking)
    if effort is None:
        return None
    nearest = nearest_effort(effort, target.profile.efforts)
    if nearest != effort:
        target.lose("reasoning_effort", f"{request.model} does not take {effort!r}; it is asked for {nearest!r}")
    return nearest
