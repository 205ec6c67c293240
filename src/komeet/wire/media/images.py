"""OpenAI's pictures: `POST /v1/images/generations`, and `/v1/images/edits` as a form or as JSON."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.format import NOWHERE, Envelope, Tap, Where
from komeet.wire.media.format import MediaFormat, MediaKind, count_of, model_of, needed, read_fields, truth_of
from komeet.wire.media.tap import Events, MediaTap
from komeet.wire.media.usage import parse_usage
from komeet.wire.members import NULL, missing
from komeet.wire.multipart import Form
from komeet.wire.openai_errors import parse_stream_error

_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})
_TEXTS: Final = ("model", "prompt", "n", "stream")
_FILES: Final = ("image", "image[]", "mask")
_LARGEST: Final = 6_240
"""Tokens of the largest picture in OpenAI's table, where no other number is known."""
_EVENTS: Final = Events(last=frozenset({"image_generation.completed", "image_edit.completed"}))


class _Answer(Struct):
    data: list[Raw] | None = None
    model: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


_answer: Final = Decoder(_Answer)


class _Metered:
    """An answer that goes out as it came."""

    __slots__ = ("usage",)

    model: str = ""
    service_tier: str | None = None

    def __init__(self, usage: Usage | None) -> None:
        self.usage = usage

    def output_text(self) -> str:
        return ""


class OpenAIImages(MediaFormat):
    """Pictures from a text."""

    __slots__ = ()

    name: str = "openai_images"
    kind: MediaKind = "image"
    place: str = "/images/generations"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002
    ) -> Envelope:
        fields, form, size = read_fields(body, headers, _TEXTS)
        if form is not None:
            raise WireError("This call is JSON, not a form: send it as application/json.", code="invalid_json")
        return _envelope(fields, None, size)

    def measure(self, envelope: Envelope) -> Extent:
        return Extent(bytes=envelope.size, candidates=envelope.candidates)

    def prompt_text(self, envelope: Envelope) -> str:
        return needed(envelope.fields, "prompt")

    def tap(self, envelope: Envelope) -> Tap:
        return MediaTap(_EVENTS, envelope.candidates)

    def read_whole(self, envelope: Envelope, body: bytes) -> _Metered | UpstreamError:  # noqa: ARG002
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not a list of pictures.") from cause
        if bytes(answer.error) not in _NO_ERROR:
            return parse_stream_error(answer.error)
        if answer.data is None:
            raise Garbled("The provider answered with JSON that is not a list of pictures: it has no data.")
        return _Metered(parse_usage(answer.usage))

    def supplemented(self, envelope: Envelope, usage: Usage, profile: Profile, tap: Tap | None) -> Usage:  # noqa: ARG002
        """Every picture is taken for the largest that the model makes."""
        made = envelope.candidates * (profile.image_output or _LARGEST)
        return replace(usage, output=made, output_image=made)


class OpenAIImageEdits(OpenAIImages):
    """Pictures from pictures and a text."""

    __slots__ = ()

    name: str = "openai_image_edits"
    kind: MediaKind = "image_edit"
    place: str = "/images/edits"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002
    ) -> Envelope:
        fields, form, size = read_fields(body, headers, _TEXTS)
        if form is None and fields.get("images", NULL) == NULL and fields.get("image", NULL) == NULL:
            raise missing("images")
        if form is not None and not form.named("image", "image[]"):
            raise missing("image")
        return _envelope(fields, form, size)

    def measure(self, envelope: Envelope) -> Extent:
        """Pictures are no text, however they are sent; as JSON they are named by address or id."""
        form = envelope.form
        if form is None:
            return Extent(bytes=envelope.size, media=1, external=True, candidates=envelope.candidates)
        return Extent(bytes=envelope.size, media=len(form.named(*_FILES)), candidates=envelope.candidates)


def _envelope(fields: dict[str, Raw], form: Form | None, size: int) -> Envelope:
    needed(fields, "prompt")
    return Envelope(
        fields=fields,
        form=form,
        size=size,
        model=model_of(fields),
        stream=truth_of(fields, "stream", form),
        candidates=count_of(fields, "n", form) or 1,
    )


GENERATIONS: Final = OpenAIImages()
EDITS: Final = OpenAIImageEdits()
