"""OpenAI's speech, `POST /v1/audio/speech`: the answer is sound, as it comes, or a stream of events."""

from collections.abc import Mapping
from typing import Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.format import NOWHERE, Envelope, Tap, Where, Whole
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.media.format import MediaFormat, MediaKind, model_of, needed, read_fields, text_of
from komeet.wire.media.tap import BytesTap, Events, MediaTap
from komeet.wire.members import NULL
from komeet.wire.openai_errors import parse_stream_error

_EVENTS: Final = Events(last=frozenset({"speech.audio.done"}))
_SOUND: Final = (b"audio/", b"application/octet-stream", b"binary/octet-stream")
_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})
_RAW_RATE: Final = 48_000
"""Bytes of a second of `pcm` and `wav`: 24,000 samples of 16 bits (the guide "Text to speech")."""
_READ_RATE: Final = 15
"""Characters that a voice reads in a second, about."""
_TOKENS_A_MINUTE: Final = 1_250
"""Of sound that is made: $0.015 at $12 a million (the page of `gpt-4o-mini-tts`)."""


class _Answer(Struct):
    error: Raw = NULL


_answer: Final = Decoder(_Answer)


class OpenAISpeech(MediaFormat):
    """A text read aloud."""

    __slots__ = ()

    name: str = "openai_speech"
    kind: MediaKind = "speech"
    place: str = "/audio/speech"

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],
        where: Where = NOWHERE,  # noqa: ARG002 - its address says nothing
    ) -> Envelope:
        fields, form, size = read_fields(body, headers, ("model",))
        if form is not None:
            raise WireError("This call is JSON, not a form: send it as application/json.", code="invalid_json")
        needed(fields, "input")
        for name in ("instructions", "response_format"):
            text_of(fields, name)
        stream_format = text_of(fields, "stream_format")
        if stream_format not in (None, "audio", "sse"):
            raise WireError(
                "Invalid value for 'stream_format'. Supported values are: 'audio' and 'sse'.",
                param="stream_format",
                code="invalid_value",
            )
        return Envelope(fields=fields, size=size, model=model_of(fields), stream=True)

    def measure(self, envelope: Envelope) -> Extent:
        return Extent(bytes=envelope.size)

    def prompt_text(self, envelope: Envelope) -> str:
        """The voice is told by `instructions` how to read."""
        return (text_of(envelope.fields, "instructions") or "") + needed(envelope.fields, "input")

    def streams(self, envelope: Envelope, said: bytes) -> bool:
        if text_of(envelope.fields, "stream_format") == "sse":
            return said.startswith(EVENT_STREAM)
        return said.startswith(_SOUND)

    def tap(self, envelope: Envelope) -> Tap:
        return MediaTap(_EVENTS) if text_of(envelope.fields, "stream_format") == "sse" else BytesTap()

    def read_whole(self, envelope: Envelope, body: bytes) -> Whole | UpstreamError:  # noqa: ARG002
        """Only an error comes as anything else than sound."""
        try:
            answer = _answer.decode(body)
        except (DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not sound.") from cause
        if bytes(answer.error) in _NO_ERROR:
            raise Garbled("The provider answered with JSON that is not sound.")
        return parse_stream_error(answer.error)

    def supplemented(self, envelope: Envelope, usage: Usage, profile: Profile, tap: Tap | None) -> Usage:  # noqa: ARG002
        """Sound is counted by its length, where models are billed by tokens of it: that is told, or taken to be."""
        raw = text_of(envelope.fields, "response_format") in ("pcm", "wav") and isinstance(tap, BytesTap)
        size, rate = (tap.size, _RAW_RATE) if raw and isinstance(tap, BytesTap) else (_length(envelope), _READ_RATE)
        made = -(-size * _TOKENS_A_MINUTE // (60 * rate))
        return replace(usage, output=made, output_audio=made)


def _length(envelope: Envelope) -> int:
    return len(needed(envelope.fields, "input"))


SPEECH: Final = OpenAISpeech()
