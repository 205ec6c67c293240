"""Errors of Chat Completions: OpenAI's, and how they end a stream."""

from komeet.core.errors import KomeetError
from komeet.wire.openai_errors import (
    error_body,
    parse_error,
    parse_stream_error,
    read_error,
    render_error,
    render_refusal,
    told_error,
)

__all__ = [
    "error_body",
    "names_stream_options",
    "parse_error",
    "parse_stream_error",
    "read_error",
    "render_error",
    "render_refusal",
    "render_stream_error",
]


def render_stream_error(error: KomeetError) -> bytes:
    """Return the event that ends a stream in an error; no `[DONE]` may follow."""
    return b"data: " + told_error(error) + b"\n\n"


def names_stream_options(body: bytes) -> bool:
    """Whether a refusal is about `stream_options`."""
    return b"stream_options" in body or b"include_usage" in body
