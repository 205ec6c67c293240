"""Answers through the neutral model, whole and streamed: the same answer either way."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, Struct
from tests.wire.openai_chat.asked import streamed, whole

from komeet.canonical.event import Event, Fail, Finish, PartEnd, PartStart, Start, TextDelta, UsageEvent
from komeet.canonical.fold import fold
from komeet.canonical.part import Audio, Image, Inline, Part, Reasoning, Refusal, Seal, Text, ToolCall, Url
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import CutMidStream, Garbled, UpstreamError
from komeet.wire.openai_chat.parse_response import parse_response
from komeet.wire.openai_chat.stream import StreamParser
from komeet.wire.sse import Event as Said
from komeet.wire.sse import Splitter, fields


def _said(data: bytes) -> Said:
    return Said(None, data)


def _stream(*chunks: object) -> list[Event]:
    parser = StreamParser()
    events = [event for chunk in chunks for event in parser.feed(_said(json.dumps(chunk).encode()))]
    return [*events, *parser.feed(_said(b"[DONE]")), *parser.end()]


def _deltas(*deltas: object, finish: str | None = "stop") -> list[Event]:
    chunks: list[object] = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return _stream(*chunks, _end(finish))


def _end(finish: str | None, **members: object) -> object:
    delta: dict[str, object] = {}
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}], **members}


def _parts(*deltas: object) -> tuple[Part, ...]:
    return fold(_deltas(*deltas)).candidates[0].parts


def _call(index: int | None, *, call_id: str | None = None, name: str | None = None, args: str | None = None) -> object:
    call: dict[str, object] = {"function": {"name": name, "arguments": args}}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call.update(id=call_id, type="function")
    return call


F1 = ToolCall(id="1", name="f", arguments=b'{"a":1}')
G2 = ToolCall(id="2", name="g", arguments=b"{}")


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        # OpenAI: the name first, then the arguments by and by
        ([[_call(0, call_id="1", name="f", args="")], [_call(0, args='{"a"')], [_call(0, args=":1}")]], (F1,)),
        # everything at once; two calls in a chunk
        ([[_call(0, call_id="1", name="f", args='{"a":1}'), _call(1, call_id="2", name="g", args="{}")]], (F1, G2)),
        # interleaved
        (
            [
                [_call(0, call_id="1", name="f", args="")],
                [_call(1, call_id="2", name="g", args="{")],
                [_call(0, args='{"a":1}')],
                [_call(1, args="}")],
            ],
            (F1, G2),
        ),
        # Mistral: empty names later
        ([[_call(0, call_id="1", name="f", args='{"a"')], [_call(0, call_id="1", name="", args=":1}")]], (F1,)),
        # Google: no index
        (
            [[_call(None, call_id="1", name="f", args='{"a":1}')], [_call(None, call_id="2", name="g", args="{}")]],
            (F1, G2),
        ),
        ([[_call(None, call_id="1", name="f", args='{"a"')], [_call(None, args=":1}")]], (F1,)),
        # one index for all
        ([[_call(0, call_id="1", name="f", args='{"a":1}')], [_call(0, call_id="2", name="g", args="{}")]], (F1, G2)),
        # the id first, the name later, arguments in between
        ([[_call(0, call_id="1")], [_call(0, args='{"a"')], [_call(0, name="f", args=":1}")]], (F1,)),
    ],
)
def test_tool_calls_of_every_dialect(deltas: list[object], calls: tuple[ToolCall, ...]) -> None:
    assert _parts(*[{"tool_calls": delta} for delta in deltas]) == calls


def test_arguments_that_are_not_quoted_are_their_own_text() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": {"a": 1}}}
    assert _parts({"tool_calls": [call]}) == (ToolCall(id="1", name="f", arguments=b'{"a": 1}'),)


@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        ([{"role": "assistant", "content": ""}, {"content": "a"}, {"content": "b"}], (Text(text="ab"),)),
        ([{"content": None}, {}], ()),
        (
            [{"reasoning_content": "h"}, {"reasoning_content": "m", "content": ""}, {"content": "a"}],
            (Reasoning(text="hm"), Text(text="a")),
        ),
        ([{"reasoning": "hm"}, {"content": "a"}], (Reasoning(text="hm", field="reasoning"), Text(text="a"))),
        ([{"refusal": "n"}, {"refusal": "o"}], (Refusal(text="no"),)),
        (
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
                {"content": [{"type": "text", "text": "a"}]},
            ],
            (Reasoning(text="hm", field="thinking"), Text(text="a")),
        ),
        (
            [
                {"audio": {"id": "au", "transcript": "h"}},
                {"audio": {"data": "AAA=", "transcript": "i"}},
                {"audio": {"data": "AQ=="}},
                {"audio": {"expires_at": 9}},
            ],
            (Audio(source=Inline("", "AAAB"), id="au", transcript="hi", expires_at=9),),
        ),
        (
            [
                {"reasoning": "h", "reasoning_details": [{"text": "h"}]},
                {"reasoning": "m", "reasoning_details": [{"text": "m"}]},
            ],
            (
                Reasoning(
                    text="hm",
                    field="reasoning",
                    seal=Seal(
                        origin="openai_chat", name="reasoning_details", value=Raw(b'[{"text": "h"},{"text": "m"}]')
                    ),
                ),
            ),
        ),
    ],
)
def test_parts_in_the_order_in_which_they_came(deltas: list[object], parts: tuple[Part, ...]) -> None:
    assert _parts(*deltas) == parts


def test_what_only_this_format_knows_is_joined() -> None:
    response = fold(
        _stream(
            {"id": "", "model": "", "choices": [], "prompt_filter_results": [1]},
            {
                "id": "c",
                "model": "m",
                "created": 5,
                "system_fingerprint": "fp",
                "obfuscation": "xx",
                "choices": [{"index": 0, "delta": {"annotations": [1]}, "logprobs": {"content": [1]}}],
            },
            {
                "id": "c",
                "system_fingerprint": "fp",
                "choices": [{"index": 0, "delta": {"annotations": [2]}, "logprobs": {"content": [2], "refusal": None}}],
            },
            _end("stop", time_info=[]),
        )
    )
    assert (response.id, response.model, response.created) == ("c", "m", 5)
    assert response.extras["openai_chat"] == {
        "prompt_filter_results": Raw(b"[1]"),
        "system_fingerprint": Raw(b'"fp"'),
        "time_info": Raw(b"[]"),
    }
    assert response.candidates[0].extras == {
        "openai_chat": {"logprobs": Raw(b'{"content":[1,2],"refusal":null}')},
        "openai_chat.message": {"annotations": Raw(b"[1,2]")},
    }


def test_every_part_begins_and_ends_and_finishes_come_last() -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    late = {"id": "c", "choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "length"}]}
    events = _stream(chunk, late, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    assert [type(event) for event in events] == [Start, PartStart, TextDelta, TextDelta, UsageEvent, PartEnd, Finish]
    assert events[-1] == Finish(candidate=0, stop=StopReason.LENGTH, native_stop="length")


def test_a_stream_that_ends_early_fails() -> None:
    parser = StreamParser()
    begun = parser.feed(_said(b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}'))
    events = [*begun, *parser.end()]
    assert isinstance(events[-1], Fail)
    with pytest.raises(CutMidStream):
        fold(events)
    assert parser.end() == ()


def test_an_error_ends_the_stream() -> None:
    events = _deltas({"content": "a"}, finish=None)
    failed = _stream({"id": "c", "choices": [{"delta": {"content": "a"}}]}, {"error": {"message": "no", "code": 500}})
    assert isinstance(failed[-1], Fail)
    assert "no" in failed[-1].error.message
    assert len(events) > 0
    out = streamed(failed)
    assert b"[DONE]" not in out
    assert b'"error"' in out


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[]", b'{"choices":5}', b'{"choices":[{"delta":5}]}', b"\xff", b"[" * 99_999]
)
def test_what_is_no_chunk_is_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        StreamParser().feed(_said(data))


def test_a_whole_answer() -> None:
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "a",
                    "refusal": None,
                    "annotations": [1],
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "service_tier": "default",
        "system_fingerprint": "fp",
    }
    response = parse_response(json.dumps(body).encode())
    assert response == Response(
        id="c",
        created=5,
        model="m",
        service_tier="default",
        usage=Usage(input=3, output=2),
        candidates=(
            Candidate(
                parts=(Text(text="a"), ToolCall(id="1", name="f", arguments=b"{}")),
                stop=StopReason.TOOL_CALLS,
                native_stop="tool_calls",
                extras={"openai_chat.message": {"annotations": Raw(b"[1]")}},
            ),
        ),
        extras={"openai_chat": {"system_fingerprint": Raw(b'"fp"')}},
    )
    said = json.loads(whole(response))
    assert {name: said[name] for name in body if name != "usage"} == {
        name: value for name, value in body.items() if name != "usage"
    }
    assert said["usage"]["total_tokens"] == 5


def test_an_answer_in_json_mode_may_be_an_object() -> None:
    """Cloudflare's."""
    response = parse_response(b'{"choices":[{"message":{"content":{"b":1, "a":2}}}]}')
    assert response.candidates[0].parts == (Text(text='{"b":1, "a":2}'),)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"choices":5}', b'{"choices":[{"message":{"tool_calls":5}}]}']
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_response(body)


