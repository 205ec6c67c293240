"""What providers of embeddings are told, where they have no word of OpenAI's for it."""

from collections.abc import Container, Mapping
from typing import Final

from msgspec import Raw

from komeet.canonical.embedding import EmbeddingRequest, Purpose
from komeet.canonical.loss import Loss
from komeet.core.errors import Unrepresentable
from komeet.wire.members import NULL

PURPOSES: Final[Mapping[str, Purpose]] = {
    # Cohere's
    "search_document": Purpose.DOCUMENT,
    "search_query": Purpose.QUERY,
    "classification": Purpose.CLASSIFICATION,
    "clustering": Purpose.CLUSTERING,
    # Voyage's, and NVIDIA's
    "document": Purpose.DOCUMENT,
    "passage": Purpose.DOCUMENT,
    "query": Purpose.QUERY,
    # Google's
    "retrieval_document": Purpose.DOCUMENT,
    "retrieval_query": Purpose.QUERY,
    "semantic_similarity": Purpose.SIMILARITY,
    "question_answering": Purpose.QUESTION,
    "fact_verification": Purpose.FACT,
    "code_retrieval_query": Purpose.CODE_QUERY,
}
"""What `input_type` means, in lower case: callers may use the words of any provider that has the member."""


def texts(request: EmbeddingRequest, provider: str) -> list[str]:
    """Return the inputs; raises Unrepresentable where they are tokens, whose text is not known."""
    found = [each for each in request.inputs if isinstance(each, str)]
    if len(found) != len(request.inputs):
        raise Unrepresentable(f"{provider} takes texts, not ids of tokens: send the text itself.", param="input")
    return found


def taken(request: EmbeddingRequest, names: Container[str]) -> tuple[dict[str, Raw], list[Loss]]:
    """Return those of the caller's further members that the provider has too, and the loss of the rest."""
    members: dict[str, Raw] = {}
    losses: list[Loss] = []
    if request.user is not None:
        losses.append(Loss("user", "the provider is not told who its users are"))
    for extras in request.extras.values():
        for name, value in extras.items():
            if name in names:
                members[name] = value
            elif value != NULL:
                losses.append(Loss(name, "the provider's embeddings do not have it"))
    return members, losses


def no_dimensions(request: EmbeddingRequest) -> list[Loss]:
    """Return the loss of a size for the vectors."""
    return [] if request.dimensions is None else [Loss("dimensions", "the provider's vectors have one size")]


def no_purpose(request: EmbeddingRequest) -> list[Loss]:
    """Return the loss of a purpose."""
    return [] if request.input_type is None else [Loss("input_type", "the provider has one kind of vectors")]
