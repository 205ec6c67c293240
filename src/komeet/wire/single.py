"""Formats of calls that are answered once, in one piece, and generate nothing: embeddings, moderations, reranking.

As with those that generate (`wire.format`), a format is a caller's, a provider's, or both. These are classes and not
protocols, so that what kind of call a format is for can be told from its type.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.canonical.extent import Extent
from komeet.canonical.moderation import ModerationRequest, ModerationResponse
from komeet.canonical.rerank import RerankRequest, RerankResponse
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire import openai_errors
from komeet.wire.format import ID_HEADERS, NOWHERE, Edited, Envelope, Passed, Where, Whole
from komeet.wire.framing import EVENT_STREAM


class Told(Protocol):
    """What is metered of an answer."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def model(self) -> str: ...


Q = TypeVar("Q", bound=Struct)
"""The request in the neutral model."""
A = TypeVar("A", bound=Told)
"""The answer in the neutral model."""


class SingleCaller(ABC, Generic[Q, A]):
    """A format in the caller's role. Errors are said in OpenAI's shape."""

    __slots__ = ()

    name: str
    id_headers: tuple[bytes, ...] = ID_HEADERS
    takes_comments: bool = True

    @abstractmethod
    def parse_envelope(self, body: bytes, headers: Mapping[bytes, bytes], where: Where = NOWHERE) -> Envelope:
        """Check and read the top level of a request.

        Raises:
            WireError: 400, with the path of the mistake.
        """

    @abstractmethod
    def parse_request(self, envelope: Envelope) -> Q:
        """Return the whole request in the neutral model.

        Raises:
            WireError: 400, with the path of the mistake.
        """

    @abstractmethod
    def measure(self, envelope: Envelope) -> Extent:
        """Return how much the request may make a provider read."""

    @abstractmethod
    def prompt_text(self, envelope: Envelope) -> str:
        """Return the text that the request sends, for counting tokens."""

    @abstractmethod
    def render_response(self, answer: A, request: Q, envelope: Envelope, usage: Usage | None) -> bytes:
        """Return the body of an answer; `usage` counts where the provider gave none.

        Raises:
            Garbled: it holds what cannot be said in the form that was asked for.
        """

    def render_refusal(self, passed: Passed) -> bytes:
        """Return the body that says a refusal of a provider of another format."""
        return openai_errors.render_refusal(passed)

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        """Return status, headers and body."""
        return openai_errors.render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        """Return what would end a stream: these answers are none."""
        return openai_errors.told_error(error)


class SinglePassing(Protocol):
    """The identity path of a format: requests are edited, answers go out as they came."""

    def edit(self, envelope: Envelope, model: str) -> Edited:
        """Return the request for a provider of the same format; `model` is what the provider calls the model."""
        ...

    def read_whole(self, envelope: Envelope, body: bytes) -> Whole | UpstreamError | None:
        """Read an answer for metering; None: it is not in the form that was asked for, and has to be written anew.

        An error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer.
        """
        ...


class SingleTarget(ABC, Generic[Q, A]):
    """A format in the provider's role. Errors are read in any of the shapes that OpenAI-like providers use."""

    __slots__ = ()

    name: str
    passing: SinglePassing | None = None
    """None: no caller speaks it."""
    stream_type: bytes = EVENT_STREAM
    """An answer of this type is none of the format."""

    @abstractmethod
    def path(self, model: str, *, stream: bool) -> str:
        """Return where providers take a call for `model`, below their base URL."""

    @abstractmethod
    def render_request(self, request: Q, profile: Profile) -> Edited:
        """Return the request for a provider, and what it cannot say; its model is what the provider calls it.

        Raises:
            Unrepresentable: 422, an input that the format cannot carry.
        """

    @abstractmethod
    def parse_response(self, body: bytes, request: Q) -> A:
        """Return an answer in the neutral model.

        Raises:
            UpstreamError: it is an error, or not an answer to this request.
        """

    def names_stream_options(self, body: bytes) -> bool:  # noqa: ARG002 - nothing is asked that could be
        """Whether a refusal is about having been asked for usage."""
        return False

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        """Return what a provider's refusal means; `provider` is the name that callers know."""
        return openai_errors.parse_error(status, headers, body, provider)


class EmbeddingCaller(SingleCaller[EmbeddingRequest, EmbeddingResponse]):
    """A caller's format of embeddings."""

    __slots__ = ()

    kind: Literal["embedding"] = "embedding"


class EmbeddingTarget(SingleTarget[EmbeddingRequest, EmbeddingResponse]):
    """A provider's format of embeddings."""

    __slots__ = ()

    kind: Literal["embedding"] = "embedding"


class ModerationCaller(SingleCaller[ModerationRequest, ModerationResponse]):
    """A caller's format of moderations."""

    __slots__ = ()

    kind: Literal["moderation"] = "moderation"


class ModerationTarget(SingleTarget[ModerationRequest, ModerationResponse]):
    """A provider's format of moderations."""

    __slots__ = ()

    kind: Literal["moderation"] = "moderation"


class RerankCaller(SingleCaller[RerankRequest, RerankResponse]):
    """A caller's format of reranking."""

    __slots__ = ()

    kind: Literal["rerank"] = "rerank"


class RerankTarget(SingleTarget[RerankRequest, RerankResponse]):
    """A provider's format of reranking."""

    __slots__ = ()

    kind: Literal["rerank"] = "rerank"
