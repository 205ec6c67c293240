"""The objects of which a legacy Completions answer is made, whole or streamed."""

from typing import Final

from komeet.canonical.response import StopReason
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked

Json = dict[str, object]

_OWN_ID: Final = "cmpl-"


def answer_head(told_id: str, created: int, model: str, asked: Asked) -> Json:
    """Return the members that every object of an answer has; what the provider does not say is the caller's."""
    return {
        "id": told_id if told_id.startswith(_OWN_ID) else f"{_OWN_ID}{asked.id}",
        "object": "text_completion",
        "created": created or asked.created,
        "model": model or asked.envelope.model,
    }


def render_choice(index: int, text: str, stop: StopReason | None) -> Json:
    """Return one of the answers, or a piece of it."""
    reason = None if stop is None else render_finish(stop)
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def render_finish(stop: StopReason) -> str:
    """Return the format's word for why an answer ended."""
    match stop:
        case StopReason.LENGTH:
            return "length"
        case StopReason.CONTENT_FILTER | StopReason.REFUSED:
            return "content_filter"
        case StopReason.STOP | StopReason.TOOL_CALLS | StopReason.PAUSED | StopReason.OTHER:
            return "stop"


def render_usage(usage: Usage) -> Json:
    """Return usage in OpenAI's convention."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": usage.input_audio},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
