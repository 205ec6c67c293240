"""Sound: texts read aloud, and what is said written down."""

import io
import json
import wave
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.wire.media.asking import asked, form, part, sent

from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.media.length import length_of
from komeet.wire.media.speech import SPEECH
from komeet.wire.media.tap import BytesTap, MediaTap
from komeet.wire.media.transcription import TRANSCRIPTIONS, TRANSLATIONS
from komeet.wire.media.usage import parse_duration, parse_usage

READ = {"model": "asked", "input": "Hello there", "voice": "alloy"}
SOUND = part("file", b"RIFF\x00\xff\r\n", "a.wav")


def heard(*more: bytes, profile: Profile = Profile(), sound: bytes = SOUND) -> Any:  # noqa: B008 - frozen
    return asked(TRANSCRIPTIONS, form(part("model", "asked"), sound, *more), profile)


def wav(milliseconds: int, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * rate * milliseconds // 1000))
    return out.getvalue()


# ---------------------------------------------------------------- speech


def test_a_text_is_sent_as_it_came_but_for_the_model() -> None:
    assert json.loads(sent(asked(SPEECH, READ | {"late": 1})).body) == READ | {"model": "m", "late": 1}


@pytest.mark.parametrize("said", [b"audio/mpeg", b"audio/wav", b"application/octet-stream"])
def test_sound_is_forwarded_as_it_comes(said: bytes) -> None:
    way = asked(SPEECH, READ)
    assert way.streams(said)
    assert way.answer_type(said) == said
    tap = way.tap()
    assert isinstance(tap, BytesTap)
    assert tap.feed(b"\x00data: {") == b"\x00data: {"
    assert tap.end() == (b"", True)


@pytest.mark.parametrize("said", [b"application/json", b"text/html", b"text/event-stream", b""])
def test_what_is_not_sound_is_not_forwarded(said: bytes) -> None:
    assert not asked(SPEECH, READ).streams(said)


def test_an_answer_without_a_byte_is_none() -> None:
    assert asked(SPEECH, READ).tap().end() == (b"", False)


def test_events_are_forwarded_where_they_are_asked_for() -> None:
    way = asked(SPEECH, READ | {"stream_format": "sse"})
    assert way.streams(b"text/event-stream")
    assert not way.streams(b"audio/mpeg")
    tap = way.tap()
    assert isinstance(tap, MediaTap)
    tap.feed(b'data: {"type":"speech.audio.delta","audio":"AA"}\n\n')
    tap.feed(
        b'data: {"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}\n\n'
    )
    assert tap.end() == (b"", True)
    assert tap.usage == Usage(input=14, output=101)


def test_json_in_place_of_sound_is_an_error() -> None:
    way = asked(SPEECH, READ)
    assert isinstance(way.whole(b'{"error": {"message": "no"}}', streamed=False), UpstreamError)
    for body in (b"{}", b"ID3\x00", b""):
        with pytest.raises(Garbled):
            way.whole(body, streamed=False)


def test_tokens_of_sound_are_counted_by_its_length() -> None:
    """A minute of it is 1,250 tokens: told by the bytes of sound that is not packed, else by the text."""
    way = asked(SPEECH, READ | {"response_format": "pcm"})
    way.tap().feed(bytes(48_000 * 60))
    assert way.supplemented(Usage(input=3)) == Usage(input=3, output=1250, output_audio=1250)
    packed = asked(SPEECH, READ | {"input": "a" * 900})
    packed.tap().feed(bytes(10))
    assert packed.supplemented(Usage()).output == 1250


# ---------------------------------------------------------------- what is said


def test_of_a_form_only_the_model_is_replaced() -> None:
    edited = sent(heard(part("language", "nl")))
    assert edited.body == form(part("model", "m"), SOUND, part("language", "nl"))


def test_both_surfaces_are_at_their_own_places() -> None:
    assert TRANSCRIPTIONS.path("m", stream=False) == "/audio/transcriptions"
    assert TRANSLATIONS.path("m", stream=False) == "/audio/translations"


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (
            {
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "output_tokens": 45,
                    "input_token_details": {"audio_tokens": 4},
                }
            },
            Usage(input=14, input_audio=4, output=45),
        ),
        ({"usage": {"type": "duration", "seconds": 9}}, Usage(audio_ms=9000)),
        ({"duration": 8.4704}, Usage(audio_ms=8471)),
        ({"duration": "8.47"}, Usage(audio_ms=8470)),
        (
            {"usage": {"prompt_tokens": 4, "completion_tokens": 9, "prompt_audio_seconds": 3}},
            Usage(input=4, output=9, audio_ms=3000),
        ),
        ({"usage": {"seconds": -1}}, None),
        ({}, None),
    ],
)
def test_usage_is_read_where_it_is_said(answer: dict[str, Any], usage: Usage | None) -> None:
    whole = heard().whole(json.dumps({"text": "hello"} | answer).encode(), streamed=False)
    assert (whole.usage, whole.output_text()) == (usage, "hello")


