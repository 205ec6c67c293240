"""Why an answer ended, in Cohere's words; and those of them that are errors."""

from typing import Final

from komeet.canonical.response import StopReason
from komeet.core.errors import UpstreamError, UpstreamRefused, UpstreamTimedOut

_REASONS: Final = {
    "COMPLETE": StopReason.STOP,
    "STOP_SEQUENCE": StopReason.STOP,
    "MAX_TOKENS": StopReason.LENGTH,
    "ERROR_LIMIT": StopReason.LENGTH,
    "TOOL_CALL": StopReason.TOOL_CALLS,
    "ERROR_TOXIC": StopReason.CONTENT_FILTER,
}
_MOST_TEXT: Final = 500


def parse_finish(word: str) -> StopReason:
    """Return the reason; `OTHER` for a word that is not known here."""
    return _REASONS.get(word, StopReason.OTHER)


def failure(word: str, message: str) -> UpstreamError | None:
    """Return the error that a finish reason is, with the provider's words; None: the answer is complete."""
    told = f": {message[:_MOST_TEXT]}" if message else "."
    match word:
        case "ERROR":
            return UpstreamRefused(f"The provider broke off with an error{told}", upstream_status=200)
        case "TIMEOUT":
            return UpstreamTimedOut(f"The provider gave up on the answer: it took too long{told}", phase="provider")
        case _:
            return None
