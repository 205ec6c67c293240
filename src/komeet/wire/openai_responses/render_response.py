"""From the neutral model to a whole Responses answer."""

import msgspec

from komeet.canonical.response import Response
from komeet.canonical.unfold import unfold
from komeet.wire.format import Asked
from komeet.wire.openai_responses.writer import Writer

_encoder = msgspec.json.Encoder()


def render_response(response: Response, asked: Asked) -> bytes:
    """Return the response object that says `response`; what this format has no place for is left out."""
    writer = Writer(asked)
    for event in unfold(response):
        for _ in writer.take(event):
            pass
    *_, (_, last) = writer.ended()
    return _encoder.encode(last["response"])
