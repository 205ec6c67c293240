"""Answers of other formats, as Chat Completions says them to its callers, whole and streamed."""

import json
from collections.abc import Sequence
from typing import cast

import pytest
from msgspec import Raw
from openai.lib.streaming._deltas import accumulate_delta  # pyright: ignore[reportMissingModuleSource]
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.wire.openai_chat.asked import streamed, whole

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
from komeet.canonical.part import Citation, Opaque, Part, Reasoning, Refusal, Seal, ServerTool, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import CutMidStream
from komeet.wire import seal as seals
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.parse_request import parse_request
from komeet.wire.openai_chat.render_request import render_request
from komeet.wire.openai_chat.stream import StreamParser
from komeet.wire.sse import Event as Said

Json = dict[str, object]

SIGNED = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"'))
OTHER = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"t"'))


def _answer(*parts: Part, stop: StopReason = StopReason.STOP, **members: object) -> Response:
    candidate = Candidate(parts=parts, stop=stop)
    return Response(candidates=(candidate,), **members)  # pyright: ignore[reportArgumentType]


def _message(*parts: Part, stop: StopReason = StopReason.STOP) -> Json:
    body = whole(_answer(*parts, stop=stop))
    ChatCompletion.model_validate_json(body)
    return cast("Json", json.loads(body)["choices"][0]["message"])


def _chunks(events: Sequence[Event], *, usage: bool = False) -> list[Json]:
    blocks = streamed(list(events), usage=usage).split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    chunks = [block.removeprefix(b"data: ") for block in blocks[:-2]]
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk)
    return [json.loads(chunk) for chunk in chunks]


def _merged(events: Sequence[Event]) -> Json:
    """Put the deltas together as OpenAI's library does."""
    told: dict[object, object] = {}
    for chunk in _chunks(events):
        for choice in cast("list[Json]", chunk["choices"]):
            told = accumulate_delta(told, cast("dict[object, object]", choice["delta"]))
    return cast("Json", told)


def _entry(text: str, seal: Seal | None, index: int) -> Json:
    return {
        "type": "reasoning.text",
        "text": text,
        "signature": seals.wrap(seal),
        "format": "komeet-v1",
        "index": index,
    }


THOUGHT = (Reasoning(text="hm", seal=SIGNED), Reasoning(text="", seal=OTHER), Text(text="a"))


def test_what_another_format_sealed_is_kept_beside_the_text() -> None:
    message = _message(*THOUGHT)
    assert message["reasoning_content"] == "hm"
    assert message["content"] == "a"
    assert message["reasoning_details"] == [_entry("hm", SIGNED, 0), _entry("", OTHER, 1)]


def test_what_another_format_sealed_is_kept_in_a_stream_when_it_is_complete() -> None:
    events: list[Event] = [
        Start(id="msg_1"),
        PartStart(candidate=0, index=0, part=Reasoning()),
        TextDelta(candidate=0, index=0, text="h"),
        TextDelta(candidate=0, index=0, text="m"),
        SealDelta(candidate=0, index=0, seal=SIGNED),
        PartEnd(candidate=0, index=0),
        PartStart(candidate=0, index=1, part=Reasoning(seal=OTHER)),
        PartEnd(candidate=0, index=1),
        PartStart(candidate=0, index=2, part=Text(text="a")),
        PartEnd(candidate=0, index=2),
        Finish(candidate=0, stop=StopReason.STOP),
    ]
    merged = _merged(events)
    assert merged["reasoning_content"] == "hm"
    assert merged["reasoning_details"] == [_entry("hm", SIGNED, 0), _entry("", OTHER, 1)]
    deltas = [cast("list[Json]", chunk["choices"])[0]["delta"] for chunk in _chunks(events)]
    assert deltas[:2] == [{"role": "assistant", "reasoning_content": "h"}, {"reasoning_content": "m"}]


@pytest.mark.parametrize(
    "parts", [(Reasoning(text="a"), Reasoning(text="b", seal=SIGNED)), (Reasoning(text="b", seal=SIGNED), Reasoning())]
)
def test_reasoning_without_a_seal_is_kept_where_another_has_one(parts: tuple[Reasoning, ...]) -> None:
    entries = [_entry(part.text, part.seal, index) for index, part in enumerate(parts)]
    assert _message(*parts)["reasoning_details"] == entries
    assert _merged(list(unfold(_answer(*parts))))["reasoning_details"] == entries


def test_reasoning_without_any_seal_is_told_as_chat_providers_do() -> None:
    assert _message(Reasoning(text="hm"), Text(text="a")) == {
        "role": "assistant",
        "content": "a",
        "refusal": None,
        "reasoning_content": "hm",
    }
    assert _merged(list(unfold(_answer(Reasoning(text="hm"))))) == {"role": "assistant", "reasoning_content": "hm"}


