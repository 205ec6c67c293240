"""What a wire format does for the pipeline, which knows no format by name.

A format has two roles. As the caller's (`Caller`) it reads requests and writes answers and errors; as the provider's
(`Target`) it writes requests and reads answers and refusals. Where both sides of a call speak the same one, the
identity path is taken (`Passing`): bytes go through as they came. Otherwise, and where the identity path is switched
off, a call goes through the neutral model (`wire.way`).
"""

from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Raw, Struct

from komeet.canonical.event import Event
from komeet.canonical.extent import Extent
from komeet.canonical.loss import Loss
from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Headers
from komeet.wire import sse
from komeet.wire.framing import EVENT_STREAM, Framing
from komeet.wire.multipart import Form

KeyHeader: TypeAlias = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "sigv4"]
"""How a provider is shown our operator's key: in a header, or by a signature of AWS (`sigv4`)."""

Kind: TypeAlias = Literal[
    "generation", "embedding", "moderation", "rerank", "image", "image_edit", "speech", "transcription", "translation"
]
"""What a call is for: a format is of one kind, and a provider may have formats of several."""


class Where(Struct, frozen=True):
    """The address of a request; some formats name the model in it."""

    path: str = ""
    """Percent-encoding left as it came."""
    query: bytes = b""


NOWHERE: Final = Where()
ID_HEADERS: Final = (b"x-request-id",)
"""In which headers an answer has the id of its call, in every format."""


class Envelope(Struct, frozen=True, kw_only=True):
    """The top level of a request: its members as they were written, and what the gateway needs to know of them."""

    fields: dict[str, Raw]
    """Every member, in order; not to be changed."""
    size: int
    """Bytes of the body, but for files in a form."""
    model: str
    form: Form | None = None
    """What stands where in a body that is a form; `fields` has the texts that were read of it, as JSON."""
    stream: bool = False
    include_usage: bool = False
    """Whether the caller wants the stream to report usage."""
    candidates: int = 1
    """Answers asked for."""
    inputs: int = 1
    """Texts that are read each for itself: a model's input limit holds for each of them."""
    output_limit: int | None = None
    """Most output tokens of one answer; None: the caller set none."""
    effort: str | None = None
    """Reasoning effort."""
    service_tier: str | None = None
    alternatives: bool = False
    """Whether it names further models, among which the provider may choose."""
    sampling: tuple[str, ...] = ()
    """Names of the sampling parameters that are set."""
    headers: Headers = ()
    """Headers of the request that mean something to a provider of the same format, names in lower case."""
    sealed: bool = False
    """Whether it carries what another format sealed (`wire.seal`), which a provider of this one must not see."""
    stream_type: bytes = EVENT_STREAM
    """The media type of the stream that the caller asks for; one of another type is never forwarded as it came."""


class Asked(Struct, frozen=True, kw_only=True):
    """A call as the caller made it: what its answer has to repeat of it, or to undo."""

    envelope: Envelope
    request: Request
    id: str
    """Unique, of letters, digits, `_` and `-`: for the ids of an answer whose provider gives none."""
    created: int
    """Unix seconds, for an answer whose provider does not say."""


class Edited(Struct, frozen=True, kw_only=True):
    """A request as it goes to a provider."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    """Knobs that were left out."""
    headers: Headers = ()
    """Headers that the format needs."""
    key: KeyHeader = "bearer"
    content_type: bytes = b"application/json"
    accept: bytes | None = None
    """The media type that is asked for; None: JSON, or a stream of the format."""


class Passed(Struct, frozen=True, kw_only=True):
    """A provider's refusal that is about the caller's request, to be sent on."""

    status: int
    body: bytes
    """JSON of the provider's format."""
    message: str = ""
    code: str | None = None
    """Its machine-readable reason, where it gives one."""
    param: str | None = None
    """The path that it is about, in the provider's words."""


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


