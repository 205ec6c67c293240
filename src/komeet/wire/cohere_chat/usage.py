"""Token usage as Cohere reports it, in one convention.

It reports twice: `billed_units`, which is what it charges, and `tokens`, which has what it adds to a prompt itself, and
what it read from its cache. What is charged counts; the price book does the same.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""


class _Counts(Struct):
    input_tokens: float | None = None
    output_tokens: float | None = None


class _Usage(Struct):
    billed_units: _Counts | None = None
    tokens: _Counts | None = None
    cached_tokens: float | None = None


_usage = msgspec.json.Decoder(_Usage | None)
_NONE: Final = _Counts()


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed: it must then be estimated.

    The cache is told only where `tokens` count: it is a part of those, and not of what is charged.
    """
    try:
        told = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None:
        return None
    billed, tokens = told.billed_units or _NONE, told.tokens or _NONE
    charged = billed.input_tokens is not None and billed.output_tokens is not None
    counts = billed if charged else tokens
    read = 0 if charged else told.cached_tokens or 0
    if counts.input_tokens is None or counts.output_tokens is None:
        return None
    every = (counts.input_tokens, counts.output_tokens, read)
    if min(every) < 0 or max(every) > _MOST or max(every) == 0 or any(count != int(count) for count in every):
        return None
    tokens_in = int(counts.input_tokens)
    return Usage(input=tokens_in, output=int(counts.output_tokens), cache_read=min(int(read), tokens_in))
