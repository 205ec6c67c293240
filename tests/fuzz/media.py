"""Pictures and sound: JSON and forms from callers, and what providers answer, whole and in pieces."""

import contextlib
import json
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import HTTP
from typing import Any, Final, cast

from tests.fuzz.callers import PROFILES
from tests.fuzz.singles import check_usage
from tests.fuzz.target import (
    CUTS,
    Options,
    Target,
    bounded,
    check_error,
    check_headers,
    check_refusal,
    parted,
    pieces,
    read_json,
)

from komeet.canonical.usage import Usage
from komeet.core.errors import Blame, Garbled, UpstreamError, WireError
from komeet.wire.format import Passed
from komeet.wire.media.format import MediaFormat
from komeet.wire.media.images import EDITS, GENERATIONS
from komeet.wire.media.speech import SPEECH
from komeet.wire.media.transcription import TRANSCRIPTIONS, TRANSLATIONS
from komeet.wire.media_way import MediaWay
from komeet.wire.multipart import Form, read_form
from komeet.wire.readable import readable

_FORMATS: Final[tuple[MediaFormat, ...]] = (GENERATIONS, EDITS, SPEECH, TRANSCRIPTIONS, TRANSLATIONS)
_KINDS: Final = (b"application/json", b"multipart/form-data; boundary=b", b'multipart/form-data; boundary="b"', b"")
_SAID: Final = (b"application/json", b"text/event-stream", b"audio/mpeg", b"text/plain", b"")
_STATUSES: Final = (200, 400, 401, 404, 429, 500, 503)
_BETWEEN: Final = b"\n=\n"
_MODEL: Final = "another-model"


def media(data: bytes) -> None:
    """Ask with what stands before a line of `=`, and answer with what follows it."""
    options, rest = parted(data)
    asked, _, answered = rest.partition(_BETWEEN)
    wire, kind = options.choose(0, _FORMATS), options.choose(1, _KINDS)
    try:
        envelope = wire.parse_envelope(asked, {b"content-type": kind})
        extent = wire.measure(envelope)
        wire.prompt_text(envelope).encode("utf-8", "replace")
        way = MediaWay(wire, envelope)
        edited = way.request(
            model=_MODEL, profile=options.choose(2, PROFILES), output_limit=None, ask_usage=options.number(2, 2) == 0
        )
    except WireError as error:
        check_error(error, Blame.CLIENT)
        check_refusal(*wire.render_error(error))
        return
    assert extent.candidates >= 1
    assert 0 <= extent.bytes <= len(asked)
    check_headers([(b"content-type", edited.content_type)])
    bounded(edited.body, data)
    if envelope.form is None:
        assert read_json(edited.body)["model"] == _MODEL
    else:
        _check_form(envelope.form, edited.body, edited.content_type)
    _answer(way, options, answered, data)


def _check_form(form: Form, body: bytes, content_type: bytes) -> None:
    """Another reader finds the other model, and everything else as it was."""
    again = read_form(body, content_type)
    assert again.text("model") == _MODEL
    before = [(field.name, field.file, form.content(field)) for field in form.fields if field.name != "model"]
    after = [(field.name, field.file, again.content(field)) for field in again.fields if field.name != "model"]
    assert after == before
    if not body.isascii() or any(letter < 32 and letter not in b"\r\n\t" for letter in body):
        return
    other = message_from_bytes(b"content-type: " + content_type + b"\r\n\r\n" + body, policy=HTTP)
    parts = cast("list[Any]", other.get_payload())
    with contextlib.suppress(Exception):  # that reader is a stranger: what it cannot read says nothing
        names = [part.get_param("name", header="content-disposition") for part in parts]
        assert names.count("model") <= 1, names


def _answer(way: MediaWay, options: Options, answered: bytes, data: bytes) -> None:
    status, said = options.choose(3, _STATUSES), options.choose(4, _SAID)
    if status != 200:
        refusal = way.target.parse_error(status, {}, readable(answered), "someone")
        wire = way.target
        told = wire.render_refusal(refusal) if isinstance(refusal, Passed) else wire.render_error(refusal)[2]
        read_json(told)
    elif way.streams(said):
        _stream(way, answered, options.choose(5, CUTS))
    else:
        _whole(way, answered, said)
    check_headers([(b"content-type", way.answer_type(said))])
    check_usage(way.supplemented(Usage(input=1)))
    bounded(b"", data)