def test_an_error_is_raised() -> None:
    with pytest.raises(UpstreamError, match="overloaded"):
        parse_response(b'{"error":{"message":"overloaded","code":503}}')


def test_content_that_the_format_cannot_carry_is_left_out() -> None:
    image = Image(source=Url("https://x.test/a"))
    response = Response(candidates=(Candidate(parts=(image, Text(text="a"))),))
    assert json.loads(whole(response))["choices"][0]["message"]["content"] == "a"
    assert b"x.test" not in streamed([PartStart(candidate=0, index=0, part=image), PartEnd(candidate=0, index=0)])


def test_usage_goes_to_those_who_asked() -> None:
    events = [*_deltas({"content": "a"}), UsageEvent(usage=Usage(input=3, output=2))]
    for asked in (True, False):
        out = streamed(events, usage=asked)
        chunks = [json.loads(block[6:]) for block in out.split(b"\n\n")[:-2]]
        assert all(("usage" in chunk) is asked for chunk in chunks)
        assert (chunks[-1]["choices"] == []) is asked
        assert out.endswith(b"data: [DONE]\n\n")


WORDS = st.text(min_size=1, max_size=12)


class Answer(Struct, frozen=True):
    """One candidate, in any wording."""

    reasoning: str | None
    content: str | None
    refusal: str | None
    calls: list[tuple[str, str]]
    finish: str


