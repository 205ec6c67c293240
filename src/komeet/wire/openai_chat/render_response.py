"""From the neutral model to a whole Chat Completions answer."""

from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.extras import join
from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.response import Candidate, Response
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.openai_chat.citations import annotations
from komeet.wire.openai_chat.finish import render_finish
from komeet.wire.openai_chat.members import own
from komeet.wire.openai_chat.render_message import tool_call
from komeet.wire.openai_chat.sealed import DETAILS, is_foreign, render_detail

Json = dict[str, object]

_FOREIGN_IDS: Final = ("msg_", "resp_")
"""How ids of other formats begin."""

_encoder = msgspec.json.Encoder()


def render_response(response: Response, asked: Asked) -> bytes:
    """Return the body that says `response`; what this format has no place for is left out."""
    told: Json = {
        "id": answer_id(response.id, asked),
        "object": "chat.completion",
        "created": response.created or asked.created,
        "model": response.model or asked.envelope.model,
        "choices": [_choice(candidate, asked) for candidate in response.candidates],
    }
    if response.usage is not None:
        told["usage"] = render_usage(response.usage)
    if response.service_tier is not None:
        told["service_tier"] = response.service_tier
    return _encoder.encode({**told, **own(response.extras)})


def answer_id(told: str, asked: Asked) -> str:
    """Return the id of an answer: the provider's, or one of ours where it gives none, or another format's."""
    return f"chatcmpl-{asked.id}" if not told or told.startswith(_FOREIGN_IDS) else told


def call_id(asked: Asked, candidate: int, number: int) -> str:
    """Return the id of a tool call to which the provider gave none."""
    return f"call_{asked.id}_{candidate}_{number}"


def render_usage(usage: Usage) -> Json:
    """Return usage in OpenAI's convention."""
    told: Json = {
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
    if usage.web_searches:
        told["server_tool_use_details"] = {"web_search_requests": usage.web_searches}  # OpenRouter's word
    return told


def _choice(candidate: Candidate, asked: Asked) -> Json:
    return {
        "index": candidate.index,
        "message": _message(candidate, asked),
        "logprobs": None,
        "finish_reason": None if candidate.stop is None else render_finish(candidate.stop, candidate.native_stop),
        **own(candidate.extras),
    }


def _message(candidate: Candidate, asked: Asked) -> Json:
    content = ""
    refusal = ""
    calls: list[Json] = []
    sources: list[Json] = []
    told: Json = {}
    for part in candidate.parts:
        match part:
            case Text(text=text, citations=citations):
                sources += annotations(citations, len(content), len(text))
                content += text
            case Refusal(text=text):
                refusal += text
            case ToolCall(id=known):
                named = part if known else replace(part, id=call_id(asked, candidate.index, len(calls)))
                calls.append(tool_call(named, named.name))
            case Reasoning():
                _add_reasoning(part, told)
            case Audio():
                told["audio"] = _audio(part)
            case Image() | File() | ToolResult() | ServerTool() | Opaque():
                pass  # an answer is delivered, whatever else is in it
    if sealed := _sealed(candidate):
        told[DETAILS] = sealed
    if sources:
        told["annotations"] = sources
    if calls:
        told["tool_calls"] = calls
    return {
        "role": "assistant",
        "content": content or None,
        "refusal": refusal or None,
        **told,
        **own(candidate.extras, "message"),
    }


def _add_reasoning(part: Reasoning, told: Json) -> None:
    name = reasoning_name(part.field)
    if part.text:
        told[name] = f"{told.get(name, '')}{part.text}"
    seal = part.seal
    if seal is not None and not is_foreign(seal):
        earlier = told.get(seal.name)
        told[seal.name] = join([earlier, seal.value]) if isinstance(earlier, Raw) else seal.value


def _sealed(candidate: Candidate) -> list[Json]:
    """Return the entries that keep the reasoning for the next turn; none where nothing in it is another format's."""
    parts = [part for part in candidate.parts if isinstance(part, Reasoning)]
    if not any(is_foreign(part.seal) for part in parts):
        return []
    return [render_detail(part.text, part.seal, index) for index, part in enumerate(parts)]


def reasoning_name(field: str) -> str:
    """Return the member that reasoning goes by: the one that it came by, or the one that most clients read."""
    return "reasoning" if field == "reasoning" else "reasoning_content"


def _audio(audio: Audio) -> Json:
    data = audio.source.data if isinstance(audio.source, Inline) else ""
    return {
        "id": audio.id,
        "data": data,
        "transcript": audio.transcript,
        "expires_at": audio.expires_at or 0,
        **own(audio.extras),
    }
