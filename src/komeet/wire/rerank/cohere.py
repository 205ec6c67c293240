"""Cohere's reranking, `POST /v2/rerank`: texts only, and documents are not repeated."""

from typing import Final

import msgspec

from komeet.canonical.loss import Loss
from komeet.canonical.rerank import RerankRequest, RerankResponse
from komeet.catalog.profile import Profile
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.rerank import shape
from komeet.wire.single import RerankTarget

_OWN: Final = frozenset({"max_tokens_per_doc", "priority"})


class CohereRerank(RerankTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = "cohere_rerank"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/v2/rerank"

    def render_request(self, request: RerankRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        extras = {name: value for members in request.extras.values() for name, value in members.items()}
        body: dict[str, object] = {"model": request.model, "query": request.query, "documents": request.documents}
        if request.top_n is not None:
            body["top_n"] = min(request.top_n, len(request.documents))
        body |= {name: value for name, value in extras.items() if name in _OWN}
        losses = [
            Loss(name, "the provider's reranking does not have it")
            for name, value in extras.items()
            if name not in _OWN and value != NULL
        ]
        return Edited(body=msgspec.json.encode(body), losses=tuple(losses))

    def parse_response(self, body: bytes, request: RerankRequest) -> RerankResponse:
        return shape.parse(body, request)


TARGET: Final = CohereRerank()
