"""Real traffic of Responses providers (KOMEET_RECORDINGS; skipped without it)."""

import json
from random import Random
from typing import Final, TypeAlias

import msgspec
import pytest
from msgspec import Raw, Struct
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import Reasoning
from komeet.canonical.response import Response
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import UpstreamAuth, WireError
from komeet.wire.format import Asked, Passed
from komeet.wire.openai_errors import parse_error
from komeet.wire.openai_responses import FORMAT
from komeet.wire.openai_responses.edit import edit
from komeet.wire.openai_responses.envelope import parse_envelope
from komeet.wire.openai_responses.parse_request import parse_request
from komeet.wire.openai_responses.parse_response import parse_response
from komeet.wire.openai_responses.render_request import render_request
from komeet.wire.openai_responses.render_response import render_response
from komeet.wire.openai_responses.render_stream import StreamRenderer
from komeet.wire.openai_responses.stream import StreamParser
from komeet.wire.openai_responses.tap import ResponsesTap
from komeet.wire.openai_responses.whole import ResponsesWhole, read_whole
from komeet.wire.sse import Splitter, fields

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | None"

KEPT: Final = ("previous_response_id", "conversation", "background", "store")
"""Members that ask for something to be kept, which is refused."""
INTERLEAVED: Final = {"openrouter:2": "a message begins before the reasoning is complete, and ids are given anew"}
REWORDED: Final = {"openai:128": "its status is `complete`, which no format has"}
COUNTS: Final = {"whole": 275, "streamed": 128, "refused": 11}


ALL: Final = load(lambda each: each.path.rstrip("/").endswith("/responses"))
ANSWERED: Final = tuple(recording for recording in ALL if 200 <= recording.status < 300)


def _stateless(recording: Recording) -> bytes:
    """Return the request without what asks for something to be kept."""
    told = msgspec.json.decode(recording.request)
    return msgspec.json.encode({name: value for name, value in told.items() if name not in KEPT})


WHOLE: Final = tuple(recording for recording in ANSWERED if not recording.streamed)
STREAMED: Final = tuple(recording for recording in ANSWERED if recording.streamed)
REFUSED: Final = tuple(recording for recording in ALL if recording.status >= 400)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert {"whole": len(WHOLE), "streamed": len(STREAMED), "refused": len(REFUSED)} == COUNTS
    assert {*INTERLEAVED, *REWORDED} <= {recording.name for recording in ALL}


def _normal(value: Json) -> Json:
    """Drop nulls; what is said in two ways is said in one."""
    match value:
        case dict():
            told = {name: _normal(inside) for name, inside in value.items() if inside is not None}
            return _normal_object(told)
        case list():
            return [_normal(inside) for inside in value]
        case _:
            return value


def _normal_object(told: dict[str, Json]) -> Json:
    if "role" in told:
        role = told["role"]
        if told.get("type") == "message":
            del told["type"]
        content = told.get("content")
        if isinstance(content, str):
            kind = "output_text" if role == "assistant" else "input_text"
            told["content"] = [{"type": kind, "text": content}]
    if told.get("type") == "function_call_output" and isinstance(told.get("output"), str):
        told["output"] = [{"type": "input_text", "text": told["output"]}]
    for name in ("annotations", "logprobs"):
        if told.get("type") == "output_text" and told.get(name) == []:
            del told[name]
    return told


def _request(body: bytes) -> Json:
    told = json.loads(body)
    if isinstance(told.get("input"), str):
        told["input"] = [{"role": "user", "content": told["input"]}]
    for name in ("store", "truncation", "tools", "metadata"):
        if told.get(name) in (False, "disabled", [], {}):
            del told[name]
    if isinstance(told.get("reasoning"), dict):
        told["reasoning"] = {name: value for name, value in told["reasoning"].items() if value is not None} or None
    if told.get("text") is not None and told["text"].get("format") == {"type": "text"}:
        del told["text"]["format"]
        told["text"] = told["text"] or None
    sealed = {"reasoning.encrypted_content"}  # a model that reasons is always asked for it
    told["include"] = sorted({*(told.get("include") or []), *sealed})
    return _normal(told)


