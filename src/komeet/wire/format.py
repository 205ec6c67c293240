"""What a wire format does for the pipeline, which knows no format by name.

The identity path (caller and provider speak the same format): `parse_envelope`, `measure`, `edit`; then `tap` or
`read_whole` on the answer; `parse_error` on a refusal; `render_error` on any error of ours.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Raw, Struct

from komeet.canonical.extent import Extent
from komeet.canonical.loss import Loss
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers


class Envelope(Struct, frozen=True, kw_only=True):
    """The top level of a request: its members as they were written, and what the gateway needs to know of them."""

    fields: dict[str, Raw]
    """Every member, in order; not to be changed."""
    size: int
    """Bytes of the body."""
    model: str
    stream: bool = False
    include_usage: bool = False
    """Whether the caller wants the stream to report usage."""
    candidates: int = 1
    """Answers asked for."""
    output_limit: int | None = None
    """Most output tokens of one answer; None: the caller set none."""
    effort: str | None = None
    """Reasoning effort."""
    service_tier: str | None = None
    alternatives: bool = False
    """Whether it names further models, among which the provider may choose."""
    sampling: tuple[str, ...] = ()
    """Names of the sampling parameters that are set."""


class Edited(Struct, frozen=True):
    """A request as it goes to a provider of the same format."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    """Knobs that were left out."""


class Passed(Struct, frozen=True):
    """A provider's refusal that is about the caller's request, to be sent on; the body is JSON of the format."""

    status: int
    body: bytes


class Whole(Protocol):
    """An answer that was not streamed, as far as it is metered."""

    @property
    def usage(self) -> Usage | None:
        """None: not reported, or not to be believed."""
        ...

    @property
    def model(self) -> str:
        """The model that answered; empty: not said."""
        ...

    @property
    def service_tier(self) -> str | None: ...

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        ...


class Tap(Protocol):
    """Reads along as a stream is forwarded. Raises Garbled from `feed` only, when the bytes are no event stream."""

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the caller now: whole events, as they came."""
        ...

    def end(self) -> tuple[bytes, bool]:
        """Return what is left to send on, and whether the answer was complete. Never raises."""
        ...

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The last usage that was reported."""
        ...

    @property
    def model(self) -> str:
        """The model that answers; empty: not said."""
        ...

    @property
    def service_tier(self) -> str | None: ...

    @property
    def first_content(self) -> bool:
        """Whether the model has written anything yet."""
        ...

    @property
    def done(self) -> bool:
        """Whether the stream has said that it is over."""
        ...

    @property
    def error(self) -> UpstreamError | None:
        """The error that the provider sent in its stream; the caller has been told in the format's shape."""
        ...


class Format(Protocol):
    """One wire format."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str:
        """Where providers take it, below their base URL."""
        ...

    def parse_envelope(self, body: bytes) -> Envelope:
        """Check and read the top level of a request.

        Raises:
            WireError: 400, with the path of the mistake.
        """
        ...

    def measure(self, envelope: Envelope) -> Extent:
        """Return how much the request may make a provider read and do."""
        ...

    def prompt_text(self, envelope: Envelope) -> str:
        """Return the text that the request sends, for counting tokens."""
        ...

    def edit(
        self, envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool
    ) -> Edited:
        """Return the request for a provider of the same format."""
        ...

    def tap(self, *, include_usage: bool) -> Tap:
        """Return a tap for one stream; `include_usage`: whether the caller asked for usage."""
        ...

    def read_whole(self, body: bytes) -> Whole | UpstreamError:
        """Read a whole answer; an error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer.
        """
        ...

    def as_stream(self, body: bytes, *, include_usage: bool) -> bytes:
        """Return a whole answer as the stream that says the same.

        Raises:
            UpstreamError: it is an error, or no answer.
        """
        ...

    def as_whole(self, stream: bytes) -> bytes:
        """Return the whole answer that a stream says.

        Raises:
            UpstreamError: it broke off, carries an error, or is no stream.
        """
        ...

    def names_stream_options(self, body: bytes) -> bool:
        """Whether a refusal is about having been asked for usage."""
        ...

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        """Return what a provider's refusal means; `provider` is the name that callers know."""
        ...

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        """Return status, headers and body."""
        ...

    def render_stream_error(self, error: KomeetError) -> bytes:
        """Return the event that ends a stream which had begun."""
        ...
