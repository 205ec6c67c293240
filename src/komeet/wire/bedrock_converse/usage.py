"""Usage in Bedrock's convention: `inputTokens` is what was neither read from the prompt cache nor written to it."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""
_HOUR: Final = "1h"


class _Written(Struct, rename="camel"):
    ttl: str = ""
    input_tokens: int = 0


class _Usage(Struct, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_Written] | None = None
    """What was written to the cache, by how long it is kept."""


_usage: Final[msgspec.json.Decoder[_Usage | None]] = msgspec.json.Decoder(_Usage | None)


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed. It does not tell reasoning apart."""
    try:
        told = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None or told.input_tokens is None or told.output_tokens is None:
        return None
    read, written = told.cache_read_input_tokens or 0, told.cache_write_input_tokens or 0
    details = told.cache_details or []
    counts = [told.input_tokens, told.output_tokens, read, written, *[each.input_tokens for each in details]]
    if min(counts) < 0 or max(counts) > _MOST or told.input_tokens + read + written + told.output_tokens == 0:
        return None
    hour = sum(each.input_tokens for each in details if each.ttl == _HOUR)
    return Usage(
        input=told.input_tokens + read + written,
        cache_read=read,
        cache_write=written,
        cache_write_1h=min(hour, written),
        output=told.output_tokens,
    )
