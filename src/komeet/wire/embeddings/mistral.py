"""Mistral's embeddings: OpenAI's answers, and a request that names the size of vectors otherwise. Texts only."""

from typing import Final

import msgspec

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.catalog.profile import Profile
from komeet.wire.embeddings.said import no_purpose, taken, texts
from komeet.wire.embeddings.shape import parse
from komeet.wire.format import Edited
from komeet.wire.single import EmbeddingTarget

_OWN: Final = frozenset({"metadata", "output_dtype"})


class MistralEmbeddings(EmbeddingTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = "mistral_embeddings"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/embeddings"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        members, losses = taken(request, _OWN)
        body: dict[str, object] = {"model": request.model, "input": texts(request, "Mistral")}
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return Edited(body=msgspec.json.encode(body | members), losses=(*losses, *no_purpose(request)))

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        return parse(body, request)


TARGET: Final = MistralEmbeddings()