def test_trap_6_reasoning_comes_back_with_its_seals() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "q"}, _message(*THOUGHT)]}).encode()
    envelope = parse_envelope(body)
    assert envelope.sealed
    assert parse_request(envelope).turns[1].parts == THOUGHT


def test_what_another_format_sealed_is_not_shown_to_a_provider_of_this_one() -> None:
    body = json.dumps({"model": "m", "messages": [_message(*THOUGHT)]}).encode()
    edited = render_request(parse_request(body), Profile())
    assert seals.MARK.encode() not in edited.body
    assert len(edited.losses) == 2


def test_a_damaged_seal_is_none() -> None:
    entry = {"type": "reasoning.text", "text": "hm", "signature": "komeet-seal-1.%%%", "format": "komeet-v1"}
    message = {"role": "assistant", "content": "a", "reasoning_details": [entry, {"type": "x", "index": 1}]}
    first, second, _ = parse_request(json.dumps({"model": "m", "messages": [message]}).encode()).turns[0].parts
    assert first == Reasoning(text="hm")
    assert isinstance(second, Reasoning)
    assert second.seal is not None
    assert second.seal.origin == "openai_chat"


def test_an_answer_says_who_gave_it_and_when_even_if_the_provider_does_not() -> None:
    told = json.loads(whole(_answer(Text(text="a"), id="msg_1")))
    assert (told["id"], told["created"], told["model"]) == ("chatcmpl-1", 7, "asked-for")
    chunk = _chunks([PartStart(candidate=0, index=0, part=Text(text="a"))])[0]
    assert (chunk["id"], chunk["created"], chunk["model"]) == ("chatcmpl-1", 7, "asked-for")
    assert json.loads(whole(_answer(id="gen-1", created=5, model="m")))["id"] == "gen-1"


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (StopReason.STOP, "stop"),
        (StopReason.LENGTH, "length"),
        (StopReason.TOOL_CALLS, "tool_calls"),
        (StopReason.CONTENT_FILTER, "content_filter"),
        (StopReason.PAUSED, "stop"),
        (StopReason.OTHER, "stop"),
    ],
)
def test_trap_10_reasons_to_end(stop: StopReason, word: str) -> None:
    assert json.loads(whole(_answer(Text(text="a"), stop=stop)))["choices"][0]["finish_reason"] == word


def test_trap_10_a_refusal_keeps_its_text() -> None:
    told = json.loads(whole(_answer(Text(text="I will not."), stop=StopReason.REFUSED)))["choices"][0]
    assert (told["finish_reason"], told["message"]["content"]) == ("content_filter", "I will not.")
    assert _message(Refusal(text="no"))["refusal"] == "no"


def test_trap_11_usage_has_every_detail() -> None:
    usage = Usage(input=9, cache_read=4, cache_write=2, output=7, reasoning=5)
    told = {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    response = _answer(Text(text="a"), usage=usage)
    assert json.loads(whole(response))["usage"] == told
    chunks = _chunks(list(unfold(response)), usage=True)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], told)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_trap_13_an_answer_without_text_has_null_for_content() -> None:
    assert _message(ToolCall(id="1", name="f"))["content"] is None
    assert _message()["content"] is None


def test_trap_4_no_arguments_are_an_empty_object() -> None:
    parts = (ToolCall(id="1", name="f"),)
    told = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert _message(*parts)["tool_calls"] == told
    assert _merged(list(unfold(_answer(*parts))))["tool_calls"] == [{"index": 0, **told[0]}]


def test_trap_3_a_call_without_an_id_is_given_one() -> None:
    calls = (ToolCall(name="f", arguments=b"{}"), ToolCall(name="g", arguments=b"{}"))
    told = cast("list[Json]", _message(*calls)["tool_calls"])
    assert [call["id"] for call in told] == ["call_1_0_0", "call_1_0_1"]
    merged = cast("list[Json]", _merged(list(unfold(_answer(*calls))))["tool_calls"])
    assert [call["id"] for call in merged] == ["call_1_0_0", "call_1_0_1"]


