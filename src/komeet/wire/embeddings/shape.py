"""Answers in OpenAI's shape, which its imitators share: `{"data": [{"index", "embedding"}], "model", "usage"}`."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.embeddings.vectors import one_each, read_vector
from komeet.wire.members import NULL
from komeet.wire.openai_errors import parse_stream_error

MOST: Final = 1 << 40
"""Tokens: more are nonsense."""
_NOT_THERE: Final = frozenset({b"null", b"false", b'""', b"{}"})


class Item(Struct):
    """One vector."""

    embedding: Raw = NULL
    index: Raw = NULL


class Whole(Struct):
    """An answer, its vectors not read yet."""

    data: list[Item] | None = None
    model: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


class _Counts(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


_whole: Final = Decoder(Whole)
_counts: Final = Decoder(_Counts | None)
_text: Final = Decoder(str)
_index: Final = Decoder(int)


def read(body: bytes) -> Whole | UpstreamError:
    """Return the answer; an error that came with a success status is returned.

    Raises:
        Garbled: the bytes are no JSON object, or one with neither vectors nor an error.
    """
    try:
        whole = _whole.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        error = Garbled("The provider answered with something that is not a list of embeddings.")
        error.detail = f"it starts with {body[:80].decode('ascii', 'backslashreplace')!r}"
        raise error from cause
    if bytes(whole.error) not in _NOT_THERE:
        return parse_stream_error(whole.error)
    if whole.data is None:
        raise Garbled("The provider answered with JSON that is not a list of embeddings: it has no data.")
    return whole


def parse(body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
    """Return an answer in the neutral model.

    Raises:
        UpstreamError: it is an error, or not an answer to this request.
    """
    whole = read(body)
    if isinstance(whole, UpstreamError):
        raise whole
    vectors = [read_vector(item.embedding) for item in _in_order(whole.data or [])]
    return EmbeddingResponse(vectors=one_each(vectors, request), model=text(whole.model), usage=counted(whole.usage))


def counted(raw: Raw) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed: it must then be estimated."""
    try:
        told = _counts.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if told is None else believed(told.prompt_tokens or told.total_tokens)


def believed(tokens: int | None) -> Usage | None:
    """Return the usage of so many tokens; None where that cannot be: something was sent, and not so much."""
    return Usage(input=tokens) if tokens is not None and 0 < tokens <= MOST else None


def text(raw: Raw) -> str:
    """Return a string; empty where it is none."""
    try:
        return _text.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _in_order(items: list[Item]) -> list[Item]:
    """Return the items by their index, where every item has another one."""
    try:
        places = [_index.decode(item.index) for item in items]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return items
    if sorted(places) != list(range(len(items))):
        return items
    return [item for _, item in sorted(zip(places, items, strict=True), key=lambda pair: pair[0])]
