"""What answers about pictures and sound say of their usage."""

import math
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens, or milliseconds: more are nonsense."""


class _Details(Struct):
    image_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens: int | None = None


class _Told(Struct):
    """As OpenAI says it; `prompt_tokens` and `completion_tokens` are Mistral's and Together's words."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    prompt_audio_seconds: float | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_tokens_details: _Details | None = None


_told: Final = Decoder(_Told | None)
_number: Final = Decoder(float | str)


def parse_usage(raw: Raw) -> Usage | None:
    """Return the usage; None: there is none, or none to be believed, and it must be estimated."""
    try:
        told = _told.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if told is None:
        return None
    sent = told.input_tokens if told.input_tokens is not None else told.prompt_tokens
    made = told.output_tokens if told.output_tokens is not None else told.completion_tokens
    length = milliseconds(told.seconds if told.seconds is not None else told.prompt_audio_seconds)
    details = told.input_tokens_details or told.input_token_details or _Details()
    out = told.output_tokens_details or _Details()
    parts = (details.image_tokens, details.audio_tokens, details.cached_tokens, out.image_tokens)
    if not sent and not made and not length:
        return None
    if any(not 0 <= (number or 0) <= _MOST for number in (sent, made, *parts)):
        return None
    return Usage(
        input=sent or 0,
        input_image=details.image_tokens or 0,
        input_audio=details.audio_tokens or 0,
        cache_read=details.cached_tokens or 0,
        output=made or 0,
        output_image=out.image_tokens or 0,
        audio_ms=length,
    )


def parse_duration(raw: Raw) -> Usage | None:
    """Return the usage that a length in seconds is, a number or the text of one; None: it is none."""
    try:
        told = float(_number.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    length = milliseconds(told)
    return Usage(audio_ms=length) if length else None


def milliseconds(seconds: float | None) -> int:
    """Return a length in milliseconds, begun ones counted; 0 where it is none."""
    if seconds is None or not 0 < seconds < _MOST / 1000:
        return 0
    return math.ceil(round(seconds * 1000, 3))
