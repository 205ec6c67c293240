"""Token usage as Responses providers report it, in one convention and back.

OpenAI's: `input_tokens` contains what was read from and written to the cache, `output_tokens` contains reasoning.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _ServerTools(Struct):
    web_search_requests: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use_details: _ServerTools | None = None  # OpenRouter


_usage = msgspec.json.Decoder(_Usage | None)
_NO_INPUT: Final = _InputDetails()
_NO_OUTPUT: Final = _OutputDetails()
_NO_TOOLS: Final = _ServerTools()


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed: it must then be estimated.

    Not believed: no input or no output tokens, or 0 of both; a count that is negative, not an integer, or above 2^40.
    A part that is greater than its whole is cut to it.
    """
    try:
        told = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None or told.input_tokens is None:
        return None
    output = told.output_tokens
    if output is None and told.total_tokens is not None:
        output = told.total_tokens - told.input_tokens
    if output is None:
        return None
    inside = told.input_tokens_details or _NO_INPUT
    outside = told.output_tokens_details or _NO_OUTPUT
    read, written, reasoning = inside.cached_tokens or 0, inside.cache_write_tokens or 0, outside.reasoning_tokens or 0
    media = (
        inside.audio_tokens or 0,
        inside.image_tokens or 0,
        outside.audio_tokens or 0,
        outside.image_tokens or 0,
    )
    searches = (told.server_tool_use_details or _NO_TOOLS).web_search_requests or 0
    counts = (told.input_tokens, output, told.total_tokens or 0, read, written, reasoning, *media, searches)
    if min(counts) < 0 or max(counts) > _MOST or told.input_tokens + output == 0:
        return None
    left_out = 0 if told.total_tokens is None else told.total_tokens - told.input_tokens - output
    output += max(0, left_out)  # who leaves something out betrays it by a total that is larger
    read = min(read, told.input_tokens)
    return Usage(
        input=told.input_tokens,
        cache_read=read,
        cache_write=min(written, told.input_tokens - read),
        input_audio=min(media[0], told.input_tokens),
        input_image=min(media[1], told.input_tokens),
        output=output,
        reasoning=min(reasoning, output),
        output_audio=min(media[2], output),
        output_image=min(media[3], output),
        web_searches=searches,
    )


def render_usage(usage: Usage) -> dict[str, object]:
    """Return usage in OpenAI's convention."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
