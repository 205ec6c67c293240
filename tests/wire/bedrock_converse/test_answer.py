"""Answers of Converse and ConverseStream: one point each."""

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.wire.bedrock_converse.framed import event, exception, frame, text

from komeet.canonical.event import ArgumentsDelta, Event, Fail, Finish, PartStart, Start, TextDelta
from komeet.canonical.fold import fold
from komeet.canonical.part import Image, Inline, Opaque, Part, Reasoning, Seal, ServerTool, Text, ToolCall
from komeet.canonical.response import Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import (
    CutMidStream,
    Garbled,
    KomeetError,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
)
from komeet.wire import sse
from komeet.wire.bedrock_converse.format import FORMAT
from komeet.wire.bedrock_converse.usage import parse_usage
from komeet.wire.format import Passed

USAGE: Final = {"inputTokens": 433, "cacheReadInputTokens": 2752, "outputTokens": 16, "totalTokens": 3201}
START: Final = event("messageStart", role="assistant")
STOP: Final = event("messageStop", stopReason="end_turn") + event("metadata", usage=USAGE, metrics={"latencyMs": 5})


def _delta(at: int, **delta: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=at, delta=delta)


def _begin(at: int, **start: Any) -> bytes:
    return event("contentBlockStart", contentBlockIndex=at, start=start)


def _end(at: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=at)


def _events(stream: bytes) -> list[Event]:
    framing, parser = FORMAT.framing(), FORMAT.stream_parser()
    return [event for said in framing.feed(stream) for event in parser.feed(said)] + list(parser.end())


def _streamed(*frames: bytes, stop: bytes = STOP) -> Response:
    return fold(_events(START + b"".join(frames) + stop))


def _whole(*content: Any, **members: Any) -> Response:
    message = {"role": "assistant", "content": list(content)}
    answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 5}}
    return FORMAT.parse_response(json.dumps({**answer, **members}).encode())


def _parts(response: Response) -> tuple[Part, ...]:
    return response.candidates[0].parts


def test_usage_leaves_out_what_the_cache_had_and_the_total_does_not() -> None:
    response = _whole({"text": "Hi"})
    assert response.usage == Usage(input=3185, cache_read=2752, output=16)
    assert _streamed(_delta(0, text="Hi"), _end(0)) == response


def test_what_is_kept_for_an_hour_is_told_apart() -> None:
    details = [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}]
    usage = {"inputTokens": 5, "outputTokens": 1, "cacheWriteInputTokens": 40, "cacheDetails": details}
    assert parse_usage(json.dumps(usage).encode()) == Usage(input=45, cache_write=40, cache_write_1h=30, output=1)


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"[]",
        b'{"inputTokens":-1,"outputTokens":1}',
        b'{"inputTokens":1,"outputTokens":99999999999999}',
        b'{"inputTokens":0,"outputTokens":0}',
        b'{"inputTokens":3}',
        b'{"inputTokens":"x","outputTokens":1}',
        b"{",
    ],
)
def test_numbers_that_cannot_be_are_not_believed(raw: bytes) -> None:
    assert parse_usage(raw) is None


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("end_turn", StopReason.STOP),
        ("stop_sequence", StopReason.STOP),
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.LENGTH),
        ("tool_use", StopReason.TOOL_CALLS),
        ("guardrail_intervened", StopReason.CONTENT_FILTER),
        ("content_filtered", StopReason.CONTENT_FILTER),
        ("malformed_tool_use", StopReason.OTHER),
    ],
)
def test_why_an_answer_ended(word: str, stop: StopReason) -> None:
    (candidate,) = _whole({"text": "Hi"}, stopReason=word).candidates
    assert (candidate.stop, candidate.native_stop) == (stop, word)


def test_a_text_begins_with_its_first_delta_and_an_empty_one_is_no_part() -> None:
    events = _events(START + _delta(0, text="") + _end(0) + _delta(1, text="a") + _delta(1, text="b") + _end(1) + STOP)
    assert events[:4] == [
        Start(),
        PartStart(candidate=0, index=0, part=Text()),
        TextDelta(candidate=0, index=0, text="a"),
        TextDelta(candidate=0, index=0, text="b"),
    ]
    assert _parts(fold(events)) == _parts(_whole({"text": ""}, {"text": "ab"}))


