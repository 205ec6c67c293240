"""Answers as all rerankers write them: `{"results": [{"index", "relevance_score"}]}`, with what was counted."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.rerank import Ranked, RerankRequest, RerankResponse
from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.members import NULL
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.rerank.counts import counted

_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})
_DIGITS: Final = b"-0123456789"


class Whole(Struct):
    """An answer, as far as the gateway looks into it."""

    results: list[Raw] | None = None
    id: Raw = NULL
    model: Raw = NULL
    usage: Raw = NULL
    tokens: Raw = NULL
    meta: Raw = NULL
    error: Raw = NULL


class _Result(Struct):
    index: int
    relevance_score: Raw


_whole: Final = Decoder(Whole)
_result: Final = Decoder(_Result)
_text: Final[Decoder[str]] = Decoder(str)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(body: bytes) -> Whole | UpstreamError:
    """Read an answer; an error that came with a success status is returned.

    Raises:
        Garbled: it is no order of documents.
    """
    try:
        whole = _whole.decode(body)
    except _UNREADABLE as cause:
        raise Garbled("The provider answered with something that is not an order of documents.") from cause
    if bytes(whole.error) not in _NO_ERROR:
        return parse_stream_error(whole.error)
    if whole.results is None:
        raise Garbled("The provider answered with JSON that is not an order of documents: it has no results.")
    return whole


def text(raw: Raw) -> str:
    """Return a string; empty where it is none."""
    try:
        return _text.decode(raw)
    except _UNREADABLE:
        return ""


def usage_of(whole: Whole) -> Usage | None:
    """Return what was counted, wherever it is said."""
    return counted(whole.usage if whole.usage != NULL else whole.tokens, whole.meta)


def parse(body: bytes, request: RerankRequest) -> RerankResponse:
    """Return an answer in the neutral model.

    Raises:
        UpstreamError: it is an error, or no answer to this request.
    """
    whole = read(body)
    if isinstance(whole, UpstreamError):
        raise whole
    results = tuple([_ranked(raw) for raw in whole.results or ()])
    places = {each.index for each in results}
    if len(places) != len(results) or not places <= set(range(len(request.documents))):
        raise Garbled("The provider answered with documents that were not sent, or with one of them twice.")
    return RerankResponse(results=results, id=text(whole.id), model=text(whole.model), usage=usage_of(whole))


def _ranked(raw: Raw) -> Ranked:
    try:
        result = _result.decode(raw)
    except _UNREADABLE as cause:
        raise Garbled("The provider answered with a result that has no place or no score.") from cause
    if bytes(memoryview(result.relevance_score)[:1]) not in _DIGITS:
        raise Garbled("The provider answered with a score that is no number.")
    return Ranked(result.index, result.relevance_score.copy())
