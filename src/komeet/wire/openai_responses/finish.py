"""Why an answer ended: this format's status and the model's reason."""

from collections.abc import Iterable
from typing import Final

from komeet.canonical.part import Part, Refusal, Text, ToolCall
from komeet.canonical.response import StopReason

COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"
_REASONS: Final = {"max_output_tokens": StopReason.LENGTH, "content_filter": StopReason.CONTENT_FILTER}
_UNDER_WAY: Final = frozenset({"in_progress", "queued"})
_NATIVE: Final = frozenset({*_REASONS, "max_messages", "steered"})


def parse_finish(status: str, reason: str, parts: Iterable[Part]) -> tuple[StopReason, str]:
    """Return the reason, and the provider's own word for it; `parts`: what was answered."""
    if status == INCOMPLETE:
        return _REASONS.get(reason, StopReason.OTHER), reason or status
    if status in _UNDER_WAY:
        return StopReason.OTHER, status
    kinds = {type(part) for part in parts}
    if ToolCall in kinds:
        return StopReason.TOOL_CALLS, status
    if Refusal in kinds and Text not in kinds:
        return StopReason.REFUSED, status
    return StopReason.STOP, status


def incomplete_reason(stop: StopReason | None, native: str, *, refused: bool) -> str | None:
    """Return why the answer is incomplete, in this format's words; None: it is complete.

    Args:
        stop: the reason.
        native: the provider's word for it.
        refused: whether the answer has a refusal in words, which is a complete answer.
    """
    match stop:
        case StopReason.LENGTH:
            return "max_output_tokens"
        case StopReason.CONTENT_FILTER:
            return "content_filter"
        case StopReason.REFUSED:
            return None if refused else "content_filter"
        case StopReason.OTHER:
            return native if native in _NATIVE else None
        case StopReason.STOP | StopReason.TOOL_CALLS | StopReason.PAUSED | None:
            return None
