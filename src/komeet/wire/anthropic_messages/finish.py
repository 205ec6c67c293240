"""Why an answer ended: Anthropic's words and the model's."""

from typing import Final

from komeet.canonical.response import StopReason

_REASONS: Final = {
    "end_turn": StopReason.STOP,
    "stop_sequence": StopReason.STOP,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    "tool_use": StopReason.TOOL_CALLS,
    "pause_turn": StopReason.PAUSED,
    "refusal": StopReason.REFUSED,
}


def parse_finish(word: str) -> StopReason:
    """Return the reason; `OTHER` for a word that the format does not have."""
    return _REASONS.get(word, StopReason.OTHER)


def render_finish(stop: StopReason, native: str, *, sequence: str | None, calls: bool) -> str:
    """Return the format's word: the provider's own, if it is one with that meaning.

    Args:
        stop: why the answer ended.
        native: the provider's word for it.
        sequence: the stop sequence that was met.
        calls: whether the answer asks for tools: there are providers that call that a plain stop.
    """
    if _REASONS.get(native) is stop:
        return native
    match stop:
        case StopReason.STOP if sequence is not None:
            return "stop_sequence"
        case StopReason.STOP | StopReason.OTHER:
            return "tool_use" if calls else "end_turn"
        case StopReason.LENGTH:
            return "max_tokens"
        case StopReason.TOOL_CALLS:
            return "tool_use"
        case StopReason.PAUSED:
            return "pause_turn"
        case StopReason.CONTENT_FILTER | StopReason.REFUSED:
            return "refusal"
