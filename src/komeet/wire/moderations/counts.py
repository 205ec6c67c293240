"""What answers of moderations say of their usage, as far as they say it."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""


class _Counts(Struct):
    prompt_tokens: int | None = None


_counts: Final = Decoder(_Counts | None)


def counted(raw: Raw) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed: it must then be estimated."""
    try:
        told = _counts.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if told is None or told.prompt_tokens is None or not 0 < told.prompt_tokens <= _MOST:
        return None
    return Usage(input=told.prompt_tokens)
