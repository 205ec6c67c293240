"""From the neutral model to a whole Messages answer."""

import msgspec

from komeet.canonical.part import ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.wire.anthropic_messages.answer import USAGE
from komeet.wire.anthropic_messages.blocks_out import Json, block
from komeet.wire.anthropic_messages.finish import render_finish
from komeet.wire.anthropic_messages.members import own
from komeet.wire.anthropic_messages.usage import render_usage
from komeet.wire.format import Asked

_encoder = msgspec.json.Encoder()


def render_response(response: Response, asked: Asked) -> bytes:
    """Return the body that says `response`: its first candidate, since the format knows one."""
    candidate = response.candidates[0] if response.candidates else Candidate()
    content: list[object] = []
    for index, part in enumerate(candidate.parts):
        told = block(part, made_id(asked, index))
        if told is not None:
            content.append(told.get("value", told))
    usage: Json = {**render_usage(response.usage or Usage()), **own(response.extras, USAGE)}
    return _encoder.encode(
        {
            **head(response.id, response.model, asked),
            "content": content,
            **stop(candidate),
            "usage": usage,
            **own(response.extras),
        }
    )


def head(found_id: str, model: str, asked: Asked) -> Json:
    """Return what a message begins with."""
    return {
        "id": found_id if found_id.startswith("msg_") else f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "model": model or asked.envelope.model,
    }


def stop(candidate: Candidate) -> Json:
    """Return why the answer ended."""
    reason = candidate.stop or StopReason.OTHER
    calls = any(isinstance(part, ToolCall) for part in candidate.parts)
    word = render_finish(reason, candidate.native_stop, sequence=candidate.stop_sequence, calls=calls)
    return {"stop_reason": word, "stop_sequence": candidate.stop_sequence}


def made_id(asked: Asked, index: int) -> str:
    """Return an id for a call that came without one."""
    return f"toolu_{asked.id}_{index}"
