"""What answers of rerankers say of their usage: tokens, or searches, in the places where providers say it."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens, or searches: more are nonsense."""


class _Tokens(Struct):
    total_tokens: float | None = None
    prompt_tokens: float | None = None
    input_tokens: float | None = None


class _Billed(_Tokens):
    search_units: float | None = None


class _Meta(Struct):
    billed_units: _Billed | None = None
    tokens: _Tokens | None = None


_tokens: Final = Decoder(_Tokens | None)
_meta: Final = Decoder(_Meta | None)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def counted(usage: Raw, meta: Raw) -> Usage | None:
    """Return the usage; None: there is none, or none to be believed, and it must be estimated.

    Args:
        usage: `{"total_tokens"}`, as Jina and those who imitate OpenAI say it; `{"input_tokens"}`, as SiliconFlow does.
        meta: `{"billed_units": {"search_units"}, "tokens": {"input_tokens"}}`, as Cohere says it.
    """
    told, billed = _read(usage), _billed(meta)
    searches = _believed(billed.search_units) if billed is not None else 0
    tokens = _sent(told) or (_sent(billed) if billed is not None else 0) or _sent(_counted(meta))
    return Usage(input=tokens, web_searches=searches) if tokens or searches else None


def _sent(told: _Tokens | None) -> int:
    if told is None:
        return 0
    named = (told.prompt_tokens, told.input_tokens, told.total_tokens)
    return max(_believed(each) for each in named)


def _believed(number: float | None) -> int:
    return int(number) if number is not None and 0 < number <= _MOST and number.is_integer() else 0


def _read(raw: Raw) -> _Tokens | None:
    try:
        return _tokens.decode(raw)
    except _UNREADABLE:
        return None


def _read_meta(raw: Raw) -> _Meta | None:
    try:
        return _meta.decode(raw)
    except _UNREADABLE:
        return None


def _billed(raw: Raw) -> _Billed | None:
    meta = _read_meta(raw)
    return None if meta is None else meta.billed_units


def _counted(raw: Raw) -> _Tokens | None:
    meta = _read_meta(raw)
    return None if meta is None else meta.tokens