@needs_recordings
@each_of(ANSWERED)
def test_a_request_comes_out_of_the_neutral_model_as_it_went_in(recording: Recording) -> None:
    body = _stateless(recording)
    edited = render_request(parse_request(body), Profile(cache_breakpoints=True))
    assert _request(edited.body) == _request(body)
    assert edited.losses == ()


@needs_recordings
@each_of(ANSWERED)
def test_a_request_is_forwarded_as_it_is(recording: Recording) -> None:
    envelope = parse_envelope(_stateless(recording))
    edited = edit(envelope, model=envelope.model, profile=Profile(), output_limit=None)
    expected = json.loads(_stateless(recording))
    expected["store"] = False
    if envelope.effort not in (None, "none"):
        included = expected.setdefault("include", [])
        if "reasoning.encrypted_content" not in included:
            included.append("reasoning.encrypted_content")
    assert json.loads(edited.body) == expected
    assert edited.losses == ()


@needs_recordings
@each_of(ANSWERED)
def test_what_asks_for_something_to_be_kept_is_refused(recording: Recording) -> None:
    told = json.loads(bytes(recording.request))
    asked = [name for name in KEPT if told.get(name)]
    if not asked:
        parse_envelope(bytes(recording.request))
        return
    with pytest.raises(WireError) as refused:
        parse_envelope(bytes(recording.request))
    assert refused.value.param in asked
    assert refused.value.error_code == "unsupported_parameter"


@needs_recordings
@each_of(ANSWERED)
def test_the_extent_and_the_text_of_a_request_can_be_told(recording: Recording) -> None:
    envelope = parse_envelope(_stateless(recording))
    assert FORMAT.measure(envelope).bytes > 0
    assert FORMAT.prompt_text(envelope)


class _Reported(Struct):
    input_tokens: int
    output_tokens: int
    input_tokens_details: dict[str, int | None] | None = None
    output_tokens_details: dict[str, int | None] | None = None


class _Item(Struct):
    type: str = ""
    action: dict[str, object] | None = None


class _Answer(Struct):
    usage: _Reported | None = None
    output: list[_Item] = []


def _reported(body: bytes) -> Usage | None:
    answer = msgspec.json.decode(body, type=_Answer)
    told = answer.usage
    if told is None:
        return None
    web = [item for item in answer.output if item.type == "web_search_call"]
    inside, outside = told.input_tokens_details or {}, told.output_tokens_details or {}
    return Usage(
        input=told.input_tokens,
        cache_read=inside.get("cached_tokens") or 0,
        cache_write=inside.get("cache_write_tokens") or 0,
        output=told.output_tokens,
        reasoning=outside.get("reasoning_tokens") or 0,
        web_searches=sum(item.action is None or item.action["type"] == "search" for item in web),
        storage_searches=sum(item.type == "file_search_call" for item in answer.output),
    )


def _asked(recording: Recording) -> Asked:
    envelope = parse_envelope(_stateless(recording))
    return Asked(envelope=envelope, request=parse_request(envelope), id="1", created=1)


def _answer(value: Json, reference: Json = None) -> Json:
    told = _normal(value)
    assert isinstance(told, dict)
    if isinstance(told.get("usage"), dict):
        del told["usage"]
    for item in told["output"] if isinstance(told["output"], list) else []:
        if isinstance(item, dict) and item.get("encrypted_content"):
            item["encrypted_content"] = "sealed anew"
    for name in ("error", "incomplete_details"):
        if not told.get(name):
            told.pop(name, None)
    if isinstance(reference, dict):
        told = {name: inside for name, inside in told.items() if name in _normal(reference)}
    return told


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_has_its_usage_to_the_token_and_renders_equal(recording: Recording) -> None:
    answer = json.loads(recording.body)
    response = parse_response(recording.body)
    assert response.usage == _reported(recording.body)
    rendered = json.loads(render_response(response, _asked(recording)))
    if recording.name in REWORDED:
        answer["status"] = "completed"
    assert _answer(rendered, answer) == _answer(answer)


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_metered(recording: Recording) -> None:
    whole = read_whole(recording.body)
    assert isinstance(whole, ResponsesWhole)
    assert whole.usage == _reported(recording.body)
    assert whole.model
    assert whole.output_text()


