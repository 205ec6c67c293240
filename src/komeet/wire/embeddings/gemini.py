"""Google's embeddings, `:batchEmbedContents`: what its own client calls, for one text too."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse, Purpose
from komeet.canonical.loss import Loss
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled
from komeet.wire.embeddings.said import taken, texts
from komeet.wire.embeddings.shape import believed
from komeet.wire.embeddings.vectors import one_each, read_vector
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.single import EmbeddingTarget

_TASKS: Final[Mapping[Purpose, str]] = {
    Purpose.DOCUMENT: "RETRIEVAL_DOCUMENT",
    Purpose.QUERY: "RETRIEVAL_QUERY",
    Purpose.CLASSIFICATION: "CLASSIFICATION",
    Purpose.CLUSTERING: "CLUSTERING",
    Purpose.SIMILARITY: "SEMANTIC_SIMILARITY",
    Purpose.QUESTION: "QUESTION_ANSWERING",
    Purpose.FACT: "FACT_VERIFICATION",
    Purpose.CODE_QUERY: "CODE_RETRIEVAL_QUERY",
}
_OWN: Final = frozenset({"title"})


class _Values(Struct):
    values: Raw = NULL


class _Answer(Struct, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: Raw = NULL


class _Counts(Struct, rename="camel"):
    prompt_token_count: int | None = None


_answer: Final = Decoder(_Answer)
_counts: Final = Decoder(_Counts | None)


class GeminiEmbeddings(EmbeddingTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = "gemini_embeddings"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - never streamed
        return f"/models/{quote(model, safe='')}:batchEmbedContents"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        members, losses = taken(request, _OWN)
        told: dict[str, object] = {"model": f"models/{request.model}"}
        if request.purpose is not None:
            told["taskType"] = _TASKS[request.purpose]
        elif request.input_type is not None:
            losses.append(Loss("input_type", "the provider has no such purpose"))
        if request.dimensions is not None:
            told["outputDimensionality"] = request.dimensions
        each = told | members
        requests = [each | {"content": {"parts": [{"text": text}]}} for text in texts(request, "Google")]
        body = msgspec.json.encode({"requests": requests})
        return Edited(body=body, losses=tuple(losses), key="x-goog-api-key")

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not a list of embeddings.") from cause
        vectors = one_each([read_vector(each.values) for each in answer.embeddings], request)
        try:
            counts = _counts.decode(answer.usage_metadata)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            counts = None
        return EmbeddingResponse(vectors=vectors, usage=None if counts is None else believed(counts.prompt_token_count))


TARGET: Final = GeminiEmbeddings()
