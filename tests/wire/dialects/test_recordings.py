"""Real traffic of providers that depart from the formats they speak (KOMEET_RECORDINGS; skipped without it)."""

import json
from collections import Counter
from typing import Any, Final

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter
from tests.wire.dialects.rows import COUNTS, FAILED, OWN_TIERS, UNREPORTED, UNTYPED, Counts, format_of, row_of
from tests.wire.openai_chat.normal import counts, same_request
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event, Fail
from komeet.canonical.fold import fold
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import KomeetError
from komeet.providers.registry import Row
from komeet.providers.registry import load as load_rows
from komeet.wire.cohere_chat.format import FORMAT as COHERE_CHAT
from komeet.wire.format import Passed, Target
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.sse import Splitter, fields
from komeet.wire.way import Way

ROWS: Final = load_rows()
TARGETS: Final[dict[str, Target]] = {**BOTH_ROLES, COHERE_CHAT.name: COHERE_CHAT}
ALL: Final = load(lambda each: bool(row_of(each)))
ANSWERED: Final = tuple([each for each in ALL if each.status == 200])
ASKED: Final = tuple([each for each in ANSWERED if bytes(each.request) != b"null"])
WHOLE: Final = tuple([each for each in ANSWERED if not each.streamed])
STREAMED: Final = tuple([each for each in ANSWERED if each.streamed])
REFUSED: Final = tuple([each for each in ALL if each.status != 200])
CHAT: Final = tuple([each for each in ASKED if format_of(each) == "openai_chat"])
SPOKEN: Final = tuple([each for each in ASKED if format_of(each) in BOTH_ROLES])

_whole = TypeAdapter(ChatCompletion)
_chunk = TypeAdapter(ChatCompletionChunk)


def row(recording: Recording) -> Row:
    return ROWS[row_of(recording)]


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    every = [Counter(map(row_of, part)) for part in (ASKED, WHOLE, STREAMED, REFUSED)]
    assert {name: Counts(*[part[name] for part in every]) for name in {*map(row_of, ALL)}} == COUNTS
    assert {*FAILED, *UNREPORTED, *UNTYPED} <= {each.name for each in ALL}
    assert set(OWN_TIERS) <= set(COUNTS)


@needs_recordings
@each_of(ANSWERED)
def test_the_row_has_the_format_that_was_spoken(recording: Recording) -> None:
    # Google's endpoint for OpenAI's format is there for who names it: the row asks in Google's own.
    elsewhere = ("openai_chat",) if row_of(recording) == "google" else ()
    assert format_of(recording) in (*row(recording).formats, *elsewhere)


@needs_recordings
@each_of(CHAT)
def test_a_recorded_request_is_sent_the_same_in_the_providers_dialect(recording: Recording) -> None:
    wire, body = BOTH_ROLES["openai_chat"], bytes(recording.request)
    request = wire.parse_request(wire.parse_envelope(body, {}))
    profile = Profile(dialect=row(recording).dialect)
    asked = bool(request.include_usage)
    sent = wire.render_request(request, profile, ask_usage=asked)
    assert sent.losses == ()
    assert same_request(sent.body) == same_request(body)
    way = Way(wire, wire, wire.parse_envelope(body, {}), id="1", created=1)
    edited = way.request(model=request.model, profile=profile, output_limit=None, ask_usage=asked)
    assert json.loads(edited.body) == json.loads(body)


@needs_recordings
@each_of(SPOKEN)
def test_a_recorded_request_is_read_and_written_and_means_the_same(recording: Recording) -> None:
    wire = BOTH_ROLES[format_of(recording)]
    request = wire.parse_request(wire.parse_envelope(bytes(recording.request), {}))
    sent = wire.render_request(request, Profile(), ask_usage=bool(request.include_usage))
    again = wire.parse_request(wire.parse_envelope(sent.body, {}))
    assert _told(sent.losses) == []
    assert again.tools == request.tools
    assert [turn.role for turn in again.turns if turn.parts] == [turn.role for turn in request.turns if turn.parts] or (
        len(again.turns) < len(request.turns)
    )


def _told(losses: Any) -> list[str]:
    return [loss.path for loss in losses]