def test_usage_comes_after_the_reason_why_it_ended() -> None:
    events = _events(START + STOP)
    assert isinstance(events[1], Finish)
    assert fold(events).usage is not None


def test_a_call_without_arguments_has_an_empty_object() -> None:
    start = {"toolUseId": "t", "name": "f"}
    streamed = _streamed(_begin(0, toolUse=start), _delta(0, toolUse={"input": ""}), _end(0))
    assert _parts(streamed) == (ToolCall(id="t", name="f", arguments=b"{}"),)
    assert streamed == _whole({"toolUse": {**start, "input": {}}})


def test_arguments_come_in_pieces_and_are_not_read() -> None:
    start = _begin(0, toolUse={"toolUseId": "t", "name": "f"})
    events = _events(START + start + _delta(0, toolUse={"input": '{"a":'}) + _delta(0, toolUse={"input": "1"}) + STOP)
    assert [event.data for event in events if isinstance(event, ArgumentsDelta)] == [b'{"a":', b"1"]
    assert _parts(fold(events)) == (ToolCall(id="t", name="f", arguments=b'{"a":1'),)


def test_calls_of_the_callers_tools_may_say_their_type() -> None:
    response = _whole({"toolUse": {"toolUseId": "t", "name": "f", "type": "tool_use", "input": {"a": 1}}})
    assert _parts(response) == (ToolCall(id="t", name="f", arguments=b'{"a": 1}'),)


def test_reasoning_is_sealed_by_a_signature_that_may_come_in_pieces() -> None:
    streamed = _streamed(
        _delta(0, reasoningContent={"text": "Hm."}),
        _delta(0, reasoningContent={"signature": "ab"}),
        _delta(0, reasoningContent={"signature": "cd"}),
        _end(0),
    )
    seal = Seal(origin="bedrock_converse", name="signature", value=Raw(b'"abcd"'))
    assert _parts(streamed) == (Reasoning(text="Hm.", seal=seal),)
    assert streamed == _whole({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "abcd"}}})


def test_reasoning_that_is_not_shown_has_a_signature_only() -> None:
    streamed = _streamed(_delta(0, reasoningContent={"text": "", "signature": "ab"}), _end(0))
    assert streamed == _whole({"reasoningContent": {"reasoningText": {"text": "", "signature": "ab"}}})
    assert len(_parts(streamed)) == 1


def test_redacted_reasoning_is_a_seal_whose_pieces_are_bytes() -> None:
    pieces = [_delta(0, reasoningContent={"redactedContent": data}) for data in ("YQ==", "YmM=")]
    assert _streamed(*pieces, _end(0)) == _whole({"reasoningContent": {"redactedContent": "YWJj"}})
    with pytest.raises(Garbled):
        _streamed(*pieces, _delta(0, reasoningContent={"redactedContent": "?"}), _end(0))


