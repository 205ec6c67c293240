"""A call that has documents ordered by how well they answer a query, and the order, in no provider's words."""

from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.canonical.usage import Usage


class RerankRequest(Struct, frozen=True, kw_only=True):
    """Documents, and what is looked for in them."""

    model: str
    query: str
    documents: tuple[str, ...]
    """Never empty."""
    top_n: int | None = None
    """How many of the best are wanted; None: all of them."""
    return_documents: bool | None = None
    """Whether the answer repeats the documents; None: the caller did not say."""
    extras: Extras = {}


class Ranked(Struct, frozen=True):
    """A document's place in the order."""

    index: int
    """Of the document in the request."""
    score: Raw
    """How well it answers: a number, as the provider wrote it."""


class RerankResponse(Struct, frozen=True, kw_only=True):
    """The order, the best first."""

    results: tuple[Ranked, ...]
    id: str = ""
    model: str = ""
    """The model that answered; empty: not said."""
    usage: Usage | None = None
    """None: not reported, or not to be believed."""