def _events(stream: bytes) -> list[Event]:
    parser, splitter = StreamParser(), Splitter()
    events: list[Event] = []
    for block in [*splitter.feed(stream), splitter.rest()]:
        said = fields(block)
        if said is not None:
            events += parser.feed(said)
    return [*events, *parser.end()]


def _final(stream: bytes) -> dict[str, Json]:
    for block in Splitter().feed(stream + b"\n\n"):
        said = fields(block)
        if said is None or said.data == b"[DONE]":
            continue
        told = json.loads(said.data)
        if told.get("type") in ("response.completed", "response.incomplete"):
            return told["response"]
    raise AssertionError


@needs_recordings
@each_of(STREAMED)
def test_a_stream_tells_the_same_as_its_whole_answer(recording: Recording) -> None:
    final = _final(recording.body)
    whole = parse_response(json.dumps(final).encode())
    if recording.name not in INTERLEAVED:
        assert _dumped(fold(_events(recording.body))) == _dumped(whole)
    assert _texts(fold(_events(recording.body))) == _texts(whole)
    assert whole.usage == _reported(json.dumps(final).encode())


def _dumped(response: Response) -> object:
    """Return an answer in a form that compares by what it says, not by its bytes."""
    parts = [
        msgspec.structs.replace(part, seal=None) if isinstance(part, Reasoning) else part  # sealed anew in each event
        for part in response.candidates[0].parts
    ]
    candidate = msgspec.structs.replace(response.candidates[0], parts=tuple(parts))
    told = msgspec.structs.replace(response, candidates=(candidate,))
    return msgspec.to_builtins(told, enc_hook=_decoded, builtin_types=(bytes,)), [type(part) for part in parts]


def _decoded(value: object) -> object:
    return msgspec.json.decode(value) if isinstance(value, Raw) else str(value)


@needs_recordings
@each_of(STREAMED)
def test_deltas_alone_tell_the_texts(recording: Recording) -> None:
    events = _events(recording.body)
    bare = [msgspec.structs.replace(event, final=None) if hasattr(event, "final") else event for event in events]
    texts = [_texts(fold(told)) for told in (bare, events)]
    assert texts[0] == texts[1]


def _texts(response: Response) -> list[object]:
    parts = response.candidates[0].parts
    return [(getattr(part, "text", None), getattr(part, "arguments", None)) for part in parts]


@needs_recordings
@each_of(STREAMED)
def test_a_stream_can_be_written_again(recording: Recording) -> None:
    asked = _asked(recording)
    renderer = StreamRenderer(asked)
    events = _events(recording.body)
    stream = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    again = fold(_events(stream))
    if recording.name not in INTERLEAVED:
        assert _answer(_final(stream), _final(recording.body)) == _answer(_final(recording.body))
    assert _texts(again) == _texts(fold(events))
    assert again.usage == fold(events).usage


@needs_recordings
@each_of(STREAMED)
def test_a_stream_is_forwarded_byte_for_byte_and_metered(recording: Recording) -> None:
    random = Random(recording.name)
    tap, parsed = ResponsesTap(), fold(_events(recording.body))
    out, at = b"", 0
    while at < len(recording.body):
        size = random.randint(1, 400)
        out += tap.feed(recording.body[at : at + size])
        at += size
    rest, complete = tap.end()
    assert out + rest == recording.body
    assert complete
    assert tap.error is None
    assert tap.usage == parsed.usage
    assert tap.model == parsed.model
    assert tap.service_tier == parsed.service_tier
    assert tap.first_content
    assert tap.output_text()


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_is_passed_on_or_the_operators(recording: Recording) -> None:
    told = parse_error(recording.status, {}, recording.body, "openai")
    if recording.status == 401:
        assert isinstance(told, UpstreamAuth)
        return
    assert isinstance(told, Passed)
    assert told.message
