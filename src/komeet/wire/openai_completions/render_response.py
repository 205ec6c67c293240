"""From the neutral model to a whole legacy Completions answer."""

import msgspec

from komeet.canonical.part import Refusal, Text
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.wire.format import Asked
from komeet.wire.openai_completions.answer import Json, answer_head, render_choice, render_usage

_encoder = msgspec.json.Encoder()


def render_response(response: Response, asked: Asked) -> bytes:
    """Return the body that says `response`: its texts, and nothing else that may be in it."""
    told: Json = {
        **answer_head(response.id, response.created, response.model, asked),
        "choices": [
            render_choice(candidate.index, _text(candidate), candidate.stop or StopReason.STOP)
            for candidate in response.candidates
        ],
    }
    if response.usage is not None:
        told["usage"] = render_usage(response.usage)
    return _encoder.encode(told)


def _text(candidate: Candidate) -> str:
    return "".join([part.text for part in candidate.parts if isinstance(part, Text | Refusal)])
