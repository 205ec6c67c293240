"""From the neutral model to a whole Chat Completions answer."""

import msgspec

from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.response import Candidate, Response
from komeet.canonical.usage import Usage
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_chat.finish import render_finish
from komeet.wire.openai_chat.members import ORIGIN, place

Json = dict[str, object]

_encoder = msgspec.json.Encoder()


def render_response(response: Response) -> bytes:
    """Return the body that says `response`.

    Seals and extras of other formats are left out: a caller of this format could not use them.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry.
    """
    told: Json = {
        "id": response.id,
        "object": "chat.completion",
        "created": response.created,
        "model": response.model,
        "choices": [_choice(candidate) for candidate in response.candidates],
    }
    if response.usage is not None:
        told["usage"] = render_usage(response.usage)
    if response.service_tier is not None:
        told["service_tier"] = response.service_tier
    return _encoder.encode({**told, **response.extras.get(ORIGIN, {})})


def render_usage(usage: Usage) -> Json:
    """Return usage in OpenAI's convention."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.input_audio,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choice(candidate: Candidate) -> Json:
    return {
        "index": candidate.index,
        "message": _message(candidate),
        "logprobs": None,
        "finish_reason": None if candidate.stop is None else render_finish(candidate.stop, candidate.native_stop),
        **candidate.extras.get(ORIGIN, {}),
    }


def _message(candidate: Candidate) -> Json:
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[Json] = []
    told: Json = {}
    for part in candidate.parts:
        match part:
            case Text(text=text):
                texts.append(text)
            case Refusal(text=text):
                refusals.append(text)
            case ToolCall():
                calls.append(render_tool_call(part))
            case Reasoning(text=text, seal=seal, field=field):
                name = reasoning_name(field)
                if text:
                    told[name] = f"{told.get(name, '')}{text}"
                if seal is not None and seal.origin == ORIGIN:
                    told[seal.name] = seal.value
            case Audio():
                told["audio"] = _audio(part)
            case Image() | File() | ToolResult() | Opaque():
                raise Unrepresentable(
                    f"The answer contains a part ({type(part).__name__}) that Chat Completions cannot carry.",
                    param=f"choices[{candidate.index}].message.content",
                )
    if calls:
        told["tool_calls"] = calls
    content = "".join(texts) if texts or not (calls or refusals or told) else None
    return {
        "role": "assistant",
        "content": content,
        "refusal": "".join(refusals) or None,
        **told,
        **candidate.extras.get(place("message"), {}),
    }


def reasoning_name(field: str) -> str:
    """Return the member that reasoning goes by: the one that it came by, or the one that most clients read."""
    return "reasoning" if field == "reasoning" else "reasoning_content"


def render_tool_call(call: ToolCall) -> Json:
    """Return a whole tool call."""
    kind, argument = ("custom", "input") if call.custom else ("function", "arguments")
    text = call.arguments.decode("utf-8", "replace")
    inside = {"name": call.name, argument: text, **call.extras.get(place("function"), {})}
    return {"id": call.id, "type": kind, kind: inside, **call.extras.get(ORIGIN, {})}


def _audio(audio: Audio) -> Json:
    data = audio.source.data if isinstance(audio.source, Inline) else ""
    return {
        "id": audio.id,
        "data": data,
        "transcript": audio.transcript,
        "expires_at": audio.expires_at or 0,
        **audio.extras.get(ORIGIN, {}),
    }
