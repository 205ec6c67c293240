"""Answers, whole and streamed, both ways: one point each."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    Event,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    Start,
    TextDelta,
)
from komeet.canonical.fold import fold
from komeet.canonical.part import Opaque, Part, Reasoning, Refusal, Seal, ServerTool, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import (
    CutMidStream,
    Garbled,
    ModelNotFound,
    UpstreamAuth,
    UpstreamError,
    UpstreamRefused,
    WireError,
)
from komeet.wire.format import Asked, Passed
from komeet.wire.openai_responses import FORMAT
from komeet.wire.openai_responses.envelope import parse_envelope
from komeet.wire.openai_responses.members import ORIGIN
from komeet.wire.openai_responses.parse_request import parse_request
from komeet.wire.openai_responses.parse_response import parse_response
from komeet.wire.openai_responses.render_response import render_response
from komeet.wire.openai_responses.render_stream import StreamRenderer
from komeet.wire.openai_responses.stream import StreamParser
from komeet.wire.openai_responses.tap import ResponsesTap
from komeet.wire.openai_responses.whole import read_whole
from komeet.wire.seal import is_wrapped, unwrap
from komeet.wire.sse import Splitter, fields

FOREIGN = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"'))
TEXT_ITEM: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
}
CALL_ITEM: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
REASONING_ITEM: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    "encrypted_content": "gAAA",
}
SEARCH_ITEM: dict[str, Any] = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}


def _body(*items: dict[str, Any], **members: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    told = {"id": "resp_1", "object": "response", "created_at": 7, "model": "m-1", "status": "completed"}
    return {**told, "usage": usage, "output": list(items), **members}


def _parse(*items: dict[str, Any], **members: Any) -> Response:
    return parse_response(json.dumps(_body(*items, **members)).encode())


def _sse(*events: dict[str, Any]) -> bytes:
    return b"".join([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events])


def _events(stream: bytes, size: int = 0) -> list[Event]:
    parser, splitter = StreamParser(), Splitter()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [stream]
    events: list[Event] = []
    for block in [*[block for piece in pieces for block in splitter.feed(piece)], splitter.rest()]:
        said = fields(block)
        if said is not None:
            events += parser.feed(said)
    return [*events, *parser.end()]


def _asked(**members: Any) -> Asked:
    envelope = parse_envelope(json.dumps({"model": "m", "input": "Hi", **members}).encode())
    return Asked(envelope=envelope, request=parse_request(envelope), id="abc", created=7)


def _written(*parts: Part, stop: StopReason = StopReason.STOP, **members: Any) -> dict[str, Any]:
    response = Response(candidates=(Candidate(parts=parts, stop=stop),))
    return json.loads(render_response(response, _asked(**members)))


def _streamed(events: list[Event]) -> list[dict[str, Any]]:
    renderer = StreamRenderer(_asked())
    stream = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    said = [fields(block) for block in Splitter().feed(stream)]
    return [json.loads(each.data) for each in said if each is not None]


def _deltas() -> bytes:
    where = {"output_index": 1, "item_id": "msg_1", "content_index": 0}
    begun: dict[str, Any] = {**TEXT_ITEM, "content": [], "status": "in_progress"}
    started: dict[str, Any] = {**REASONING_ITEM, "summary": [], "encrypted_content": None}
    return _sse(
        {"type": "response.created", "response": _body(status="in_progress", usage=None)},
        {"type": "response.output_item.added", "output_index": 0, "item": started},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0, "part": {}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "b"},
        {"type": "response.output_item.done", "output_index": 0, "item": REASONING_ITEM},
        {"type": "response.output_item.added", "output_index": 1, "item": begun},
        {"type": "response.content_part.added", **where, "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", **where, "delta": "Hel"},
        {"type": "response.output_text.delta", **where, "delta": "lo"},
        {"type": "response.content_part.done", **where, "part": TEXT_ITEM["content"][0]},
        {"type": "response.output_item.done", "output_index": 1, "item": TEXT_ITEM},
        {"type": "response.web_search_call.in_progress", "output_index": 2, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 2, "item": SEARCH_ITEM},
        {"type": "response.output_item.added", "output_index": 3, "item": {**CALL_ITEM, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc_1", "delta": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 3, "item": CALL_ITEM},
        {"type": "response.completed", "response": _body(*ITEMS)},
    )


ITEMS = (REASONING_ITEM, TEXT_ITEM, SEARCH_ITEM, CALL_ITEM)


def test_what_an_answer_says() -> None:
    response = _parse(*ITEMS, service_tier="flex")
    reasoning, text, search, call = response.candidates[0].parts
    assert isinstance(reasoning, Reasoning)
    assert reasoning.text == "a\n\nb"
    assert reasoning.seal == Seal(origin=ORIGIN, name="encrypted_content", value=Raw(b'"gAAA"'))
    assert isinstance(text, Text)
    assert isinstance(search, ServerTool)
    assert isinstance(call, ToolCall)
    assert call.arguments == b'{"a":1}'
    assert response.usage == Usage(input=3, output=2, web_searches=1)
    assert response.service_tier == "flex"


@pytest.mark.parametrize(
    ("items", "members", "stop", "native"),
    [
        ((TEXT_ITEM,), {}, StopReason.STOP, "completed"),
        ((TEXT_ITEM, CALL_ITEM), {}, StopReason.TOOL_CALLS, "completed"),
        (
            (),
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            StopReason.LENGTH,
            "max_output_tokens",
        ),
        (
            (),
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            StopReason.CONTENT_FILTER,
            "content_filter",
        ),
        ((), {"status": "incomplete", "incomplete_details": {"reason": "steered"}}, StopReason.OTHER, "steered"),
        (({**TEXT_ITEM, "content": [{"type": "refusal", "refusal": "No"}]},), {}, StopReason.REFUSED, "completed"),
        ((), {"status": "queued"}, StopReason.OTHER, "queued"),
    ],
)
def test_trap_10_why_an_answer_ended(items: Any, members: dict[str, Any], stop: StopReason, native: str) -> None:
    candidate = _parse(*items, **members).candidates[0]
    assert (candidate.stop, candidate.native_stop) == (stop, native)
    kind = "response.incomplete" if members.get("status") == "incomplete" else "response.completed"
    streamed = fold(_events(_sse({"type": kind, "response": _body(*items, **members)}))).candidates[0]
    assert (streamed.stop, streamed.native_stop) == (stop, native)


def test_a_stream_tells_the_same_as_the_whole_answer() -> None:
    assert _normal(fold(_events(_deltas()))) == _normal(_parse(*ITEMS))


def _normal(response: Response) -> Any:
    return json.loads(render_response(response, _asked()))


@given(st.integers(1, 60))
def test_any_split_of_a_stream_tells_the_same(size: int) -> None:
    assert _events(_deltas(), size) == _events(_deltas())


def test_a_stream_without_deltas_tells_the_same() -> None:
    done = [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(ITEMS)]
    last = {"type": "response.completed", "response": _body(*ITEMS)}
    assert _normal(fold(_events(_sse(*done, last)))) == _normal(fold(_events(_deltas())))
    assert _normal(fold(_events(_sse(last)))) == _normal(fold(_events(_deltas())))
    assert [event.text for event in _events(_sse(last)) if isinstance(event, TextDelta)] == ["a\n\nb", "Hello"]


def test_calls_may_be_written_at_the_same_time() -> None:
    second = {**CALL_ITEM, "id": "fc_2", "call_id": "call_2", "arguments": "[]"}
    stream = _sse(
        {"type": "response.output_item.added", "output_index": 0, "item": {**CALL_ITEM, "arguments": ""}},
        {"type": "response.output_item.added", "output_index": 1, "item": {**second, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "[]"},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 1, "item": second},
        {"type": "response.output_item.done", "output_index": 0, "item": CALL_ITEM},
        {"type": "response.completed", "response": _body(CALL_ITEM, second)},
    )
    told = [event.data for event in _events(stream) if isinstance(event, ArgumentsDelta)]
    assert told == [b"[]", b'{"a":1}']
    calls = fold(_events(stream)).candidates[0].parts
    assert [call.id for call in calls if isinstance(call, ToolCall)] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "server_error", "message": "x", "param": None}, UpstreamRefused),
        ({"type": "error", "error": {"code": "invalid_api_key", "message": "x"}}, UpstreamAuth),
        (
            {"type": "response.failed", "response": _body(status="failed", error={"code": "x", "message": "y"})},
            UpstreamRefused,
        ),
        ({"type": "response.failed", "response": {}}, UpstreamRefused),
    ],
)
def test_trap_16_an_error_in_a_stream_ends_it(event: dict[str, Any], kind: type[UpstreamError]) -> None:
    last = _events(_sse(event))[-1]
    assert isinstance(last, Fail)
    assert isinstance(last.error, kind)
    tap = ResponsesTap()
    tap.feed(_sse(event))
    assert isinstance(tap.error, kind)
    assert tap.end()[1] is False


def test_a_stream_that_is_cut_is_not_complete() -> None:
    cut = _deltas().rpartition(b"event: ")[0]
    last = _events(cut)[-1]
    assert isinstance(last, Fail)
    assert isinstance(last.error, CutMidStream)
    tap = ResponsesTap()
    assert tap.feed(cut) == cut
    assert tap.end() == (b"", False)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"output":5}', b'{"output":[{"type":"message","content":5}]}']
)
def test_what_is_no_response_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_response(body)


def test_an_answer_that_failed_is_an_error() -> None:
    body = json.dumps(_body(status="failed", error={"code": "server_error", "message": "x"})).encode()
    with pytest.raises(UpstreamError, match="x"):
        parse_response(body)
    assert isinstance(read_whole(body), UpstreamError)


def test_the_answer_of_another_format_has_all_that_a_response_has() -> None:
    told = _written(Text(text="Hello"), ToolCall(name="f"), temperature=0.5, store=False)
    assert told["id"] == "resp_abc"
    assert told["status"] == "completed"
    assert (told["temperature"], told["top_p"], told["store"], told["error"]) == (0.5, 1.0, False, None)
    assert told["text"] == {"format": {"type": "text"}}
    assert [item["id"] for item in told["output"]] == ["msg_abc_0", "fc_abc_1"]
    assert told["output"][1]["call_id"] == "call_abc_1"
    assert told["output"][1]["arguments"] == "{}"


def test_what_a_provider_of_this_format_says_counts() -> None:
    told = _normal(_parse(TEXT_ITEM, temperature=0.2, service_tier="auto", billing={"payer": "x"}))
    assert (told["temperature"], told["service_tier"], told["billing"]) == (0.2, "auto", {"payer": "x"})
    assert told["output"] == [TEXT_ITEM]


def test_trap_6_the_seal_of_another_format_travels_wrapped() -> None:
    told = _written(Reasoning(text="Hm", seal=FOREIGN), Reasoning(text="bare"))["output"]
    assert told[0]["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert unwrap(told[0]["encrypted_content"]) == FOREIGN
    assert is_wrapped(told[1]["encrypted_content"])
    assert unwrap(told[1]["encrypted_content"]) is None


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        (StopReason.LENGTH, "incomplete", "max_output_tokens"),
        (StopReason.CONTENT_FILTER, "incomplete", "content_filter"),
        (StopReason.REFUSED, "incomplete", "content_filter"),
        (StopReason.PAUSED, "completed", None),
    ],
)
def test_trap_10_how_an_answer_of_another_format_ended(stop: StopReason, status: str, reason: str | None) -> None:
    told = _written(Text(text="x"), stop=stop)
    assert told["status"] == status
    assert told["incomplete_details"] == (None if reason is None else {"reason": reason})


def test_a_refusal_in_words_is_a_complete_answer() -> None:
    assert _written(Refusal(text="No"), stop=StopReason.REFUSED)["status"] == "completed"


def test_what_has_no_place_is_left_out() -> None:
    parts = (Opaque(origin="x", value=Raw(b"{}")), ServerTool(origin="x", kind="k", value=Raw(b"{}")))
    assert _written(*parts)["output"] == []


def test_the_order_of_a_text_in_a_stream() -> None:
    events: list[Event] = [
        Start(),
        PartStart(candidate=0, index=0, part=Text()),
        TextDelta(candidate=0, index=0, text="x"),
        PartEnd(candidate=0, index=0),
        Finish(candidate=0, stop=StopReason.STOP),
    ]
    assert [event["type"].removeprefix("response.") for event in _streamed(events)] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_calls_at_the_same_time_have_a_place_each() -> None:
    events: list[Event] = [
        PartStart(candidate=0, index=0, part=ToolCall(id="a", name="f")),
        PartStart(candidate=0, index=1, part=ToolCall(id="b", name="f")),
        ArgumentsDelta(candidate=0, index=1, data=b"[1]"),
        ArgumentsDelta(candidate=0, index=0, data=b"[0]"),
        PartEnd(candidate=0, index=0),
        PartEnd(candidate=0, index=1),
        Finish(candidate=0, stop=StopReason.TOOL_CALLS),
    ]
    told = _streamed(events)
    deltas = [(event["output_index"], event["delta"]) for event in told if event["type"].endswith("arguments.delta")]
    assert deltas == [(1, "[1]"), (0, "[0]")]
    assert [item["arguments"] for item in told[-1]["response"]["output"]] == ["[0]", "[1]"]


def test_nothing_follows_an_error() -> None:
    told = _streamed([Start(), Fail(error=CutMidStream("x"))])
    assert [event["type"] for event in told] == ["response.created", "response.in_progress", "error"]
    assert told[-1] == {"type": "error", "code": "upstream_cut", "message": "x", "param": None, "sequence_number": 2}


def test_a_model_that_is_not_known_is_a_bad_request_here() -> None:
    status, _, body = FORMAT.render_error(ModelNotFound("m"))
    assert status == 400
    assert json.loads(body)["error"]["param"] == "model"
    assert FORMAT.render_error(WireError("m"))[0] == 400


def test_the_refusal_of_a_provider_of_another_format() -> None:
    passed = Passed(status=400, body=b"{}", message="Too long.", code="too_long", param="input")
    assert json.loads(FORMAT.render_refusal(passed))["error"] == {
        "message": "Too long.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "too_long",
    }


def test_an_error_about_the_operators_key_is_said_in_our_words() -> None:
    tap = ResponsesTap()
    out = tap.feed(_sse({"type": "error", "code": "invalid_api_key", "message": "sk-secret", "param": None}))
    assert b"sk-secret" not in out
    assert out.startswith(b"event: error\n")


NAMES = ["type", "item", "delta", "output_index", "content_index", "response", "output", "part", "error", "id", "text"]
KINDS = [
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.done",
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "response.reasoning_text.delta",
    "response.created",
    "response.completed",
    "response.failed",
    "error",
    "message",
    "function_call",
    "reasoning",
]
JSON = st.recursive(
    st.none() | st.integers(-2, 3) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=10,
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSON)), max_size=5))
def test_any_stream_is_read_or_garbled(told: list[tuple[str, dict[str, Any]]]) -> None:
    try:
        events = _events(_sse(*[{**members, "type": kind} for kind, members in told]))
    except Garbled:
        return
    renderer = StreamRenderer(_asked())
    for event in events:
        renderer.feed(event)


@given(
    st.binary(max_size=30) | st.dictionaries(st.sampled_from(NAMES), JSON).map(lambda told: json.dumps(told).encode())
)
def test_any_body_is_read_or_an_upstream_error(body: bytes) -> None:
    try:
        response = parse_response(body)
    except UpstreamError:
        return
    render_response(response, _asked())
