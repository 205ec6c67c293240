"""Errors of legacy Completions: OpenAI's, and how they end a stream."""

from komeet.core.errors import KomeetError
from komeet.wire.openai_errors import told_error


def render_stream_error(error: KomeetError) -> bytes:
    """Return the event that ends a stream in an error; no `[DONE]` may follow."""
    return b"data: " + told_error(error) + b"\n\n"
