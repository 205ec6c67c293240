"""Amazon's Titan embeddings at Bedrock: one text to a call."""

from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable
from komeet.wire.embeddings.said import no_purpose, taken, texts
from komeet.wire.embeddings.shape import believed
from komeet.wire.embeddings.vectors import one_each, read_vector
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.single import EmbeddingTarget

_OWN: Final = frozenset({"normalize"})


class _Answer(Struct, rename="camel"):
    embedding: Raw
    input_text_token_count: Raw = NULL


_answer: Final = Decoder(_Answer)
_count: Final = Decoder(int | None)


class TitanEmbeddings(EmbeddingTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = "titan_embeddings"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - never streamed
        return f"/model/{quote(model, safe='')}/invoke"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        members, losses = taken(request, _OWN)
        found = texts(request, "Titan")
        if len(found) > 1:
            raise Unrepresentable(
                f"{request.model} takes one text to a call, not {len(found)}: send them one by one.", param="input"
            )
        body: dict[str, object] = {"inputText": found[0]}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        losses += no_purpose(request)
        return Edited(body=msgspec.json.encode(body | members), losses=tuple(losses), key="sigv4")

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not an embedding.") from cause
        try:
            tokens = _count.decode(answer.input_text_token_count)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            tokens = None
        return EmbeddingResponse(vectors=one_each([read_vector(answer.embedding)], request), usage=believed(tokens))


TARGET: Final = TitanEmbeddings()