def _reported(recording: Recording, told: Any) -> tuple[int, int]:
    """Input and output in the provider's own numbers."""
    match format_of(recording):
        case "cohere_chat":
            return told["billed_units"]["input_tokens"], told["billed_units"]["output_tokens"]
        case "openai_responses":
            return told["input_tokens"], told["output_tokens"]
        case _:
            return counts(told)[:2]


def _check(recording: Recording, usage: Usage | None, told: Any) -> None:
    if recording.name in UNREPORTED:
        assert usage is None
    else:
        assert usage is not None
        assert (usage.input, usage.output) == _reported(recording, told)


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_read_with_its_usage(recording: Recording) -> None:
    wire = TARGETS[format_of(recording)]
    said = wire.parse_response(recording.body)
    _check(recording, said.usage, json.loads(recording.body).get("usage"))
    assert all(candidate.parts and candidate.stop for candidate in said.candidates)
    if wire.passing is not None:
        whole = wire.passing.read_whole(recording.body)
        assert not isinstance(whole, KomeetError)
        assert whole.usage == said.usage


def _events(recording: Recording, size: int) -> list[Event]:
    wire, body = TARGETS[format_of(recording)], recording.body
    framing, parser = wire.framing(), wire.stream_parser()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    said = [each for piece in pieces for each in framing.feed(piece)] + framing.rest()
    return [event for each in said for event in parser.feed(each)] + list(parser.end())


def _data(stream: bytes) -> list[Any]:
    """What the events of a stream say."""
    splitter = Splitter()
    said = [event for block in [*splitter.feed(stream), splitter.rest()] if (event := fields(block)) is not None]
    return [json.loads(event.data) for event in said if event.data != b"[DONE]"]


@needs_recordings
@each_of(STREAMED)
def test_a_stream_is_read_with_its_usage(recording: Recording) -> None:
    events = _events(recording, 97)
    if recording.name in FAILED:
        assert isinstance(events[-1], Fail)
        return
    assert events == _events(recording, 1 << 20)
    said = fold(events)
    told = [each.get("response", each).get("usage") for each in _data(recording.body)]
    complete = [usage for usage in told if usage and None not in usage.values()]
    _check(recording, said.usage, complete[-1])
    assert all(candidate.parts and candidate.stop for candidate in said.candidates)
    passing = TARGETS[format_of(recording)].passing
    assert passing is not None
    tap = passing.tap(include_usage=True)
    tap.feed(recording.body)
    assert tap.end()[1]
    assert tap.usage == said.usage


def _answered(recording: Recording) -> bytes:
    """What a caller of the same format gets to see."""
    wire = BOTH_ROLES["openai_chat"]
    body = json.loads(bytes(recording.request))
    if recording.streamed:
        body["stream_options"] = {"include_usage": True}
    translated = wire.name in row(recording).dialect.translated
    envelope = wire.parse_envelope(json.dumps(body).encode(), {})
    way = Way(wire, wire, envelope, id="1", created=1, pass_through=not translated)
    if recording.streamed:
        tap = way.tap()
        out = tap.feed(recording.body)
        return out + tap.end()[0]
    whole = way.whole(recording.body, streamed=False)
    assert not isinstance(whole, KomeetError)
    return whole.render(whole.usage)


def _typed(recording: Recording, value: Any) -> Any:
    if row_of(recording) in OWN_TIERS:
        value.pop("service_tier", None)
    return value


@needs_recordings
@each_of(CHAT)
def test_what_a_caller_of_chat_gets_has_the_types_of_its_client_library(recording: Recording) -> None:
    if recording.name in {*FAILED, *UNTYPED}:
        return
    answer = _answered(recording)
    if recording.streamed:
        chunks = [_chunk.validate_python(_typed(recording, chunk)) for chunk in _data(answer)]
        assert any(chunk.usage for chunk in chunks)
    else:
        said = _whole.validate_python(_typed(recording, json.loads(answer)))
        assert said.choices[0].message.content or said.choices[0].message.tool_calls


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_is_passed_on_as_it_was_said(recording: Recording) -> None:
    meaning = TARGETS[format_of(recording)].parse_error(recording.status, {}, recording.body, "the provider")
    assert isinstance(meaning, Passed)
    assert meaning.body == recording.body
