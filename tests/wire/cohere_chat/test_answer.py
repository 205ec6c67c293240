"""What Cohere answers."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.cohere_chat.said import USAGE, block, call, end, events, plan, start, stream

from komeet.canonical.event import Fail, Finish
from komeet.canonical.fold import fold
from komeet.canonical.part import Reasoning, Text, ToolCall
from komeet.canonical.response import StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import (
    CutMidStream,
    Garbled,
    UpstreamAuth,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
)
from komeet.wire import sse
from komeet.wire.cohere_chat.format import FORMAT
from komeet.wire.cohere_chat.parse_response import parse_response
from komeet.wire.cohere_chat.stream import StreamParser
from komeet.wire.cohere_chat.usage import parse_usage
from komeet.wire.format import Passed

CITED = {
    "start": 0,
    "end": 5,
    "text": "Paris",
    "sources": [
        {"type": "document", "id": "d", "document": {"url": "https://e.org", "title": "E", "snippet": "It is."}}
    ],
    "content_index": 1,
}


def whole(reason: str = "COMPLETE", **message: Any) -> bytes:
    return json.dumps(
        {"id": "c-1", "finish_reason": reason, "message": {"role": "assistant", **message}, "usage": USAGE}
    ).encode()


def test_texts_and_thinking_are_parts_in_their_order() -> None:
    said = parse_response(whole(content=[{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hi"}]))
    assert said.candidates[0].parts == (Reasoning(text="Hm."), Text(text="Hi"))
    assert (said.id, said.candidates[0].stop, said.candidates[0].native_stop) == ("c-1", StopReason.STOP, "COMPLETE")


def test_what_a_model_plans_is_reasoning_before_its_calls() -> None:
    asked = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    parts = parse_response(whole("TOOL_CALL", tool_plan="I will.", tool_calls=asked)).candidates[0].parts
    assert parts == (Reasoning(text="I will.", field="tool_plan"), ToolCall(id="a", name="f", arguments=b"{}"))


def test_what_is_charged_is_the_usage() -> None:
    assert parse_usage(json.dumps({**USAGE, "cached_tokens": 64}).encode()) == Usage(input=7, output=2)


def test_the_cache_is_told_where_all_tokens_are() -> None:
    told = {"tokens": {"input_tokens": 70, "output_tokens": 4}, "cached_tokens": 64}
    assert parse_usage(json.dumps(told).encode()) == Usage(input=70, output=4, cache_read=64)


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"{}",
        b'{"tokens":{"input_tokens":-1,"output_tokens":1}}',
        b'{"tokens":{"input_tokens":1e99,"output_tokens":1}}',
        b'{"billed_units":{"input_tokens":1.5,"output_tokens":1}}',
        b"[",
        b'{"tokens":{"input_tokens":0,"output_tokens":0}}',
    ],
)
def test_usage_that_cannot_be_believed_is_none(raw: bytes) -> None:
    assert parse_usage(raw) is None


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("COMPLETE", StopReason.STOP),
        ("STOP_SEQUENCE", StopReason.STOP),
        ("MAX_TOKENS", StopReason.LENGTH),
        ("TOOL_CALL", StopReason.TOOL_CALLS),
        ("ERROR_TOXIC", StopReason.CONTENT_FILTER),
        ("NEW", StopReason.OTHER),
    ],
)
def test_finish_reasons(word: str, stop: StopReason) -> None:
    assert parse_response(whole(word, content="Hi")).candidates[0].stop is stop
    assert fold(events(stream(start(), *block(0, "text", "Hi"), end(word)))).candidates[0].stop is stop


def test_an_answer_that_broke_off_is_an_error_with_the_providers_words() -> None:
    with pytest.raises(UpstreamRefused):
        parse_response(whole("ERROR", content="Hi"))
    with pytest.raises(UpstreamTimedOut):
        parse_response(whole("TIMEOUT", content="Hi"))
    last = events(stream(start(), *block(0, "text", "Hi"), end("ERROR", error="no room")))[-1]
    assert isinstance(last, Fail)
    assert "no room" in last.error.message


def test_a_citation_is_one_of_the_text_that_it_stands_in() -> None:
    content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Paris it is"}]
    text = parse_response(whole(content=content, citations=[CITED])).candidates[0].parts[1]
    assert isinstance(text, Text)
    cited = text.citations[0]
    assert (cited.url, cited.title, cited.quote, cited.start, cited.end) == ("https://e.org", "E", "It is.", 0, 5)


def test_a_stream_tells_what_a_whole_answer_says() -> None:
    citation = {"type": "citation-start", "index": 0, "delta": {"message": {"citations": CITED}}}
    said = stream(
        start(),
        *block(0, "thinking", "H", "m."),
        *block(1, "text", "Paris", " it is"),
        citation,
        {"type": "citation-end", "index": 0},
        end(),
    )
    content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Paris it is"}]
    assert fold(events(said)) == parse_response(whole(content=content, citations=[CITED]))


def test_a_stream_of_calls_tells_what_a_whole_answer_says() -> None:
    said = stream(start(), *plan("I ", "will."), *call(0, "f", '{"a":', "1}"), *call(1, "g"), end("TOOL_CALL"))
    calls = [
        {"id": f"{name}_1", "type": "function", "function": {"name": name, "arguments": text}}
        for name, text in (("f", '{"a":1}'), ("g", ""))
    ]
    assert fold(events(said)) == parse_response(whole("TOOL_CALL", tool_plan="I will.", tool_calls=calls))


def test_texts_that_follow_each_other_stay_apart() -> None:
    parts = fold(events(stream(start(), *block(0, "text", "a"), *block(1, "text", "b"), end()))).candidates[0].parts
    assert parts == (Text(text="a"), Text(text="b"))


def test_probabilities_of_a_stream_are_kept_as_those_of_a_whole_answer() -> None:
    item = {"text": "a", "token_ids": [1], "logprobs": [-0.5]}
    deltas = block(0, "text", "a", "b")
    told = [{**each, "logprobs": item} if each["type"] == "content-delta" else each for each in deltas]
    streamed = fold(events(stream(start(), *told, end())))
    body = json.loads(whole(content=[{"type": "text", "text": "ab"}]))
    assert json.loads(bytes(streamed.extras["cohere_chat"]["logprobs"])) == [item, item]
    kept = parse_response(json.dumps({**body, "logprobs": [item, item]}).encode())
    assert json.loads(bytes(kept.extras["cohere_chat"]["logprobs"])) == [item, item]


def test_events_of_an_unknown_type_are_skipped() -> None:
    said = stream(start(), {"type": "debug", "prompt": "x"}, *block(0, "text", "Hi"), end())
    assert fold(events(said)).candidates[0].parts == (Text(text="Hi"),)


def test_a_stream_that_ends_too_early_is_no_answer() -> None:
    with pytest.raises(CutMidStream):
        fold(events(stream(start(), *block(0, "text", "Hi"))))


def test_an_error_within_a_stream_ends_it() -> None:
    last = events(stream(start(), *block(0, "text", "Hi")) + b'data: {"message": "too many", "id": "e"}\n\n')[-1]
    assert isinstance(last, Fail)
    assert "too many" in last.error.message


def test_an_error_with_a_success_status_is_an_error() -> None:
    with pytest.raises(UpstreamRefused, match="no model"):
        parse_response(b'{"id": "e", "message": "no model"}')


def test_refusals_are_told_apart() -> None:
    bad = FORMAT.parse_error(400, {}, b'{"id":"e","message":"invalid request: message too long"}', "Cohere")
    assert isinstance(bad, Passed)
    assert "too long" in bad.message
    assert isinstance(FORMAT.parse_error(401, {}, b'{"message":"invalid api token"}', "Cohere"), UpstreamAuth)
    assert isinstance(FORMAT.parse_error(429, {}, b'{"message":"trial key"}', "Cohere"), UpstreamLimited)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"message": {}, "finish_reason": ""}x',
        b'{"message": {"content": 3}}',
        b'{"message": {"tool_calls": [{"id": 3}]}}',
        b'{"id": "c"}',
    ],
)
def test_garbage_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_response(body)


LONG = stream(
    start(),
    *plan("Ich ü"),
    *block(0, "thinking", "é"),
    *block(1, "text", "日本", "語"),
    *call(0, "f", '{"ü":', "1}"),
    end("TOOL_CALL"),
)


@given(st.integers(1, 80))
def test_any_split_of_a_stream_tells_the_same(size: int) -> None:
    assert events(LONG, size) == events(LONG)
    assert isinstance(events(LONG)[-1], Finish)


@given(st.binary(max_size=200))
def test_a_body_of_garbage_raises_nothing_else(body: bytes) -> None:
    with suppress(UpstreamError):
        parse_response(body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "content",
                    "text",
                    "thinking",
                    "tool_calls",
                    "function",
                    "arguments",
                    "tool_plan",
                    "citations",
                    "usage",
                    "type",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_types = st.sampled_from(
    [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "citation-start",
        "message-end",
        "x",
    ]
)


@given(st.lists(st.tuples(_types, _values), max_size=5))
def test_a_stream_of_garbage_raises_garbled_only(said: list[tuple[str, Any]]) -> None:
    parser = StreamParser()
    try:
        for kind, delta in said:
            parser.feed(sse.Event(event=None, data=json.dumps({"type": kind, "delta": delta}).encode()))
    except Garbled:
        return
    parser.end()
