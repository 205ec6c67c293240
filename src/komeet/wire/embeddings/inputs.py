"""What is to be embedded: one text or several, each written out or as the ids of its tokens."""

from typing import Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.embedding import Tokens
from komeet.core.errors import WireError
from komeet.wire.members import ARRAY, NULL, STRING, missing, read, wrong_type

MOST_INPUTS: Final = 2048
"""OpenAI's limit for one call."""

_TEXTS: Final[Decoder[list[str]]] = Decoder(list[str])
_TOKENS: Final[Decoder[tuple[int, ...]]] = Decoder(tuple[int, ...])
_LISTS: Final[Decoder[list[tuple[int, ...]]]] = Decoder(list[tuple[int, ...]])
_WORD: Final = " a"
"""A text of one token, whatever the encoding."""
_LARGEST_TOKEN: Final = 2**31 - 1

Inputs = tuple[str, ...] | tuple[Tokens, ...]


def parse_inputs(raw: Raw | None) -> Inputs:
    """Return the inputs, at least one and none of them empty.

    Raises:
        WireError: 400, with the path of the mistake.
    """
    if raw is None or raw == NULL:
        raise missing("input")
    match bytes(memoryview(raw)[:1]):
        case b'"':
            text = read(raw, STRING, "input", "a string") or ""
            return _filled((text,), alone=True)
        case b"[":
            return _array(raw)
        case _:
            raise wrong_type("input", "a string or an array", raw)


def input_text(raw: Raw) -> str:
    """Return the text of inputs that were parsed before, for counting tokens; what is tokens already stays as many."""
    inputs = parse_inputs(raw)
    return "\n".join([each if isinstance(each, str) else _WORD * len(each) for each in inputs])


def _array(raw: Raw) -> Inputs:
    items = read(raw, ARRAY, "input", "an array") or []
    if not items:
        raise _empty("input", "array")
    match bytes(memoryview(items[0])[:1]):
        case b'"':
            return _texts(raw, items)
        case b"[":
            return _token_lists(raw, items)
        case _:
            tokens = _tokens(raw, items, "input")
            return (tokens,)


def _texts(raw: Raw, items: list[Raw]) -> Inputs:
    _few(items)
    try:
        texts = _TEXTS.decode(raw)
    except msgspec.DecodeError:
        place = next(place for place, item in enumerate(items) if bytes(memoryview(item)[:1]) != b'"')
        raise wrong_type(f"input[{place}]", "a string", items[place]) from None
    return _filled(tuple(texts), alone=False)


def _token_lists(raw: Raw, items: list[Raw]) -> Inputs:
    _few(items)
    try:
        lists = _LISTS.decode(raw)
    except msgspec.DecodeError:
        for place, item in enumerate(items):
            path = f"input[{place}]"
            if bytes(memoryview(item)[:1]) != b"[":
                raise wrong_type(path, "an array of integers", item) from None
            _tokens(item, read(item, ARRAY, path, "an array of integers") or [], path)
        raise
    for place, tokens in enumerate(lists):
        if not tokens:
            raise _empty(f"input[{place}]", "array")
        _in_range(tokens, f"input[{place}]")
    return tuple(lists)


def _tokens(raw: Raw, items: list[Raw], path: str) -> Tokens:
    try:
        tokens = _TOKENS.decode(raw)
    except msgspec.DecodeError:
        for place, item in enumerate(items):
            try:
                msgspec.json.decode(item, type=int)
            except msgspec.DecodeError:
                raise wrong_type(f"{path}[{place}]", "an integer", item) from None
        raise
    _in_range(tokens, path)
    return tokens


def _in_range(tokens: Tokens, path: str) -> None:
    for place, token in enumerate(tokens):
        if not 0 <= token <= _LARGEST_TOKEN:
            raise WireError(
                f"Invalid '{path}[{place}]': not the id of a token.", param=f"{path}[{place}]", code="invalid_value"
            )


def _few(items: list[Raw]) -> None:
    if len(items) > MOST_INPUTS:
        raise WireError(
            f"Invalid 'input': array too long. Expected an array with maximum length {MOST_INPUTS}, but got an array"
            f" with length {len(items)} instead.",
            param="input",
            code="array_above_max_length",
        )


def _filled(texts: tuple[str, ...], *, alone: bool) -> tuple[str, ...]:
    for place, text in enumerate(texts):
        if not text:
            raise _empty("input" if alone else f"input[{place}]", "string")
    return texts


def _empty(path: str, what: str) -> WireError:
    return WireError(f"Invalid '{path}': empty {what}. There is nothing to embed.", param=path, code=f"empty_{what}")