ANSWERS = st.lists(
    st.builds(
        Answer,
        reasoning=st.none() | WORDS,
        content=st.none() | WORDS,
        refusal=st.none() | WORDS,
        calls=st.lists(st.tuples(WORDS, WORDS), max_size=3),
        finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "odd"]),
    ),
    min_size=1,
    max_size=3,
)


def _cut(text: str, data: st.DataObject) -> list[str]:
    at = data.draw(st.integers(0, len(text)))
    return [piece for piece in (text[:at], text[at:]) if piece]


def _whole(answers: list[Answer]) -> bytes:
    choices: list[object] = []
    for index, answer in enumerate(answers):
        message: dict[str, object] = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.calls:
            message["tool_calls"] = [
                {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for n, (name, arguments) in enumerate(answer.calls)
            ]
        choices.append({"index": index, "message": message, "finish_reason": answer.finish})
    return json.dumps({"id": "c", "model": "m", "created": 1, "choices": choices}).encode()


def _deltas_of(answer: Answer, data: st.DataObject) -> list[Mapping[str, object]]:
    deltas: list[Mapping[str, object]] = [{"role": "assistant", "content": ""}]
    for member, text in (
        ("reasoning_content", answer.reasoning),
        ("content", answer.content),
        ("refusal", answer.refusal),
    ):
        deltas += [{member: piece} for piece in _cut(text or "", data)]
    for n, (name, arguments) in enumerate(answer.calls):
        pieces = _cut(arguments, data)
        first = pieces.pop(0) if pieces and data.draw(st.booleans()) else ""
        deltas.append({"tool_calls": [_call(n, call_id=f"c{n}", name=name, args=first)]})
        deltas += [{"tool_calls": [_call(n, args=piece)]} for piece in pieces]
    return deltas


def _streamed(answers: list[Answer], data: st.DataObject) -> list[bytes]:
    """The same answers in pieces, those of the candidates in turn."""
    queues: list[list[Mapping[str, object]]] = []
    for index, answer in enumerate(answers):
        queue: list[Mapping[str, object]] = [
            {"index": index, "delta": delta, "finish_reason": None} for delta in _deltas_of(answer, data)
        ]
        queues.append([*queue, {"index": index, "finish_reason": answer.finish}])
    chunks: list[bytes] = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        chunk = {"id": "c", "model": "m", "created": 1, "choices": [queue.pop(0)]}
        chunks.append(json.dumps(chunk).encode())
    return chunks


@settings(deadline=None, max_examples=150)
@given(ANSWERS, st.data())
def test_a_streamed_answer_is_the_whole_one(answers: list[Answer], data: st.DataObject) -> None:
    expected = parse_response(_whole(answers))
    parser = StreamParser()
    events = [event for chunk in _streamed(answers, data) for event in parser.feed(_said(chunk))]
    events += parser.feed(_said(b"[DONE]"))
    assert fold(events) == expected
    _check_rendered(events, expected)
    again = parse_response(whole(expected))
    odd = [candidate.index for candidate in expected.candidates if candidate.stop is StopReason.OTHER]
    for mine, theirs in zip(expected.candidates, again.candidates, strict=True):
        assert mine.parts == theirs.parts
        assert mine.stop == theirs.stop or mine.index in odd


def _check_rendered(events: list[Event], expected: Response) -> None:
    out = streamed(events)
    parser = StreamParser()
    again: list[Event] = []
    for block in Splitter().feed(out):
        event = fields(block)
        assert event is not None
        again += parser.feed(event)
    assert [candidate.parts for candidate in fold(again).candidates] == [
        candidate.parts for candidate in expected.candidates
    ]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "choices",
                            "delta",
                            "content",
                            "tool_calls",
                            "function",
                            "index",
                            "id",
                            "audio",
                            "error",
                            "usage",
                        ]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=10,
        ).map(lambda value: json.dumps(value).encode()),
        max_size=5,
    )
)
def test_garbage_is_garbled_and_nothing_else(pieces: list[bytes]) -> None:
    parser = StreamParser()
    events: list[Event] = []
    try:
        for piece in pieces:
            events += parser.feed(_said(piece))
        fold([*events, *parser.end()])
    except UpstreamError as error:
        assert error.http_status >= 429
