"""Real traffic of Anthropic's Messages (KOMEET_RECORDINGS; skipped without it)."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import Text
from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.wire.anthropic_messages.format import FORMAT
from komeet.wire.format import Asked, Envelope, Passed
from komeet.wire.sse import Splitter, fields

COUNTS: Final = {"whole": 225, "streamed": 134, "refused": 9}


ALL: Final = load(lambda each: each.path.endswith("/v1/messages") and each.method == "POST")


ANSWERED: Final = tuple(each for each in ALL if 200 <= each.status < 300)
WHOLE: Final = tuple(each for each in ANSWERED if not each.streamed)
STREAMED: Final = tuple(each for each in ANSWERED if each.streamed)
ASKED: Final = tuple(each for each in ANSWERED if bytes(each.request) != b"null")
REFUSED: Final = tuple(each for each in ALL if each.status >= 400)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert {"whole": len(WHOLE), "streamed": len(STREAMED), "refused": len(REFUSED)} == COUNTS
    assert {each.name for each in ANSWERED} == {each.name for each in ASKED}


def _filled(value: Any) -> Any:
    match value:
        case dict():
            members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {name: _filled(inner) for name, inner in members.items() if inner is not None}
        case list():
            return [_filled(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _blocks(content: Any) -> list[Any]:
    """The content as blocks: a string is one text; an empty text says nothing."""
    blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] == "tool_result":
            inside = _blocks(block.pop("content", []))
            if inside:
                block["content"] = inside
            if block.get("is_error") is False:
                del block["is_error"]
    return [block for block in blocks if block != {"type": "text", "text": ""}]


def _same_request(body: bytes) -> Any:
    """A request with equal ways to say a thing made the same: turns of one side in a row are one."""
    told = _filled(json.loads(body))
    if "system" in told:
        told["system"] = _blocks(told["system"])
        if not told["system"]:
            del told["system"]
    messages: list[Any] = []
    for message in told["messages"]:
        content = _blocks(message["content"])
        if messages and messages[-1]["role"] == message["role"] != "system":
            messages[-1]["content"] += content
        elif content:
            messages.append({**message, "content": content})
    last = messages[-1]
    if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
        last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()
    told["messages"] = messages
    for tool in told.get("tools", ()):
        if tool.get("strict") is False:
            del tool["strict"]
    for name in ("tools", "stop_sequences", "metadata", "output_config"):
        if not told.get(name, True):
            del told[name]
    return told


def _same_answer(body: bytes) -> Any:
    told = _filled(json.loads(body))
    told.pop("usage")
    return told


@needs_recordings
@each_of(ASKED)
def test_a_request_passes_through_with_its_values(recording: Recording) -> None:
    body = bytes(recording.request)
    envelope = FORMAT.parse_envelope(body, {})
    edited = FORMAT.edit(envelope, model=envelope.model, profile=Profile(), output_limit=None, ask_usage=True)
    assert json.loads(edited.body) == json.loads(body)
    assert edited.losses == ()
    assert FORMAT.measure(envelope).bytes <= len(body)
    assert FORMAT.prompt_text(envelope)


@needs_recordings
@each_of(ASKED)
def test_a_request_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    body = bytes(recording.request)
    request = FORMAT.parse_request(FORMAT.parse_envelope(body, {}))
    edited = FORMAT.render_request(request, Profile(), ask_usage=True)
    assert _same_request(edited.body) == _same_request(body)
    assert edited.losses == ()


def _counted(reported: Any) -> tuple[int, ...]:
    read = reported.get("cache_read_input_tokens") or 0
    written = reported.get("cache_creation_input_tokens") or 0
    creation: dict[str, int] = reported.get("cache_creation") or {}
    hour = creation.get("ephemeral_1h_input_tokens") or 0
    return reported["input_tokens"] + read + written, read, written, hour, reported["output_tokens"]


def _usage(usage: Usage | None) -> tuple[int, ...]:
    assert usage is not None
    return usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output


def _asked(stream: bool = False) -> Asked:
    envelope = Envelope(fields={}, size=0, model="m", stream=stream, include_usage=True)
    return Asked(envelope=envelope, request=Request(model="m", turns=()), id="1", created=1)


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_metered_and_says_the_same(recording: Recording) -> None:
    answer = json.loads(recording.body)
    whole = FORMAT.read_whole(recording.body)
    assert not isinstance(whole, Exception)
    assert whole.model == answer["model"]
    assert _usage(whole.usage) == _counted(answer["usage"])
    response = FORMAT.parse_response(recording.body)
    assert response.usage == whole.usage
    assert _same_answer(FORMAT.render_response(response, _asked())) == _same_answer(recording.body)
    assert fold(unfold(response)) == response


def _events(stream: bytes) -> list[Event]:
    parser, splitter = FORMAT.stream_parser(), Splitter()
    blocks = [*splitter.feed(stream), splitter.rest()]
    said = [event for block in blocks if (event := fields(block)) is not None]
    return [event for one in said for event in parser.feed(one)] + list(parser.end())


def _filled_parts(response: Response) -> Response:
    """An answer without the texts that say nothing, which are not told again."""
    (candidate,) = response.candidates
    parts = tuple([part for part in candidate.parts if part != Text()])
    return msgspec.structs.replace(response, candidates=(msgspec.structs.replace(candidate, parts=parts),))


def _reported(stream: bytes) -> Any:
    """The usage that counts: what `message_start` said, with what `message_delta` said instead."""
    told: dict[str, Any] = {}
    for line in stream.splitlines():
        if line.startswith(b"data:"):
            event = json.loads(line[5:])
            usage: dict[str, Any] = event.get("usage") or event.get("message", {}).get("usage") or {}
            told.update({name: value for name, value in usage.items() if value is not None})
    return told


def _pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    chance, at = Random(seed), 0
    while at < len(stream):
        size = chance.choice((1, 2, 5, 60, 400, 4000))
        yield stream[at : at + size]
        at += size


@needs_recordings
@each_of(STREAMED)
def test_a_stream_is_forwarded_byte_for_byte_and_metered(recording: Recording) -> None:
    for seed in range(3):
        tap = FORMAT.tap(include_usage=True)
        out = b"".join([tap.feed(piece) for piece in _pieces(recording.body, seed)])
        rest, complete = tap.end()
        assert out + rest == recording.body
        assert complete
        assert tap.done
        assert tap.model
        assert tap.first_content is bool(tap.output_text())
        assert _usage(tap.usage) == _counted(_reported(recording.body))


@needs_recordings
@each_of(STREAMED)
def test_a_stream_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    events = _events(recording.body)
    response = _filled_parts(fold(events))
    assert _usage(response.usage) == _counted(_reported(recording.body))
    assert response.candidates[0].stop is not None
    renderer = FORMAT.stream_renderer(_asked(stream=True))
    said = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    assert fold(_events(said)) == response
    assert FORMAT.parse_response(FORMAT.render_response(response, _asked())).candidates == response.candidates


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_means_what_it_should(recording: Recording) -> None:
    headers = {name.encode(): value.encode() for name, value in recording.headers.items()}
    meaning = FORMAT.parse_error(recording.status, headers, recording.body, "anthropic")
    if recording.status in (401, 403):
        assert not isinstance(meaning, Passed)
        assert meaning.error_code == "upstream_auth"
    else:
        assert isinstance(meaning, Passed)
        assert meaning.body == recording.body
        assert meaning.message