@pytest.mark.parametrize(
    ("kind", "body", "usage"),
    [
        ("text", b"hello\n", None),
        ("srt", b"1\n00:00:00,000 --> 00:00:03,500\nhello\n\n2\n00:00:03,500 --> 01:02:03,004\nbye\n", 3_723_004),
        ("vtt", b"WEBVTT\n\n00:00.000 --> 00:04.250\nhello\n", 4_250),
        ("vtt", b"WEBVTT\n", None),
    ],
)
def test_plain_answers_are_metered_by_their_last_time(kind: str, body: bytes, usage: int | None) -> None:
    whole = heard(part("response_format", kind)).whole(body, streamed=False)
    assert whole.usage == (None if usage is None else Usage(audio_ms=usage))
    assert whole.render(None) == body
    assert whole.output_text() == body.decode()


def test_a_short_sound_is_billed_as_the_least() -> None:
    whole = heard(profile=Profile(least_audio_ms=10_000)).whole(b'{"text": "", "duration": 2}', streamed=False)
    assert whole.usage == Usage(audio_ms=10_000)


def test_a_sound_without_usage_is_measured() -> None:
    way = heard(sound=part("file", wav(2500), "a.wav"))
    assert way.supplemented(Usage(output=3)) == Usage(output=3, audio_ms=2500)


@given(st.integers(1, 5000), st.sampled_from([8000, 16000, 44100]))
def test_the_length_of_a_wav_is_exact(milliseconds: int, rate: int) -> None:
    assert abs(length_of(wav(milliseconds, rate)) - milliseconds) <= 1


@given(st.binary(max_size=200))
def test_any_bytes_have_a_length(data: bytes) -> None:
    for each in (data, b"RIFF\0\0\0\0WAVE" + data, b"RIFF\0\0\0\0WAVEfmt " + data):
        assert 0 <= length_of(each) <= 1000 * len(each)


def test_a_stream_is_metered_by_its_last_event() -> None:
    way = heard(part("stream", "true"))
    tap = way.tap()
    tap.feed(b'data: {"type":"transcript.text.delta","delta":"I see"}\n\n')
    assert (tap.first_content, tap.output_text(), tap.usage) == (True, "I see", None)
    tap.feed(b'data: {"type":"transcript.text.done","text":"I see","usage":{"input_tokens":14,"output_tokens":3}}\n\n')
    assert tap.end() == (b"", True)
    assert tap.usage == Usage(input=14, output=3)


def test_a_stream_that_was_not_asked_for_is_garbled() -> None:
    with pytest.raises(Garbled):
        heard().whole(b"data: {}\n\n", streamed=True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]"])
def test_what_is_no_transcript_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        heard().whole(body, streamed=False)


def test_an_error_with_a_success_status_is_an_error() -> None:
    assert isinstance(heard().whole(b'{"error": {"message": "no"}}', streamed=False), UpstreamError)


def test_what_a_call_may_cost_is_told_from_its_bytes() -> None:
    extent = TRANSCRIPTIONS.measure(heard(part("prompt", "abc")).envelope)
    assert (extent.media, extent.external, extent.bytes) == (1, False, len("askedabc"))
    elsewhere = asked(TRANSCRIPTIONS, form(part("model", "a"), part("url", "https://example.com/a.mp3")))
    assert TRANSCRIPTIONS.measure(elsewhere.envelope).external


MISTAKES: list[tuple[Any, Any, str | None]] = [
    (SPEECH, {"model": "m"}, "input"),
    (SPEECH, {"input": "a"}, "model"),
    (SPEECH, READ | {"stream_format": "mp3"}, "stream_format"),
    (SPEECH, READ | {"response_format": {}}, "response_format"),
    (SPEECH, READ | {"instructions": 1}, "instructions"),
    (SPEECH, form(part("model", "m"), part("input", "a")), None),
    (TRANSCRIPTIONS, {"model": "m", "file": "a"}, None),
    (TRANSCRIPTIONS, form(SOUND), "model"),
    (TRANSCRIPTIONS, form(part("model", "m")), "file"),
    (TRANSLATIONS, form(part("model", "m"), SOUND, part("stream", "maybe")), "stream"),
    (TRANSLATIONS, form(part("model", "m"), part("model", "n"), SOUND), "model"),
]


@pytest.mark.parametrize(("wire", "body", "path"), MISTAKES)
def test_mistakes_are_told_with_their_path(wire: Any, body: Any, path: str | None) -> None:
    with pytest.raises(WireError) as refused:
        asked(wire, body)
    assert refused.value.param == path


@pytest.mark.parametrize(
    "said", [b"", b"null", b"1", b'{"input_tokens": -1}', b'{"input_tokens": 99999999999999}', b"{}"]
)
def test_numbers_that_cannot_be_are_no_usage(said: bytes) -> None:
    assert parse_usage(Raw(said)) is None


@pytest.mark.parametrize("said", [b"null", b'"x"', b"-1", b"0", b"1e300", b"{}", b'"nan"'])
def test_lengths_that_cannot_be_are_no_usage(said: bytes) -> None:
    assert parse_duration(Raw(said)) is None


@pytest.mark.parametrize("said", [b"audio/mpeg\r\nx: y", b"", b"a" * 300, b"\xff"])
def test_a_media_type_that_cannot_be_sent_on_is_not(said: bytes) -> None:
    assert heard().answer_type(said) == b"application/octet-stream"
