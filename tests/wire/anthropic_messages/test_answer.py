"""Answers, whole and streamed, both ways, and errors: one point each."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.fold import fold
from komeet.canonical.part import (
    Audio,
    Citation,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    ServerTool,
    Text,
    ToolCall,
    Url,
)
from komeet.canonical.request import Request
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.core.errors import (
    AuthError,
    BodyTooLarge,
    BudgetExceeded,
    ClientError,
    CutMidStream,
    Garbled,
    KomeetError,
    LimitExceeded,
    ModelNotFound,
    NotAllowed,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
    WireError,
)
from komeet.wire.anthropic_messages.format import FORMAT
from komeet.wire.anthropic_messages.members import ORIGIN
from komeet.wire.format import Asked, Envelope, Passed
from komeet.wire.seal import is_wrapped, unwrap
from komeet.wire.sse import Event as SseEvent
from komeet.wire.sse import Splitter, fields

FOREIGN = Seal(origin="openai_responses", name="encrypted_content", value=Raw(b'"enc"'))
ASKED = Asked(
    envelope=Envelope(fields={}, size=0, model="asked", include_usage=True),
    request=Request(model="asked", turns=()),
    id="1",
    created=1,
)


def _message(*content: Any, **more: Any) -> bytes:
    told = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    return json.dumps({**told, **more}).encode()


def _frame(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}   \n\n".encode()


def _started(**usage: Any) -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": usage,
    }
    return _frame("message_start", message=message)


def _block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    return (
        _frame("content_block_start", index=index, content_block=start)
        + b"".join([_frame("content_block_delta", index=index, delta=delta) for delta in deltas])
        + _frame("content_block_stop", index=index)
    )


def _ended(reason: str | None = "end_turn", usage: dict[str, Any] | None = None, **more: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None, **more}
    return _frame("message_delta", delta=delta, usage=usage or {"output_tokens": 5}) + _frame("message_stop")


TEXT = _block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"})
STREAM = (
    _started(input_tokens=3, output_tokens=1)
    + _frame("ping")
    + _block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "H"},
        {"type": "thinking_delta", "thinking": "m."},
        {"type": "signature_delta", "signature": "sig"},
    )
    + _frame("meteor", shower=True)
    + _block(
        1,
        {"type": "text", "text": "", "citations": []},
        {"type": "text_delta", "text": "Hé"},
        {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "x"}},
        {"type": "aurora_delta", "glow": 1},
    )
    + _block(
        2,
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "input_json_delta", "partial_json": "1}"},
    )
    + _block(
        3,
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"q":"x"}'},
    )
    + _ended("tool_use")
)


def _events(stream: bytes) -> list[Event]:
    parser, splitter = FORMAT.stream_parser(), Splitter()
    blocks = [*splitter.feed(stream), splitter.rest()]
    said = [event for block in blocks if (event := fields(block)) is not None]
    return [event for one in said for event in parser.feed(one)] + list(parser.end())


def _written(*events: Event) -> list[dict[str, Any]]:
    renderer = FORMAT.stream_renderer(ASKED)
    out = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    said = [fields(block) for block in Splitter().feed(out)]
    told = [json.loads(event.data) for event in said if event]
    assert [event.event for event in said if event] == [each["type"].encode() for each in told]
    return told


def _rendered(*parts: Part, stop: StopReason = StopReason.STOP, **more: Any) -> dict[str, Any]:
    candidate = Candidate(parts=parts, stop=stop, **more)
    return json.loads(FORMAT.render_response(Response(candidates=(candidate,)), ASKED))


# what is read


def test_a_stream_says_what_the_whole_answer_says() -> None:
    whole = FORMAT.parse_response(
        _message(
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            {"type": "text", "text": "Hé", "citations": [{"type": "char_location", "cited_text": "x"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"q": "x"}},
            stop_reason="tool_use",
            usage={"input_tokens": 3, "output_tokens": 5},
        )
    )
    streamed = fold(_events(STREAM))
    assert FORMAT.render_response(streamed, ASKED).replace(b" ", b"") == FORMAT.render_response(whole, ASKED).replace(
        b" ", b""
    )
    assert streamed.usage == whole.usage == Usage(input=3, output=5)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    parser, splitter = FORMAT.stream_parser(), Splitter()
    tap = FORMAT.tap(include_usage=True)
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    blocks = [block for piece in pieces for block in splitter.feed(piece)]
    events = [event for block in blocks if (said := fields(block)) for event in parser.feed(said)]
    assert [*events, *parser.end()] == _events(STREAM)
    assert b"".join([tap.feed(piece) for piece in pieces]) + tap.end()[0] == STREAM
    assert tap.usage == Usage(input=3, output=5)


def test_trap_11_the_last_number_counts_and_nothing_is_added_up() -> None:
    late = {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 7}
    for first, last, usage in (
        ({"input_tokens": 0, "output_tokens": 0}, late, Usage(input=16, cache_read=4, cache_write=2, output=7)),
        ({"input_tokens": 9, "output_tokens": 1}, {"output_tokens": 7}, Usage(input=9, output=7)),
        (
            {"input_tokens": 9, "output_tokens": 1},
            {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 7},
            Usage(input=9, output=7),
        ),
    ):
        stream = _started(**first) + TEXT + _ended(usage=last)
        assert fold(_events(stream)).usage == usage
        tap = FORMAT.tap(include_usage=True)
        assert tap.feed(stream) == stream
        assert tap.end() == (b"", True)
        assert tap.usage == usage


def test_usage_has_the_hour_and_the_thinking() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "cache_read_input_tokens": None,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    parsed = FORMAT.parse_response(_message(usage=usage)).usage
    assert parsed == Usage(input=6, cache_write=5, cache_write_1h=3, output=9, reasoning=4)


def test_usage_has_the_searches_that_ran_at_the_provider() -> None:
    usage = {"input_tokens": 1, "output_tokens": 9, "server_tool_use": {"web_search_requests": 2}}
    assert FORMAT.parse_response(_message(usage=usage)).usage == Usage(input=1, output=9, web_searches=2)
    stream = _started(usage={"input_tokens": 1, "output_tokens": 1}) + TEXT + _ended(usage=usage)
    assert fold(_events(stream)).usage == Usage(input=1, output=9, web_searches=2)


@pytest.mark.parametrize(
    "usage", [{"input_tokens": -1, "output_tokens": 2}, {"input_tokens": 0, "output_tokens": 0}, 3]
)
def test_usage_that_cannot_be_is_not_believed(usage: object) -> None:
    assert FORMAT.parse_response(_message(usage=usage)).usage is None


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("end_turn", StopReason.STOP),
        ("stop_sequence", StopReason.STOP),
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.LENGTH),
        ("tool_use", StopReason.TOOL_CALLS),
        ("pause_turn", StopReason.PAUSED),
        ("refusal", StopReason.REFUSED),
        ("eclipse", StopReason.OTHER),
    ],
)
def test_trap_10_reasons_to_stop(word: str, stop: StopReason) -> None:
    candidate = FORMAT.parse_response(_message(stop_reason=word, stop_sequence="END")).candidates[0]
    assert (candidate.stop, candidate.native_stop, candidate.stop_sequence) == (stop, word, "END")
    assert fold(_events(_started() + TEXT + _ended(word))).candidates[0].stop is stop


def test_trap_14_a_call_without_arguments_has_an_empty_object() -> None:
    start: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    for deltas in ((), ({"type": "input_json_delta", "partial_json": ""},)):
        (part,) = fold(_events(_started() + _block(0, start, *deltas) + _ended())).candidates[0].parts
        assert part == ToolCall(id="toolu_1", name="f", arguments=b"{}")


def test_a_call_may_begin_with_all_its_arguments() -> None:
    start: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    (part,) = fold(_events(_started() + _block(0, start) + _ended())).candidates[0].parts
    assert isinstance(part, ToolCall)
    assert json.loads(part.arguments) == {"a": 1}


def test_a_block_of_an_unknown_type_is_put_together() -> None:
    start = {"type": "compaction", "content": None}
    deltas = [{"type": "compaction_delta", "content": text} for text in ("So ", "far.")]
    (part,) = fold(_events(_started() + _block(0, start, *deltas) + _ended())).candidates[0].parts
    assert isinstance(part, Opaque)
    assert json.loads(bytes(part.value)) == {"type": "compaction", "content": "So far."}


def test_a_stream_without_its_last_event_is_complete_once_it_said_why_it_ended() -> None:
    whole = _started() + TEXT + _ended()
    for stream, complete in ((whole[: -len(_frame("message_stop"))], True), (_started() + TEXT, False)):
        assert isinstance(_events(stream)[-1], Finish if complete else Fail)
        tap = FORMAT.tap(include_usage=True)
        tap.feed(stream)
        assert tap.end()[1] is complete


def test_a_stream_that_is_cut_fails() -> None:
    last = _events(STREAM[: STREAM.index(b"event: message_delta")])[-1]
    assert isinstance(last, Fail)
    assert isinstance(last.error, CutMidStream)


@given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b'{"type":"content_block_delta","index":"x"}']))
def test_trap_16_what_is_no_answer_is_garbled(data: bytes) -> None:
    for body in (data, b'{"content":' + data + b"}"):
        with suppress(UpstreamError):
            FORMAT.parse_response(body)
    frames = [data, b'{"type":"content_block_start","content_block":' + data + b"}"]
    for frame in frames:
        with suppress(Garbled):
            FORMAT.stream_parser().feed(SseEvent(None, frame))


def test_a_whole_answer_is_metered() -> None:
    whole = FORMAT.read_whole(_message({"type": "text", "text": "Hi"}, {"type": "tool_use", "name": "f", "input": {}}))
    assert not isinstance(whole, UpstreamError)
    assert (whole.usage, whole.model, whole.output_text()) == (Usage(input=3, output=2), "m", "Hif{}")
    with pytest.raises(Garbled):
        FORMAT.read_whole(b"<html>")
    with pytest.raises(Garbled):
        FORMAT.read_whole(b'{"choices":[]}')


# what is written


def test_an_answer_of_another_format_is_a_message() -> None:
    usage = Usage(input=10, cache_read=3, cache_write=2, cache_write_1h=1, output=7, reasoning=4)
    response = Response(
        id="chatcmpl-1", candidates=(Candidate(parts=(Text(text="Hi"),), stop=StopReason.STOP),), usage=usage
    )
    assert json.loads(FORMAT.render_response(response, ASKED)) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "asked",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 1},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }


@pytest.mark.parametrize(
    ("stop", "sequence", "word"),
    [
        (StopReason.STOP, None, "end_turn"),
        (StopReason.STOP, "END", "stop_sequence"),
        (StopReason.LENGTH, None, "max_tokens"),
        (StopReason.TOOL_CALLS, None, "tool_use"),
        (StopReason.CONTENT_FILTER, None, "refusal"),
        (StopReason.REFUSED, None, "refusal"),
        (StopReason.PAUSED, None, "pause_turn"),
        (StopReason.OTHER, None, "end_turn"),
    ],
)
def test_trap_10_why_it_ended(stop: StopReason, sequence: str | None, word: str) -> None:
    told = _rendered(Text(text="Hi"), stop=stop, stop_sequence=sequence)
    assert (told["stop_reason"], told["stop_sequence"]) == (word, sequence)
    (delta,) = [
        each["delta"]
        for each in _written(Start(), Finish(candidate=0, stop=stop, stop_sequence=sequence))
        if each["type"] == "message_delta"
    ]
    assert (delta["stop_reason"], delta["stop_sequence"]) == (word, sequence)


def test_a_plain_stop_with_calls_asks_for_tools() -> None:
    assert _rendered(ToolCall(id="c", name="f", arguments=b"{}"))["stop_reason"] == "tool_use"


def test_trap_6_a_seal_of_another_format_travels_wrapped() -> None:
    (told,) = _rendered(Reasoning(text="Hm.", seal=FOREIGN))["content"]
    assert told["thinking"] == "Hm."
    assert is_wrapped(told["signature"])
    assert unwrap(told["signature"]) == FOREIGN
    (plain,) = _rendered(Reasoning(text="Hm."))["content"]
    assert unwrap(plain["signature"]) is None
    assert is_wrapped(plain["signature"])


def test_trap_6_a_seal_without_words_is_a_thought_without_words() -> None:
    told = _written(
        Start(),
        PartStart(candidate=0, index=0, part=Reasoning()),
        SealDelta(candidate=0, index=0, seal=FOREIGN),
        PartEnd(candidate=0, index=0),
    )
    assert [each["type"] for each in told[1:4]] == ["content_block_start", "content_block_delta", "content_block_stop"]
    assert unwrap(told[2]["delta"]["signature"]) == FOREIGN


def test_what_says_nothing_is_left_out() -> None:
    nothing = (Text(), Refusal(), Reasoning(), Image(source=Url("x")), Opaque(origin="openai_chat", value=Raw(b"{}")))
    tool = ServerTool(origin="openai_responses", kind="w", value=Raw(b"{}"))
    assert _rendered(*nothing, tool)["content"] == []
    response = Response(candidates=(Candidate(parts=(*nothing, tool, Text(text="Hi")), stop=StopReason.STOP),))
    told = [each for each in _written(*unfold(response)) if "block" in each["type"]]
    assert [(each["type"], each["index"]) for each in told] == [
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
    ]


def test_other_parts_are_text() -> None:
    sound = Audio(source=Inline("audio/wav", ""), transcript="La")
    cited = Text(text="T", citations=(Citation(origin="openai_responses", value=Raw(b"{}"), url="https://x"),))
    assert _rendered(Refusal(text="No."), sound, cited)["content"] == [
        {"type": "text", "text": "No."},
        {"type": "text", "text": "La"},
        {"type": "text", "text": "T"},
    ]


@pytest.mark.parametrize(
    ("arguments", "said"), [(b"", {}), (b'{"a":1}', {"a": 1}), (b"{oops", {"_raw": "{oops"}), (b"3", {"_raw": "3"})]
)
def test_trap_4_arguments_that_are_no_object_are_still_json(arguments: bytes, said: object) -> None:
    (told,) = _rendered(ToolCall(name="f", arguments=arguments))["content"]
    assert told == {"type": "tool_use", "id": "toolu_1_0", "name": "f", "input": said}


def test_a_stream_begins_with_the_usage_that_is_known() -> None:
    told = _written(*_events(_started(input_tokens=3, output_tokens=1) + TEXT + _ended()))
    assert told[0]["message"]["usage"]["input_tokens"] == 3
    assert (told[-2]["usage"]["input_tokens"], told[-2]["usage"]["output_tokens"]) == (3, 5)


def test_usage_that_comes_last_is_in_the_last_event() -> None:
    told = _written(
        Start(id="x"), Finish(candidate=0, stop=StopReason.STOP), UsageEvent(usage=Usage(input=4, output=2))
    )
    assert [each["type"] for each in told] == ["message_start", "message_delta", "message_stop"]
    assert told[0]["message"]["id"] == "msg_1"
    assert told[1]["usage"]["input_tokens"] == 4


def test_calls_that_interleave_are_written_one_after_the_other() -> None:
    told = _written(
        Start(),
        PartStart(candidate=0, index=0, part=ToolCall(id="a", name="f")),
        PartStart(candidate=0, index=1, part=ToolCall(id="b", name="g")),
        ArgumentsDelta(candidate=0, index=1, data=b'{"b":'),
        ArgumentsDelta(candidate=0, index=0, data=b'{"a":1}'),
        ArgumentsDelta(candidate=0, index=1, data=b"2}"),
        PartEnd(candidate=0, index=0),
        PartEnd(candidate=0, index=1),
        Finish(candidate=0, stop=StopReason.TOOL_CALLS),
    )
    blocks = [(each["type"].removeprefix("content_block_"), each["index"]) for each in told if "index" in each]
    assert blocks == [
        ("start", 0),
        ("delta", 0),
        ("stop", 0),
        ("start", 1),
        ("delta", 1),
        ("delta", 1),
        ("stop", 1),
    ]


def test_what_providers_ran_is_streamed_as_anthropic_streams_it() -> None:
    value = Raw(b'{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":"x"}}')
    part = ServerTool(origin=ORIGIN, kind="server_tool_use", id="s", name="web_search", value=value)
    told = _written(Start(), PartStart(candidate=0, index=0, part=part), PartEnd(candidate=0, index=0))
    assert told[1]["content_block"]["input"] == {}
    assert told[2]["delta"] == {"type": "input_json_delta", "partial_json": '{"q":"x"}'}


def test_sources_are_streamed() -> None:
    citation = Citation(origin=ORIGIN, value=Raw(b'{"type":"char_location"}'))
    told = _written(
        Start(),
        PartStart(candidate=0, index=0, part=Text()),
        TextDelta(candidate=0, index=0, text="Hi"),
        CitationDelta(candidate=0, index=0, citation=citation),
        PartEnd(candidate=0, index=0),
    )
    assert told[3]["delta"] == {"type": "citations_delta", "citation": {"type": "char_location"}}


def test_nothing_follows_a_failure() -> None:
    told = _written(Start(), Fail(error=CutMidStream("It broke off.")))
    assert told[-1]["type"] == "error"
    assert not any(each["type"] == "message_stop" for each in told)


# errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WireError("m"), "invalid_request_error"),
        (AuthError("m"), "authentication_error"),
        (BudgetExceeded("m", room=0), "billing_error"),
        (NotAllowed("m"), "permission_error"),
        (ModelNotFound("m"), "not_found_error"),
        (BodyTooLarge("m"), "request_too_large"),
        (LimitExceeded("m", retry_after=1.2), "rate_limit_error"),
        (UpstreamAuth("m", upstream_status=401), "api_error"),
        (UpstreamBusy("m", upstream_status=529), "overloaded_error"),
        (UpstreamTimedOut("m", phase="total"), "timeout_error"),
    ],
)
def test_our_errors_have_anthropics_shape(error: KomeetError, kind: str) -> None:
    status, headers, body = FORMAT.render_error(error)
    assert status == error.http_status
    assert json.loads(body) == {"type": "error", "error": {"type": kind, "message": "m"}}
    assert dict(headers).get(b"retry-after") == (b"2" if isinstance(error, LimitExceeded) else None)


def test_the_path_of_a_mistake_is_in_the_message_once() -> None:
    for error, message in (
        (WireError("Not a number.", param="top_p"), "top_p: Not a number."),
        (WireError("top_p: Not a number", param="top_p"), "top_p: Not a number"),
        (ClientError("Bad."), "Bad."),
    ):
        assert json.loads(FORMAT.render_error(error)[2])["error"]["message"] == message


def _refusal(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, _refusal("authentication_error", "invalid x-api-key")),
        (403, _refusal("permission_error", "no")),
        (400, _refusal("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),
    ],
)
def test_the_operators_account_is_not_the_callers_fault(status: int, body: bytes) -> None:
    meaning = FORMAT.parse_error(status, {}, body, "anthropic")
    assert isinstance(meaning, UpstreamAuth)
    assert "credit" not in meaning.message


def test_a_refusal_is_passed_on() -> None:
    body = _refusal("invalid_request_error", "messages.0: no")
    meaning = FORMAT.parse_error(400, {}, body, "anthropic")
    assert isinstance(meaning, Passed)
    assert (meaning.body, meaning.message) == (body, "messages.0: no")
    strange = FORMAT.parse_error(422, {}, b"what?", "anthropic")
    assert isinstance(strange, Passed)
    assert json.loads(strange.body)["error"]["type"] == "invalid_request_error"
    assert json.loads(FORMAT.render_refusal(Passed(status=404, body=b"", message="No model.", param="model"))) == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "model: No model."},
    }


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("overloaded_error", UpstreamBusy),
        ("rate_limit_error", UpstreamLimited),
        ("timeout_error", UpstreamTimedOut),
        ("api_error", UpstreamRefused),
        ("authentication_error", UpstreamAuth),
    ],
)
def test_trap_16_an_error_in_a_stream_ends_it(kind: str, meant: type[UpstreamError]) -> None:
    frame = _frame("error", error={"type": kind, "message": "Oh."})
    stream = _started(input_tokens=3, output_tokens=1) + TEXT + frame
    last = _events(stream)[-1]
    assert isinstance(last, Fail)
    assert type(last.error) is meant
    tap = FORMAT.tap(include_usage=True)
    out = tap.feed(stream)
    assert type(tap.error) is meant
    assert tap.end() == (b"", False)
    assert tap.usage is None
    assert (out == stream) is (meant is not UpstreamAuth)
    assert b"event: error" in out


def test_a_page_is_no_stream() -> None:
    with pytest.raises(Garbled):
        FORMAT.tap(include_usage=True).feed(b"<html>")
    assert not FORMAT.names_stream_options(b"stream_options")
