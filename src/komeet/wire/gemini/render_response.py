"""From the neutral model to a whole Gemini answer."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from komeet.canonical.part import Refusal, Text
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.gemini.answer import FEEDBACK, GROUNDING, USAGE, render_tier
from komeet.wire.gemini.answer_out import Signing
from komeet.wire.gemini.finish import render_finish
from komeet.wire.gemini.grounding import Grounding
from komeet.wire.gemini.members import own
from komeet.wire.gemini.usage import render_usage

Json: TypeAlias = dict[str, object]

_encoder = msgspec.json.Encoder()


def render_response(response: Response, asked: Asked) -> bytes:
    """Return the body that says `response`."""
    extras = own(response.extras)
    refused = FEEDBACK in extras and not any(candidate.parts for candidate in response.candidates)
    told: Json = {} if refused else {"candidates": [_candidate(each) for each in response.candidates]}
    usage = usage_of(response.usage, response.service_tier, own(response.extras, USAGE))
    return _encoder.encode({**told, **extras, USAGE: usage, **head(response.id, response.model, asked)})


def head(found_id: str, model: str, asked: Asked) -> Json:
    """Return what an answer, and every message of a stream, says of itself."""
    return {"modelVersion": model or asked.envelope.model, "responseId": found_id or asked.id}


def usage_of(usage: Usage | None, tier: str | None, more: Mapping[str, object]) -> Json:
    """Return `usageMetadata`: what was used, the tier it was served in, and what else the provider said of it."""
    return {**render_usage(usage or Usage(), more), **render_tier(tier)}


def finish_of(candidate: Candidate) -> Json:
    """Return why a candidate ended."""
    return {"finishReason": render_finish(candidate.stop or StopReason.STOP, candidate.native_stop)}


def _candidate(candidate: Candidate) -> Json:
    signing, grounding = Signing(), Grounding()
    parts: list[object] = []
    for part in candidate.parts:
        parts += signing.put(part)
        begun = grounding.pieces
        if isinstance(part, Text | Refusal):
            grounding.add_text(part.text)
        for citation in part.citations if isinstance(part, Text) else ():
            grounding.cite(citation, begun)
    parts += signing.rest()
    sources = grounding.told()
    return {
        "content": {"parts": parts, "role": "model"},
        **finish_of(candidate),
        "index": candidate.index,
        **({GROUNDING: sources} if sources else {}),
        **own(candidate.extras),
    }
