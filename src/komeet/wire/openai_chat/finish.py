"""Why an answer ended: Chat Completions' words and the model's."""

from typing import Final

from komeet.canonical.response import StopReason

_REASONS: Final = {
    "stop": StopReason.STOP,
    "length": StopReason.LENGTH,
    "tool_calls": StopReason.TOOL_CALLS,
    "function_call": StopReason.TOOL_CALLS,
    "content_filter": StopReason.CONTENT_FILTER,
}


def parse_finish(word: str) -> StopReason:
    """Return the reason; `OTHER` for a word that the format does not have."""
    return _REASONS.get(word, StopReason.OTHER)


def render_finish(stop: StopReason, native: str) -> str:
    """Return the format's word: the provider's own, if it is one with that meaning."""
    if _REASONS.get(native) is stop:
        return native
    match stop:
        case StopReason.STOP | StopReason.PAUSED | StopReason.OTHER:
            return "stop"
        case StopReason.REFUSED:
            return "content_filter"
        case StopReason.LENGTH | StopReason.TOOL_CALLS | StopReason.CONTENT_FILTER:
            return stop.value
