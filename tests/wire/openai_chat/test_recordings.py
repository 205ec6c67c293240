"""Real traffic of Chat Completions providers (KOMEET_RECORDINGS; skipped without it)."""

import json
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec
import pytest
from tests.wire.openai_chat.asked import streamed, whole
from tests.wire.openai_chat.normal import Json, counts, members, rows, same_answer, same_id, same_request
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import Part, ToolCall
from komeet.canonical.response import Response
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import UpstreamRefused
from komeet.wire.format import Passed
from komeet.wire.openai_chat.edit import edit
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.errors import parse_error
from komeet.wire.openai_chat.extent import measure
from komeet.wire.openai_chat.parse_request import parse_request
from komeet.wire.openai_chat.parse_response import parse_response
from komeet.wire.openai_chat.render_request import render_request
from komeet.wire.openai_chat.stream import StreamParser
from komeet.wire.openai_chat.tap import ChatTap
from komeet.wire.openai_chat.whole import ChatWhole, read_whole
from komeet.wire.sse import Splitter, fields

UNREPORTED: Final = {
    "cloudflare:0": "answers JSON mode without usage",
    "cloudflare:1": "answers JSON mode without usage",
    "cloudflare:2": "answers JSON mode without usage",
    "openai:657": "a stream that was not asked for usage",
}
FAILED: Final = {"openrouter:8": "the stream carries an error (token limit reached)"}
UNFINISHED: Final = {
    "openai:643": "no finish reason, but [DONE]",
    "openai:645": "no finish reason, but [DONE]",
}
REWORDED: Final = {
    "cloudflare:0": "JSON mode answers with an object for content; it is said as text",
    "cloudflare:1": "JSON mode answers with an object for content; it is said as text",
    "cloudflare:2": "JSON mode answers with an object for content; it is said as text",
    "mistral:1": "thinking is a part of the content; it is said as reasoning_content",
}
LEFT_OUT: Final = {
    "cohere": "has its own format, at /v2/chat",
    "bedrock": "has its own formats",
}
COUNTS: Final = {"whole": 225, "streamed": 170, "refused": 11}


ALL: Final = load(lambda each: "/chat/completions" in each.url)
ANSWERED: Final = tuple(recording for recording in ALL if 200 <= recording.status < 300)


WHOLE: Final = tuple(recording for recording in ANSWERED if not recording.streamed)
STREAMED: Final = tuple(recording for recording in ANSWERED if recording.streamed)
ASKED: Final = tuple(recording for recording in ANSWERED if bytes(recording.request) != b"null")
REFUSED: Final = tuple(recording for recording in ALL if recording.status >= 400)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert {"whole": len(WHOLE), "streamed": len(STREAMED), "refused": len(REFUSED)} == COUNTS
    names = {recording.name for recording in ALL}
    assert {*UNREPORTED, *FAILED, *UNFINISHED, *REWORDED} <= names
    assert not {name.partition(":")[0] for name in names} & set(LEFT_OUT)


@needs_recordings
@each_of(ASKED)
def test_a_request_passes_through_with_its_values(recording: Recording) -> None:
    body = bytes(recording.request)
    envelope = parse_envelope(body)
    edited = edit(
        envelope, model=envelope.model, profile=Profile(), output_limit=None, ask_usage=envelope.include_usage
    )
    assert json.loads(edited.body) == json.loads(body)
    assert edited.losses == ()
    assert measure(envelope).bytes <= len(body)


@needs_recordings
@each_of(ASKED)
def test_a_request_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    body = bytes(recording.request)
    edited = render_request(parse_request(body), Profile())
    assert edited.losses == ()
    assert same_request(edited.body) == same_request(body)


def _check_usage(recording: Recording, usage: Usage | None, reported: Json) -> None:
    if recording.name in UNREPORTED:
        assert usage is None
        assert not reported
        return
    assert usage is not None
    assert isinstance(reported, dict)
    assert (usage.input, usage.output, usage.cache_read, usage.reasoning) == counts(reported)


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_metered(recording: Recording) -> None:
    whole = read_whole(recording.body)
    assert isinstance(whole, ChatWhole)
    answer = members(recording.body)
    assert whole.model == answer["model"]
    assert whole.service_tier == answer.get("service_tier")
    assert whole.output_text()
    _check_usage(recording, whole.usage, answer.get("usage"))


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    response = parse_response(recording.body)
    said = whole(response)
    if recording.name in REWORDED:
        assert same_answer(said) != same_answer(recording.body)
    else:
        assert same_answer(said) == same_answer(recording.body)
    assert parse_response(said).usage == _plain(response.usage)


def _plain(usage: Usage | None) -> Usage | None:
    """Usage without what Chat Completions has no member for."""
    return None if usage is None else msgspec.structs.replace(usage, input_image=0, output_image=0)


def _chunks(stream: bytes) -> list[dict[str, Json]]:
    lines = [line.removeprefix(b"data:").strip() for line in stream.splitlines() if line.startswith(b"data:")]
    return [members(line) for line in lines if line != b"[DONE]"]