def test_trap_14_calls_that_are_written_at_the_same_time() -> None:
    events: list[Event] = [
        PartStart(candidate=0, index=0, part=ToolCall(id="1", name="f")),
        PartStart(candidate=0, index=1, part=ToolCall(id="2", name="g")),
        ArgumentsDelta(candidate=0, index=0, data=b"{"),
        ArgumentsDelta(candidate=0, index=1, data=b'{"a":'),
        ArgumentsDelta(candidate=0, index=0, data=b"}"),
        ArgumentsDelta(candidate=0, index=1, data=b"1}"),
        PartEnd(candidate=0, index=0),
        PartEnd(candidate=0, index=1),
        Finish(candidate=0, stop=StopReason.TOOL_CALLS),
    ]
    assert _merged(events)["tool_calls"] == [
        {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"index": 1, "id": "2", "type": "function", "function": {"name": "g", "arguments": '{"a":1}'}},
    ]


def test_a_custom_call_in_pieces_is_told() -> None:
    events: list[Event] = [
        PartStart(candidate=0, index=0, part=ToolCall(id="1", name="g", custom=True)),
        ArgumentsDelta(candidate=0, index=0, data=b"free"),
        PartEnd(candidate=0, index=0),
    ]
    first, second, *_ = [json.loads(block[6:]) for block in streamed(events, usage=False).split(b"\n\n")[:-2]]
    begun = {"index": 0, "id": "1", "type": "custom", "custom": {"name": "g", "input": ""}}
    assert first["choices"][0]["delta"]["tool_calls"] == [begun]
    assert second["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "custom": {"input": "free"}}]


def test_a_custom_call_in_pieces_is_read() -> None:
    parser = StreamParser()
    first = {"index": 0, "id": "1", "type": "custom", "custom": {"name": "g", "input": ""}}
    events: list[Event] = []
    for call in (first, {"index": 0, "custom": {"input": "free"}}):
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
        events += parser.feed(Said(None, json.dumps(chunk).encode()))
    assert events[-1] == ArgumentsDelta(candidate=0, index=0, data=b"free")


URL = Citation(origin="anthropic_messages", value=Raw(b"{}"), url="https://x.test", title="X")


def test_sources_are_annotations_of_the_message() -> None:
    placed = Citation(origin="anthropic_messages", value=Raw(b"{}"), url="https://y.test", start=1, end=2)
    document = Citation(origin="anthropic_messages", value=Raw(b"{}"), quote="words")
    parts = (Text(text="One."), Text(text="Two.", citations=(URL, document)), Text(text="abc", citations=(placed,)))
    told = [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://x.test", "title": "X", "start_index": 4, "end_index": 8},
        },
        {
            "type": "url_citation",
            "url_citation": {"url": "https://y.test", "title": "", "start_index": 9, "end_index": 10},
        },
    ]
    assert _message(*parts)["annotations"] == told
    assert _merged(list(unfold(_answer(*parts))))["annotations"] == told


def test_a_source_may_come_before_its_text() -> None:
    events: list[Event] = [
        PartStart(candidate=0, index=0, part=Text()),
        CitationDelta(candidate=0, index=0, citation=URL),
        TextDelta(candidate=0, index=0, text="Two."),
        PartEnd(candidate=0, index=0),
        Finish(candidate=0, stop=StopReason.STOP),
    ]
    source = cast("list[Json]", _merged(events)["annotations"])[0]["url_citation"]
    assert source == {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 4}


@pytest.mark.parametrize(
    "part",
    [
        ServerTool(origin="anthropic_messages", kind="server_tool_use", value=Raw(b"{}")),
        Opaque(origin="anthropic_messages", value=Raw(b"{}")),
    ],
)
def test_what_this_format_has_no_place_for_is_left_out(part: Part) -> None:
    assert _message(part, Text(text="a"))["content"] == "a"
    assert _merged(list(unfold(_answer(part, Text(text="a"))))) == {"role": "assistant", "content": "a"}


def test_trap_16_an_error_ends_the_stream_without_done() -> None:
    events: list[Event] = [Start(), Fail(error=CutMidStream("It broke off."))]
    out = streamed(events)
    assert b"[DONE]" not in out
    assert json.loads(out[6:])["error"]["message"] == "It broke off."


def test_trap_16_groq_sends_an_error_as_an_event() -> None:
    data = b'{"error":{"message":"over","code":"x"}}'
    for said in (Said(b"error", data), Said(b"error", b'{"message":"over","code":503}')):
        events = StreamParser().feed(said)
        assert isinstance(events[-1], Fail)
        assert "over" in events[-1].error.message


@pytest.mark.parametrize(
    "chunk",
    [
        {"id": "c", "choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},
        {"id": "c", "choices": [{"index": 0, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]},
    ],
)
def test_trap_11_usage_in_the_places_of_dialects(chunk: Json) -> None:
    events = StreamParser().feed(Said(None, json.dumps(chunk).encode()))
    assert UsageEvent(usage=Usage(input=3, output=2)) in events