def test_reasoning_without_a_seal() -> None:
    streamed = _streamed(_delta(0, reasoningContent={"text": "Hm."}), _end(0), _delta(1, text="Hi"), _end(1))
    assert streamed == _whole({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, {"text": "Hi"})


def test_sources_of_a_text() -> None:
    source = {"title": "T", "sourceContent": [{"text": "q"}], "location": {"web": {"url": "https://example.com"}}}
    streamed = _streamed(_delta(0, text="It is."), _delta(0, citation=source), _end(0))
    (part,) = _parts(streamed)
    assert isinstance(part, Text)
    (citation,) = part.citations
    assert (citation.url, citation.title, citation.quote) == ("https://example.com", "T", "q")
    assert streamed == _whole({"citationsContent": {"content": [{"text": "It is."}], "citations": [source]}})


def test_what_a_tool_of_the_provider_did_is_kept_whole() -> None:
    call = {"name": "nova_code_interpreter", "toolUseId": "t", "type": "server_tool_use"}
    result = {"status": "success", "toolUseId": "t", "type": "nova_code_interpreter_result"}
    streamed = _streamed(
        _begin(0, toolUse=call),
        _delta(0, toolUse={"input": '{"snippet":'}),
        _delta(0, toolUse={"input": ' "1"}'}),
        _end(0),
        _begin(1, toolResult=result),
        _delta(1, toolResult=[{"json": {"exitCode": 0}}]),
        _end(1),
    )
    whole = _whole(
        {"toolUse": {**call, "input": {"snippet": "1"}}},
        {"toolResult": {**result, "content": [{"json": {"exitCode": 0}}]}},
    )
    assert [(part.kind, part.id) for part in _parts(whole) if isinstance(part, ServerTool)] == [
        ("server_tool_use", "t"),
        ("nova_code_interpreter_result", "t"),
    ]
    values = [
        [json.loads(bytes(part.value)) for part in _parts(response) if isinstance(part, ServerTool)]
        for response in (streamed, whole)
    ]
    assert values[0] == values[1]


def test_pictures_and_what_is_not_known_are_told_when_they_are_complete() -> None:
    streamed = _streamed(
        _begin(0, image={"format": "png"}),
        _delta(0, image={"source": {"bytes": "AAAA"}}),
        _end(0),
        _delta(1, hologram={"depth": 3}),
        _end(1),
    )
    picture = Image(source=Inline("image/png", "AAAA"))
    unknown = Opaque(origin="bedrock_converse", value=Raw(b'{"hologram":{"depth":3}}'))
    assert _parts(streamed) == (picture, unknown)
    whole = _whole({"image": {"format": "png", "source": {"bytes": "AAAA"}}}, {"hologram": {"depth": 3}})
    assert _parts(whole)[0] == picture
    assert isinstance(_parts(whole)[1], Opaque)


def test_the_service_tier_that_it_was_served_in() -> None:
    metadata = event("metadata", usage=USAGE, serviceTier={"type": "flex"})
    streamed = _streamed(_delta(0, text="Hi"), stop=event("messageStop", stopReason="end_turn") + metadata)
    assert streamed.service_tier == "flex"
    assert _whole({"text": "Hi"}, serviceTier={"type": "flex"}).service_tier == "flex"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttlingException", UpstreamLimited),
        ("serviceUnavailableException", UpstreamBusy),
        ("modelNotReadyException", UpstreamBusy),
        ("modelTimeoutException", UpstreamTimedOut),
        ("internalServerException", UpstreamRefused),
        ("modelStreamErrorException", UpstreamRefused),
        ("validationException", UpstreamRefused),
        ("accessDeniedException", UpstreamAuth),
        ("someOtherException", UpstreamRefused),
    ],
)
def test_an_exception_in_a_stream_ends_it_in_an_error_and_never_in_a_reason(
    kind: str, error: type[UpstreamError]
) -> None:
    events = _events(START + _delta(0, text="Hi") + exception(kind, "Oh.") + _delta(0, text="more") + STOP)
    assert isinstance(events[-1], Fail)
    assert type(events[-1].error) is error
    assert ("Oh." in events[-1].error.message) is (error is not UpstreamAuth)
    assert not any(isinstance(event, Finish) for event in events)


def test_an_error_frame_ends_a_stream_too() -> None:
    headers = text(":message-type", "error") + text(":error-code", "ThrottlingException") + text(":error-message", "x")
    events = _events(START + frame(headers, b""))
    assert isinstance(events[-1], Fail)
    assert isinstance(events[-1].error, UpstreamLimited)


def test_a_stream_that_ends_too_early_fails() -> None:
    (*_, last) = _events(START + _delta(0, text="Hi"))
    assert isinstance(last, Fail)
    assert isinstance(last.error, CutMidStream)


def test_a_stream_without_usage_is_complete_all_the_same() -> None:
    response = fold(_events(START + _delta(0, text="Hi") + event("messageStop", stopReason="end_turn")))
    assert response.usage is None
    assert response.candidates[0].stop is StopReason.STOP


def test_events_that_are_not_known_are_skipped() -> None:
    assert _streamed(event("hologram", depth=3), _delta(0, text="Hi")) == _streamed(_delta(0, text="Hi"))