def _whole(way: MediaWay, answered: bytes, said: bytes) -> None:
    try:
        whole = way.whole(answered, streamed=said.startswith(b"text/event-stream"))
    except UpstreamError as error:
        check_error(error, Blame.UPSTREAM)
        return
    if isinstance(whole, UpstreamError):
        check_error(whole, Blame.UPSTREAM)
        return
    check_usage(whole.usage)
    whole.model.encode("utf-8", "replace")
    whole.output_text().encode("utf-8", "replace")
    assert whole.render(None) == answered


def _stream(way: MediaWay, answered: bytes, size: int) -> None:
    """However a stream is cut, the same bytes go out, and the same is counted."""
    seen: list[Any] = []
    for cut in (size, 0):
        tap, out = way.tap(), b""
        broken = False
        for piece in pieces(answered, cut):
            try:
                out += tap.feed(piece)
            except Garbled:
                broken = True
                break
        rest, complete = tap.end()
        if tap.error is not None:
            check_error(tap.error, Blame.UPSTREAM)
        check_usage(tap.usage)
        if not broken:
            seen.append((out + rest, complete, tap.usage, tap.output_text(), tap.done))
    assert len(seen) < 2 or seen[0] == seen[1]


def _starts() -> Iterator[bytes]:
    usage = {"input_tokens": 5, "input_tokens_details": {"image_tokens": 2}, "output_tokens": 9}
    picture = {"data": [{"b64_json": "AA"}], "usage": usage}
    yield _json(b"000000", {"model": "m", "prompt": "a", "n": 2}, picture)
    yield _json(b"000001", {"model": "m", "prompt": "a", "n": 2}, {"error": {"message": "no"}})
    yield _json(b"000100", {"model": "m", "prompt": "a"}, {"error": {"message": "no", "code": "x"}})
    yield _json(b"100000", {"model": "m", "prompt": "a", "images": [{"file_id": "f"}]}, picture)
    yield _events(
        b"000012",
        {"model": "m", "prompt": "a", "stream": True},
        {"type": "image_generation.partial_image"},
        {"type": "image_generation.completed", "usage": usage},
    )
    yield _events(b"000010", {"model": "m", "prompt": "a", "stream": True}, {"error": {"message": "no"}})
    yield _json(b"200020", {"model": "m", "input": "hello", "voice": "v"}, "sound")
    yield _json(b"200000", {"model": "m", "input": "hello", "instructions": "slow"}, {"error": {"message": "no"}})
    yield _events(
        b"200013", {"model": "m", "input": "a", "stream_format": "sse"}, {"type": "speech.audio.done", "usage": usage}
    )
    fields = [_part("model", "m"), _part("prompt", "a"), _part("n", "2"), _part("image[]", "\0\r\n--c", "a.png")]
    yield _form(b"110000", *fields) + _BETWEEN + json.dumps(picture).encode()
    sound = _part("file", "RIFF....WAVEfmt ....", "a.wav")
    for form in (b"310000", b"420000"):
        heard = {"text": "hello", "duration": 2.5, "usage": {"type": "duration", "seconds": 3}}
        yield _form(form, _part("model", "m"), sound) + _BETWEEN + json.dumps(heard).encode()
    subtitles = b"1\n00:00:00,000 --> 00:00:02,000\nhello\n"
    yield _form(b"310030", _part("model", "m"), _part("response_format", "srt"), sound) + _BETWEEN + subtitles
    done = b'data: {"type":"transcript.text.delta","delta":"a"}\n\ndata: {"type":"transcript.text.done","usage":{}}\n\n'
    yield _form(b"310014", _part("model", "m"), _part("stream", "true"), sound) + _BETWEEN + done
    yield _form(b"310000", _part("model", "m"), _part("model", "n"), sound)


def _json(options: bytes, asked: Any, answered: Any) -> bytes:
    lines = [json.dumps(each, separators=(",", ":")).encode() for each in (asked, answered)]
    return options + b"\n" + _BETWEEN.join(lines)


def _events(options: bytes, asked: Any, *events: Any) -> bytes:
    told = b"".join([b"data: " + json.dumps(each).encode() + b"\n\n" for each in events])
    return options + b"\n" + json.dumps(asked).encode() + _BETWEEN + told


def _part(name: str, content: str, filename: str = "") -> bytes:
    more = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{content}\r\n'.encode()


def _form(options: bytes, *parts: bytes) -> bytes:
    return options + b"\n" + b"".join(parts) + b"--b--\r\n"


MEDIA: Final = Target(
    name="media",
    holds="pictures and sound, JSON and forms, from the request to the answer, whole and in pieces",
    run=media,
    starts=_starts,
)
