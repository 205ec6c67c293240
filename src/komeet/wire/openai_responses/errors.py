"""Errors of Responses: OpenAI's, and how they end a stream."""

import msgspec

from komeet.core.errors import KomeetError, ModelNotFound
from komeet.core.http import Headers
from komeet.wire import openai_errors

_encoder = msgspec.json.Encoder()


def render_error(error: KomeetError) -> tuple[int, Headers, bytes]:
    """Return status, headers and body; OpenAI says 400 here of a model that it does not know."""
    status, headers, body = openai_errors.render_error(error)
    if isinstance(error, ModelNotFound):
        told = openai_errors.error_body(
            error.message, kind="invalid_request_error", param=error.param or "model", code=error.error_code
        )
        return 400, headers, told
    return status, headers, body


def render_stream_error(error: KomeetError, number: int = 0) -> bytes:
    """Return the event that ends a stream in an error; `number` is its place in the stream."""
    told = {
        "type": "error",
        "code": error.error_code,
        "message": error.message,
        "param": error.param,
        "sequence_number": number,
    }
    return b"event: error\ndata: " + _encoder.encode(told) + b"\n\n"