class StreamParser(Protocol):
    """Reads a provider's stream into events of the neutral model."""

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one server-sent event tells.

        Raises:
            Garbled: it is not what the format says.
        """
        ...

    def end(self) -> tuple[Event, ...]:
        """Return what the end of the stream means: a Fail where it came too early. Never raises."""
        ...


class StreamRenderer(Protocol):
    """Writes a stream for the caller."""

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that tell `event`; most often one, or none."""
        ...

    def end(self) -> bytes:
        """Return what ends the stream; nothing after a Fail."""
        ...


class Caller(Protocol):
    """A format in the caller's role."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def id_headers(self) -> tuple[bytes, ...]:
        """In which headers its libraries look for the id of a call."""
        ...

    @property
    def takes_comments(self) -> bool:
        """Whether its libraries leave out comments of a stream, which keep a silent connection open."""
        ...

    def parse_envelope(self, body: bytes, headers: Mapping[bytes, bytes], where: Where = NOWHERE) -> Envelope:
        """Check and read the top level of a request.

        Raises:
            WireError: 400, with the path of the mistake.
        """
        ...

    def parse_request(self, envelope: Envelope) -> Request:
        """Return the whole request in the neutral model.

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

    def render_response(self, response: Response, asked: Asked) -> bytes:
        """Return the body of a whole answer; what this format has no place for is left out."""
        ...

    def stream_renderer(self, asked: Asked) -> StreamRenderer:
        """Return a writer for one stream."""
        ...

    def render_refusal(self, passed: Passed) -> bytes:
        """Return the body that says a refusal of a provider of another format."""
        ...

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        """Return status, headers and body."""
        ...

    def render_stream_error(self, error: KomeetError) -> bytes:
        """Return the event that ends a stream which had begun."""
        ...


class Target(Protocol):
    """A format in the provider's role."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def passing(self) -> "Passing | None":
        """The identity path of the format; None: no caller speaks it."""
        ...

    @property
    def fetches_files(self) -> bool:
        """Whether its providers fetch documents by URL."""
        ...

    @property
    def fetches_images(self) -> bool:
        """Whether its providers fetch pictures by URL."""
        ...

    @property
    def least_output(self) -> int:
        """The lowest output limit that its providers take, in tokens; a lower one is raised to it, with a Loss."""
        ...

    @property
    def stream_type(self) -> bytes:
        """The media type of its streams."""
        ...

    def path(self, model: str, *, stream: bool) -> str:
        """Return where providers take a call for `model`, below their base URL: a path, and a query if it has one."""
        ...

    def render_request(self, request: Request, profile: Profile, *, ask_usage: bool) -> Edited:
        """Return the request for a provider, and what it cannot say.

        Args:
            request: the call; its model is what the provider calls it.
            profile: what the model takes.
            ask_usage: whether the stream is asked to report usage.

        Raises:
            Unrepresentable: 422, a content part that the format cannot carry.
            WireError: 400, something that the model cannot do and that must not be left out.
        """
        ...

    def parse_response(self, body: bytes) -> Response:
        """Return a whole answer in the neutral model.

        Raises:
            UpstreamError: it is an error, or not an answer.
        """
        ...

    def framing(self) -> Framing:
        """Return what cuts one stream into messages."""
        ...

    def stream_parser(self) -> StreamParser:
        """Return a reader for one stream."""
        ...

    def names_stream_options(self, body: bytes) -> bool:
        """Whether a refusal is about having been asked for usage."""
        ...

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        """Return what a provider's refusal means; `provider` is the name that callers know."""
        ...


class Passing(Protocol):
    """The identity path of a format: requests are edited, answers go out as they came and are read on the way."""

    def edit(
        self, envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool
    ) -> Edited:
        """Return the request for a provider of the same format.

        Args:
            envelope: the caller's request.
            model: what the provider calls the model.
            profile: what the model takes.
            output_limit: tokens; set only where the caller set no limit.
            ask_usage: whether the stream is asked to report usage.
        """
        ...

    def tap(self, *, include_usage: bool) -> Tap:
        """Return a tap for one stream; `include_usage`: whether the caller asked for usage."""
        ...

    def read_whole(self, body: bytes) -> Whole | UpstreamError:
        """Read a whole answer for metering; an error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer.
        """
        ...


class Format(Caller, Target, Passing, Protocol):
    """A format in both roles."""
