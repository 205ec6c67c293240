"""Cohere's embeddings, `POST /v2/embed`, and the older form in which Bedrock offers its models."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse, Purpose
from komeet.canonical.loss import Loss
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled
from komeet.wire.embeddings.said import no_dimensions, taken, texts
from komeet.wire.embeddings.shape import believed
from komeet.wire.embeddings.vectors import one_each, read_vector
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.single import EmbeddingTarget

_TYPES: Final[Mapping[Purpose, str]] = {
    Purpose.DOCUMENT: "search_document",
    Purpose.QUERY: "search_query",
    Purpose.CLASSIFICATION: "classification",
    Purpose.CLUSTERING: "clustering",
}
_DEFAULT: Final = "search_document"
"""It has to be told a purpose; what callers embed most is what they will search."""
_OWN: Final = frozenset({"truncate", "max_tokens", "priority"})
_OWN_ON_BEDROCK: Final = frozenset({"truncate"})


class _ByType(Struct):
    float: list[Raw] | None = None


class _Billed(Struct):
    input_tokens: float | None = None


class _Meta(Struct):
    billed_units: _Billed | None = None


class _Answer(Struct):
    embeddings: Raw = NULL
    meta: Raw = NULL


_answer: Final = Decoder(_Answer)
_by_type: Final = Decoder(_ByType)
_vectors: Final = Decoder(list[Raw])
_meta: Final = Decoder(_Meta | None)


class CohereEmbeddings(EmbeddingTarget):
    """Cohere's own API."""

    __slots__ = ()

    name: str = "cohere_embeddings"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/v2/embed"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        body, losses = _asked(request, _OWN)
        body |= {"model": request.model, "embedding_types": ["float"]}
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return Edited(body=msgspec.json.encode(body), losses=tuple(losses))

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        return _parse(body, request)


class CohereOnBedrock(EmbeddingTarget):
    """Cohere's models at Bedrock, which reports tokens in a header only."""

    __slots__ = ()

    name: str = "bedrock_cohere_embeddings"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - never streamed
        return f"/model/{quote(model, safe='')}/invoke"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        body, losses = _asked(request, _OWN_ON_BEDROCK)
        losses += no_dimensions(request)
        return Edited(body=msgspec.json.encode(body), losses=tuple(losses), key="sigv4")

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        return _parse(body, request)


def _asked(request: EmbeddingRequest, own: frozenset[str]) -> tuple[dict[str, object], list[Loss]]:
    members, losses = taken(request, own)
    kind = request.input_type
    if request.purpose is not None:
        kind = _TYPES.get(request.purpose)
        if kind is None:
            losses.append(Loss("input_type", "the provider has no such purpose"))
    return {"texts": texts(request, "Cohere"), "input_type": kind or _DEFAULT, **members}, losses


def _parse(body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
    try:
        answer = _answer.decode(body)
        if bytes(memoryview(answer.embeddings)[:1]) == b"[":
            found = _vectors.decode(answer.embeddings)
        else:
            found = _by_type.decode(answer.embeddings).float
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise Garbled("The provider answered with something that is not a list of embeddings.") from cause
    if found is None:
        raise Garbled("The provider answered with embeddings of another type than it was asked for.")
    vectors = one_each([read_vector(each) for each in found], request)
    return EmbeddingResponse(vectors=vectors, usage=_billed(answer.meta))


def _billed(raw: Raw) -> Usage | None:
    try:
        meta = _meta.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    tokens = None if meta is None or meta.billed_units is None else meta.billed_units.input_tokens
    return None if tokens is None or not tokens.is_integer() else believed(int(tokens))


TARGET: Final = CohereEmbeddings()
ON_BEDROCK: Final = CohereOnBedrock()
