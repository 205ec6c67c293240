"""OpenAI's texts of what is said: `POST /v1/audio/transcriptions`, and `/v1/audio/translations` into English."""

import re
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
from komeet.wire.media.format import MediaFormat, MediaKind, model_of, read_fields, text_of, truth_of
from komeet.wire.media.length import length_of
from komeet.wire.media.tap import Events, MediaTap
from komeet.wire.media.usage import parse_duration, parse_usage
from komeet.wire.members import NULL, missing
from komeet.wire.openai_errors import parse_stream_error

_TEXTS: Final = ("model", "prompt", "response_format", "stream")
_ELSEWHERE: Final = ("url", "file_url", "file_id")
"""Sound that a provider fetches or has: Groq's and Mistral's words."""
_PLAIN: Final = ("text", "srt", "vtt")
_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})
_EVENTS: Final = Events(
    last=frozenset({"transcript.text.done", "transcription.done"}),
    text=frozenset({"transcript.text.delta", "transcription.text.delta"}),
)
"""The second of each are Mistral's."""
_TIMES: Final = re.compile(rb"-->[ \t]*(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{3})")


class _Answer(Struct):
    text: Raw = NULL
    model: Raw = NULL
    duration: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


_answer: Final = Decoder(_Answer)
_text: Final[Decoder[str]] = Decoder(str)


class _Metered:
    """An answer that goes out as it came."""

    __slots__ = ("_text", "model", "usage")

    service_tier: str | None = None

    def __init__(self, text: str, usage: Usage | None, model: str = "") -> None:
        self._text = text
        self.usage = usage
        self.model = model

    def output_text(self) -> str:
        return self._text


class OpenAITranscriptions(MediaFormat):
    """What is said, as text."""

    __slots__ = ()

    name: str = "openai_transcriptions"
    kind: MediaKind = "transcription"
    place: str = "/audio/transcriptions"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002 - its address says nothing
    ) -> Envelope:
        fields, form, size = read_fields(body, headers, _TEXTS)
        if form is None:
            raise WireError("This call is a form with a file: send it as multipart/form-data.", code="invalid_form")
        model = model_of(fields)
        if not form.named("file", *_ELSEWHERE):
            raise missing("file")
        return Envelope(fields=fields, form=form, size=size, model=model, stream=truth_of(fields, "stream", form))

    def measure(self, envelope: Envelope) -> Extent:
        assert envelope.form is not None
        return Extent(bytes=envelope.size, media=1, external=not envelope.form.named("file"))

    def prompt_text(self, envelope: Envelope) -> str:
        return text_of(envelope.fields, "prompt") or ""

    def tap(self, envelope: Envelope) -> Tap:  # noqa: ARG002 - all alike
        return MediaTap(_EVENTS)

    def read_whole(self, envelope: Envelope, body: bytes) -> _Metered | UpstreamError:
        wanted = text_of(envelope.fields, "response_format")
        if wanted in _PLAIN:
            return _Metered(body.decode("utf-8", "replace"), _shown(body) if wanted != "text" else None)
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not a transcript.") from cause
        if bytes(answer.error) not in _NO_ERROR:
            return parse_stream_error(answer.error)
        if answer.text == NULL:
            raise Garbled("The provider answered with JSON that is not a transcript: it has no text.")
        usage = parse_usage(answer.usage) or parse_duration(answer.duration)
        return _Metered(_read(answer.text), usage, _read(answer.model))

    def supplemented(self, envelope: Envelope, usage: Usage, profile: Profile, tap: Tap | None) -> Usage:  # noqa: ARG002
        """How long the sound is, by its file."""
        form = envelope.form
        files = () if form is None else form.named("file")
        return replace(usage, audio_ms=sum([length_of(form.content(each)) for each in files if form is not None]))


class OpenAITranslations(OpenAITranscriptions):
    """What is said, as English text."""

    __slots__ = ()

    name: str = "openai_translations"
    kind: MediaKind = "translation"
    place: str = "/audio/translations"


def _shown(subtitles: bytes) -> Usage | None:
    """Return how long the sound is by its last subtitle, which no silence at the end has."""
    last = 0
    for hours, minutes, seconds, rest in _TIMES.findall(subtitles):
        told = ((int(hours or b"0") * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)
        last = max(last, told)
    return Usage(audio_ms=last) if last else None


def _read(raw: Raw) -> str:
    try:
        return _text.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


TRANSCRIPTIONS: Final = OpenAITranscriptions()
TRANSLATIONS: Final = OpenAITranslations()