def test_a_delta_of_a_call_that_never_began_is_garbled() -> None:
    with pytest.raises(Garbled):
        _streamed(_delta(0, toolUse={"input": "{}"}))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"output":{"message":{}}}', b"<html>", b'{"output":' * 9000, b'"\xff"'],
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        FORMAT.parse_response(body)


def test_an_error_in_the_place_of_an_answer_is_raised() -> None:
    with pytest.raises(UpstreamRefused, match="too long"):
        FORMAT.parse_response(b'{"message":"Input is too long"}')
    with pytest.raises(UpstreamLimited):
        FORMAT.parse_response(b'{"__type":"com.amazon#ThrottlingException","Message":"Slow"}')


@given(st.binary(max_size=60))
def test_garbage_is_garbled_and_nothing_else(body: bytes) -> None:
    for attempt in (body, b'{"output":{"message":{"content":[' + body + b"]}}}"):
        with suppress(UpstreamError):
            FORMAT.parse_response(attempt)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop"]
            ),
            st.sampled_from(["text", "toolUse", "toolResult", "reasoningContent", "citation", "image", "hologram"]),
            st.sampled_from(["x", 1, None, [], {}, {"input": "{"}, {"text": "a"}, {"toolUseId": "t", "name": "n"}]),
            st.integers(0, 2),
        ),
        max_size=12,
    )
)
def test_events_in_any_order_tell_an_answer_or_are_garbled(said: list[tuple[str, str, Any, int]]) -> None:
    parser = FORMAT.stream_parser()
    events: list[Event] = []
    try:
        for kind, inner, value, at in said:
            members = {"contentBlockIndex": at, "start": {inner: value}, "delta": {inner: value}, "stopReason": "x"}
            events += parser.feed(sse.Event(kind.encode(), json.dumps(members).encode()))
        fold([event for event in (*events, *parser.end()) if not isinstance(event, Fail)])
    except Garbled:
        pass


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[1]", b'{"contentBlockIndex":"x"}', b'{"contentBlockIndex":' + b"[" * 9000]
)
def test_an_event_that_is_no_object_is_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        FORMAT.stream_parser().feed(sse.Event(b"contentBlockStop", data))


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (403, "AccessDeniedException", UpstreamAuth),
        (403, "UnrecognizedClientException", UpstreamAuth),
        (403, "ExpiredTokenException", UpstreamAuth),
        (403, "InvalidSignatureException", UpstreamAuth),
        (401, "", UpstreamAuth),
        (429, "ThrottlingException", UpstreamLimited),
        (400, "ServiceQuotaExceededException", UpstreamLimited),
        (429, "ModelNotReadyException", UpstreamBusy),
        (503, "ServiceUnavailableException", UpstreamBusy),
        (408, "ModelTimeoutException", UpstreamTimedOut),
        (424, "ModelErrorException", UpstreamRefused),
        (500, "InternalServerException", UpstreamRefused),
    ],
)
def test_whose_fault_a_refusal_is(status: int, name: str, error: type[KomeetError]) -> None:
    headers = {b"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/".encode()} if name else {}
    meaning = FORMAT.parse_error(status, headers, b'{"message":"Oh."}', "bedrock")
    assert type(meaning) is error
    if isinstance(meaning, UpstreamRefused):
        assert meaning.upstream_status == status


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [
        (400, {b"x-amzn-errortype": b"ValidationException"}, b'{"message":"No such model"}', "ValidationException"),
        (404, {}, b'{"__type":"x#ResourceNotFoundException","Message":"No such model"}', "ResourceNotFoundException"),
    ],
)
def test_what_is_about_the_request_is_passed_on(
    status: int, headers: dict[bytes, bytes], body: bytes, code: str
) -> None:
    meaning = FORMAT.parse_error(status, headers, body, "bedrock")
    assert isinstance(meaning, Passed)
    assert (meaning.status, meaning.message, meaning.code) == (status, "No such model", code)
    assert meaning.body == body


@pytest.mark.parametrize("status", [302, 424, 503])
def test_what_is_about_the_request_has_a_status_that_says_so(status: int) -> None:
    headers = {b"x-amzn-errortype": b"ValidationException"}
    meaning = FORMAT.parse_error(status, headers, b'{"message":"No such model"}', "bedrock")
    assert isinstance(meaning, Passed)
    assert meaning.status == (status if 400 <= status < 500 else 400)
