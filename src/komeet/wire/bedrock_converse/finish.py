"""Why an answer ended: Bedrock's words and the model's."""

from typing import Final

from komeet.canonical.response import StopReason

_REASONS: Final = {
    "end_turn": StopReason.STOP,
    "stop_sequence": StopReason.STOP,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    "tool_use": StopReason.TOOL_CALLS,
    "guardrail_intervened": StopReason.CONTENT_FILTER,
    "content_filtered": StopReason.CONTENT_FILTER,
    "refusal": StopReason.REFUSED,
}


def parse_finish(word: str) -> StopReason:
    """Return the reason; `OTHER` for a word without one here, such as `malformed_tool_use`."""
    return _REASONS.get(word, StopReason.OTHER)
