"""Why an answer ended: Gemini's words and the model's. Gemini calls it a plain stop where the model asks for tools."""

from collections.abc import Mapping
from typing import Final

from komeet.canonical.response import StopReason

_REASONS: Final[Mapping[str, StopReason]] = {
    "STOP": StopReason.STOP,
    "MAX_TOKENS": StopReason.LENGTH,
    "SAFETY": StopReason.CONTENT_FILTER,
    "RECITATION": StopReason.CONTENT_FILTER,
    "LANGUAGE": StopReason.CONTENT_FILTER,
    "BLOCKLIST": StopReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": StopReason.CONTENT_FILTER,
    "SPII": StopReason.CONTENT_FILTER,
    "MODEL_ARMOR": StopReason.CONTENT_FILTER,
    "IMAGE_SAFETY": StopReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": StopReason.CONTENT_FILTER,
    "IMAGE_RECITATION": StopReason.CONTENT_FILTER,
    "OTHER": StopReason.OTHER,
    "IMAGE_OTHER": StopReason.OTHER,
    "NO_IMAGE": StopReason.OTHER,
    "MALFORMED_FUNCTION_CALL": StopReason.OTHER,
    "UNEXPECTED_TOOL_CALL": StopReason.OTHER,
    "TOO_MANY_TOOL_CALLS": StopReason.OTHER,
    "MISSING_THOUGHT_SIGNATURE": StopReason.OTHER,
    "MALFORMED_RESPONSE": StopReason.OTHER,
    "CONTINUATION": StopReason.PAUSED,
}
_NUMBERS: Final[Mapping[int, str]] = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""The words as protobuf numbers them, as far as Google's APIs agree on it."""
UNSPECIFIED: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED", "0"})
"""Words that say no reason."""


def finish_word(number: int) -> str:
    """Return the word for a reason that was written as a number."""
    return _NUMBERS.get(number, str(number))


def parse_finish(word: str, *, calls: bool) -> StopReason:
    """Return the reason; `OTHER` for a word that is not known. `calls`: whether the answer asks for tools."""
    stop = _REASONS.get(word, StopReason.OTHER)
    return StopReason.TOOL_CALLS if calls and stop is StopReason.STOP else stop


def render_finish(stop: StopReason, native: str) -> str:
    """Return the format's word: the provider's own, if it is one with that meaning."""
    if native in _REASONS and stop in (_REASONS[native], parse_finish(native, calls=True)):
        return native
    match stop:
        case StopReason.STOP | StopReason.TOOL_CALLS:
            return "STOP"
        case StopReason.LENGTH:
            return "MAX_TOKENS"
        case StopReason.CONTENT_FILTER | StopReason.REFUSED:
            return "SAFETY"
        case StopReason.PAUSED | StopReason.OTHER:
            return "OTHER"
