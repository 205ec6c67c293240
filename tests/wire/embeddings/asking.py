"""How the tests of embeddings ask."""

import json
from typing import Any

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.wire.embeddings.openai import CALLER
from komeet.wire.format import Envelope


def enveloped(**members: Any) -> Envelope:
    """The envelope of a request with these members."""
    return CALLER.parse_envelope(json.dumps({"model": "m", "input": "hi", **members}).encode(), {})


def request(**members: Any) -> EmbeddingRequest:
    """The request in the neutral model."""
    return CALLER.parse_request(enveloped(**members))


def told(answer: EmbeddingResponse, **members: Any) -> Any:
    """What a caller gets that asked so."""
    envelope = enveloped(**members)
    return json.loads(CALLER.render_response(answer, CALLER.parse_request(envelope), envelope, answer.usage))