def _pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    chance, at = Random(seed), 0
    while at < len(stream):
        size = chance.choice((1, 2, 5, 60, 400, 4000))
        yield stream[at : at + size]
        at += size


_DONE = b"data: [DONE]\n\n"
"""Added where a provider leaves it out."""


def _is_only_usage(event: bytes) -> bool:
    return b'"choices":[]' in event.replace(b" ", b"") and b'"prompt_tokens"' in event


@needs_recordings
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "unasked"])
@each_of(STREAMED)
def test_a_stream_is_forwarded_byte_for_byte_and_metered(recording: Recording, asked: bool, line_end: bytes) -> None:
    stream = recording.body.replace(b"\r\n", b"\n").replace(b"\n", line_end)
    gap = line_end * 2
    events = [event + gap for event in stream.split(gap) if event]
    assert b"".join(events).rstrip() == stream.rstrip()
    expected = b"".join([event for event in events if asked or not _is_only_usage(event)])
    seeds = range(3)
    for seed in seeds:
        tap = ChatTap(include_usage=asked)
        out = b"".join([tap.feed(piece) for piece in _pieces(stream, seed)])
        rest, complete = tap.end()
        out += rest
        if not tap.done and complete:
            assert out.endswith(_DONE)
            out = out.removesuffix(_DONE)
        if asked:
            assert out == stream
        assert out.replace(b"\r", b"").replace(b"\n", b"") == expected.replace(b"\r", b"").replace(b"\n", b"")
        chunks = _chunks(stream)
        assert tap.opaque == 0
        assert tap.events == len(chunks)
        assert tap.first_content is bool(_written(chunks))
        assert tap.model == next(chunk["model"] for chunk in chunks if chunk["model"])
        assert (recording.name in FAILED) is (tap.error is not None)
        assert complete is (tap.error is None)
        whole = [chunk["usage"] for chunk in chunks if _is_whole(chunk.get("usage"))]
        _check_usage(recording, tap.usage, whole[-1] if whole else None)
        assert tap.output_text() == _written(chunks)


def _is_whole(usage: Json) -> bool:
    """Databricks reports on every chunk, and the output on the last one only."""
    return isinstance(usage, dict) and "completion_tokens" in usage


def _written(chunks: list[dict[str, Json]]) -> str:
    """All that the model wrote, found by name."""
    found: list[str] = []
    for chunk in chunks:
        for choice in rows(chunk.get("choices")):
            delta = choice.get("delta")
            assert isinstance(delta, dict)
            found += [_text(delta, "content"), _text(delta, "reasoning_content") or _text(delta, "reasoning")]
            found.append(_text(delta, "refusal"))
            for call in rows(delta.get("tool_calls")):
                function = call.get("function")
                assert isinstance(function, dict)
                found += [_text(function, "name"), _text(function, "arguments")]
    return "".join(found)


def _text(holder: dict[str, Json], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _events(stream: bytes) -> list[Event]:
    parser, splitter = StreamParser(), Splitter()
    blocks = [*splitter.feed(stream), splitter.rest()]
    said = [event for block in blocks if (event := fields(block)) is not None]
    return [event for one in said for event in parser.feed(one)] + list(parser.end())


@needs_recordings
@each_of(STREAMED)
def test_a_stream_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    events = _events(recording.body)
    if recording.name in FAILED:
        with pytest.raises(UpstreamRefused):
            fold(events)
        return
    response = fold(events)
    chunks = _chunks(recording.body)
    for candidate in response.candidates:
        assert _content(response, candidate.index) == "".join(
            _text(delta, "content")
            for chunk in chunks
            for choice in rows(chunk.get("choices"))
            if choice.get("index", 0) == candidate.index and isinstance(delta := choice.get("delta"), dict)
        )
    finished = all(candidate.stop is not None for candidate in response.candidates)
    assert finished is (recording.name not in UNFINISHED)
    again = fold(_events(streamed(events)))
    assert again == msgspec.structs.replace(
        response,
        id=same_id(response.id),
        usage=_plain(response.usage),
        candidates=tuple(
            [msgspec.structs.replace(each, parts=_with_arguments(each.parts)) for each in response.candidates]
        ),
    )
    once_more = parse_response(whole(response))
    assert [each.parts for each in once_more.candidates] == [
        _with_arguments(each.parts) for each in response.candidates
    ]


def _with_arguments(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """No arguments are an empty object."""
    return tuple(
        [
            msgspec.structs.replace(part, arguments=part.arguments or b"{}") if isinstance(part, ToolCall) else part
            for part in parts
        ]
    )


def _content(response: Response, index: int) -> str:
    told = members(whole(response))
    message = rows(told["choices"])[index]["message"]
    assert isinstance(message, dict)
    return _text(message, "content")


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_means_what_it_should(recording: Recording) -> None:
    headers = {name.encode(): value.encode() for name, value in recording.headers.items()}
    meaning = parse_error(recording.status, headers, recording.body, "the provider")
    if recording.status == 401:
        assert not isinstance(meaning, Passed)
        assert meaning.error_code == "upstream_auth"
    else:
        assert isinstance(meaning, Passed)
        assert (meaning.status, meaning.body) == (recording.status, recording.body)
