"""What a format about pictures or sound does for the pipeline, in both roles at once.

Callers and providers share these formats: bytes go through as they came, but for the model's name, and there is no
neutral model between them. Requests are JSON, or forms with files; answers are JSON, text, sound, or streams of events.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError, UpstreamError, WireError
from komeet.core.http import Headers
from komeet.wire import openai_errors
from komeet.wire.format import ID_HEADERS, NOWHERE, Edited, Envelope, Passed, Tap, Where, Whole
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.json import parse_object, renamed
from komeet.wire.media.tap import render_stream_error
from komeet.wire.members import BOOL, INT, STRING, missing, read, wrong_type
from komeet.wire.multipart import Form, is_form, read_form

MediaKind: TypeAlias = Literal["image", "image_edit", "speech", "transcription", "translation"]
MOST: Final = 128
"""Answers to one call; no provider is known that gives as many."""
_ANY: Final = b"*/*"
_TYPE: Final = b"content-type"
_encoder: Final = msgspec.json.Encoder()
_TRUTH: Final[Mapping[str, bool]] = {"": False, "false": False, "0": False, "true": True, "1": True}


class MediaFormat(ABC):
    """One surface of OpenAI's. Errors are said, and read, in its shape."""

    __slots__ = ()

    name: str
    kind: MediaKind
    place: str
    """The path at which it is asked."""
    id_headers: tuple[bytes, ...] = ID_HEADERS
    takes_comments: bool = True
    stream_type: bytes = EVENT_STREAM

    @abstractmethod
    def parse_envelope(self, body: bytes, headers: Mapping[bytes, bytes], where: Where = NOWHERE) -> Envelope:
        """Check and read what the gateway needs of a request.

        Raises:
            WireError: 400, with the path of the mistake.
        """

    @abstractmethod
    def measure(self, envelope: Envelope) -> Extent:
        """Return how much the request may make a provider read and do."""

    @abstractmethod
    def prompt_text(self, envelope: Envelope) -> str:
        """Return the text that the request sends, for counting tokens."""

    @abstractmethod
    def tap(self, envelope: Envelope) -> Tap:
        """Return a tap for one stream."""

    @abstractmethod
    def read_whole(self, envelope: Envelope, body: bytes) -> Whole | UpstreamError:
        """Read a whole answer for metering; an error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer.
        """

    def supplemented(self, envelope: Envelope, usage: Usage, profile: Profile, tap: Tap | None) -> Usage:  # noqa: ARG002
        """Return a count of ours, with what can be told of an answer that no tokens tell.

        Args:
            envelope: the request.
            usage: the tokens of its texts.
            profile: the model's.
            tap: what the stream was fed to, where it was one.
        """
        return usage

    def streams(self, envelope: Envelope, said: bytes) -> bool:
        """Whether an answer of this media type is forwarded as it comes."""
        return envelope.stream and said.startswith(EVENT_STREAM)

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        """Return where providers take a call, below their base URL."""
        return self.place

    def edit(self, envelope: Envelope, model: str) -> Edited:
        """Return the request for a provider, in which only the model's name is another.

        Raises:
            WireError: 400, the name cannot be written into the form.
        """
        form = envelope.form
        if form is not None:
            return Edited(body=form.replaced("model", model), content_type=form.content_type, accept=_ANY)
        return Edited(body=renamed(envelope.fields, model), accept=_ANY)

    def names_stream_options(self, body: bytes) -> bool:  # noqa: ARG002 - nothing is asked that could be
        """Whether a refusal is about having been asked for usage."""
        return False

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed:
        """Return what a provider's refusal means; `provider` is the name that callers know."""
        return openai_errors.parse_error(status, headers, body, provider)

    def render_refusal(self, passed: Passed) -> bytes:
        """Return the body that says a refusal of a provider."""
        return openai_errors.render_refusal(passed)

    def render_error(self, error: KomeetError) -> tuple[int, Headers, bytes]:
        """Return status, headers and body."""
        return openai_errors.render_error(error)

    def render_stream_error(self, error: KomeetError) -> bytes:
        """Return the event that ends a stream which had begun."""
        return render_stream_error(error)


def read_fields(
    body: bytes, headers: Mapping[bytes, bytes], texts: tuple[str, ...]
) -> tuple[dict[str, Raw], Form | None, int]:
    """Return the members of a request, the form that it is (if it is one), and the bytes that are not files.

    Of a form only `texts` are read: each as a JSON string.

    Raises:
        WireError: 400, it is neither JSON nor a form that can be read; or one of `texts` is there twice.
    """
    kind = headers.get(_TYPE, b"")
    if not is_form(kind):
        return parse_object(body), None, len(body)
    form = read_form(body, kind)
    told = {name: text for name in texts if (text := form.text(name)) is not None}
    written = sum([field.end - field.start for field in form.fields if not field.file])
    return {name: Raw(_encoder.encode(text)) for name, text in told.items()}, form, written


def model_of(fields: Mapping[str, Raw]) -> str:
    """Return the model; raises WireError where none is named."""
    model = needed(fields, "model")
    if not model:
        raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
    return model


def needed(fields: Mapping[str, Raw], name: str) -> str:
    """Return a member that must be there; raises WireError where it is not, or is no string."""
    value = text_of(fields, name)
    if value is None:
        raise missing(name)
    return value


def text_of(fields: Mapping[str, Raw], name: str) -> str | None:
    """Return a string; None: it is absent or null. Raises WireError where it is something else."""
    return read(fields.get(name), STRING, name, "a string")


def truth_of(fields: Mapping[str, Raw], name: str, form: Form | None) -> bool:
    """Return a boolean; absent ones are false. Raises WireError where it is none."""
    if form is None:
        return read(fields.get(name), BOOL, name, "a boolean") or False
    told = _TRUTH.get((text_of(fields, name) or "").lower())
    if told is None:
        raise wrong_type(name, "a boolean", fields[name])
    return told


def count_of(fields: Mapping[str, Raw], name: str, form: Form | None) -> int | None:
    """Return a number from 1 to `MOST`; None: it is absent. Raises WireError where it is none."""
    if form is None:
        count = read(fields.get(name), INT, name, "an integer")
    else:
        text = text_of(fields, name)
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise wrong_type(name, "an integer", fields[name])
        count = None if text is None else int(text)
    if count is not None and count < 1:
        raise WireError(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1.",
            param=name,
            code="integer_below_min_value",
        )
    if count is not None and count > MOST:
        raise WireError(
            f"Invalid '{name}': integer above maximum value. Expected a value <= {MOST}.",
            param=name,
            code="integer_above_max_value",
        )
    return count
