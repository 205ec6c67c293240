"""Streams, both ways: one point each."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.wire.gemini.answers import ARRAY, ASKED, answer, chunks_of, events_of, read, stream, written
from tests.wire.gemini.asking import parsed

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    Event,
    ExtraDelta,
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
    Part,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
)
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.core.errors import CutMidStream, Garbled, UpstreamAuth, UpstreamBusy
from komeet.wire.framing import EventStream
from komeet.wire.gemini.format import FORMAT
from komeet.wire.gemini.members import ORIGIN
from komeet.wire.gemini.signature import wrap

SEAL = Seal(origin=ORIGIN, name="thoughtSignature", value=Raw(b'"sig"'))
FOREIGN = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"enc"'))
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"}
STREAM = stream(
    answer({"text": "H", "thought": True}, finish=None),
    answer({"text": "m.", "thought": True}, finish=None),
    answer({"text": "Hé"}, finish=None),
    answer({"text": " là."}, finish=None, citationMetadata={"citationSources": [{"a": 1}]}),
    answer({"text": "Now", "thoughtSignature": "sig"}, finish=None, citationMetadata={"citationSources": [{"b": 1}]}),
    answer({"text": " then."}, finish=None),
    answer(CALL, {"functionCall": {"name": "g", "args": {}, "id": "c"}}, finish=None),
    answer({"text": ""}, safetyRatings=[{"x": 1}]),
)


def _failed(events: list[Event]) -> Fail:
    last = events[-1]
    assert isinstance(last, Fail)
    return last


NAMES = ("candidates", "content", "parts", "text", "functionCall", "inlineData", "data", "index")
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=15,
)


# what is read


def test_a_stream_says_what_the_whole_answer_says() -> None:
    whole = read(
        {"text": "Hm.", "thought": True},
        {"text": "Hé là."},
        {"text": "Now then.", "thoughtSignature": "sig"},
        CALL,
        {"functionCall": {"name": "g", "args": {}, "id": "c"}},
        safetyRatings=[{"x": 1}],
        citationMetadata={"citationSources": [{"a": 1}, {"b": 1}]},
    )
    streamed = fold(events_of(STREAM))
    assert streamed.candidates[0].parts == whole.candidates[0].parts
    assert json.loads(FORMAT.render_response(streamed, ASKED)) == json.loads(FORMAT.render_response(whole, ASKED))
    assert streamed.candidates[0].stop is StopReason.TOOL_CALLS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    parser, framing = FORMAT.stream_parser(), EventStream()
    tap = FORMAT.tap(include_usage=True)
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    heard = [said for piece in pieces for said in framing.feed(piece)] + framing.rest()
    events = [event for said in heard for event in parser.feed(said)]
    assert [*events, *parser.end()] == events_of(STREAM)
    assert b"".join([tap.feed(piece) for piece in pieces]) + tap.end()[0] == STREAM
    assert tap.usage == Usage(input=3, output=2)
    assert tap.output_text() == 'Hm.Hé là.Now then.f{"a": 1}g{}'


def test_a_signature_in_the_middle_ends_a_text() -> None:
    response = fold(events_of(STREAM))
    kinds = [type(part) for part in response.candidates[0].parts]
    assert kinds == [Reasoning, Text, Reasoning, Text, Reasoning, ToolCall, ToolCall]


def test_trap_11_the_last_usage_counts() -> None:
    first = {**answer({"text": "a"}, finish=None), "usageMetadata": {"promptTokenCount": 9}}
    last = {**answer({"text": "b"}), "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "x": [1]}}
    said = stream(first, first, last)
    response = fold(events_of(said))
    assert response.usage == Usage(input=9, output=4)
    assert {name: bytes(value) for name, value in response.extras["gemini.usageMetadata"].items()} == {"x": b"[1]"}
    tap = FORMAT.tap(include_usage=True)
    assert tap.feed(said) == said
    assert tap.end() == (b"", True)
    assert tap.usage == Usage(input=9, output=4)


def test_more_may_come_after_the_reason() -> None:
    late = {"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1}, "modelVersion": "m"}
    said = stream(answer({"text": "a"}), answer(finish=None, groundingMetadata={"a": 1}), late)
    response = fold(events_of(said))
    assert response.usage == Usage(input=7, output=1)
    assert response.candidates[0].stop is StopReason.STOP
    assert bytes(response.candidates[0].extras[ORIGIN]["groundingMetadata"]) == b'{"a": 1}'


def test_a_stream_without_a_reason_was_cut() -> None:
    said = stream(answer({"text": "a"}, finish=None))
    assert isinstance(_failed(events_of(said)).error, CutMidStream)
    tap = FORMAT.tap(include_usage=True)
    assert tap.feed(said) == said
    assert tap.end() == (b"", False)
    assert not tap.done
    assert isinstance(_failed(events_of(b"")).error, CutMidStream)


def test_all_candidates_have_to_be_complete() -> None:
    two = answer({"text": "a"})
    two["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1})
    assert isinstance(_failed(events_of(stream(two))).error, CutMidStream)
    tap = FORMAT.tap(include_usage=True)
    tap.feed(stream(two))
    assert tap.end()[1] is False
    more = stream(two, {"candidates": [{"index": 1, "finishReason": "MAX_TOKENS"}]})
    first, second = fold(events_of(more)).candidates
    assert (first.stop, second.stop) == (StopReason.STOP, StopReason.LENGTH)


def test_a_refused_prompt_ends_a_stream() -> None:
    said = stream({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    response = fold(events_of(said))
    assert response.candidates[0].stop is StopReason.CONTENT_FILTER
    (chunk,) = chunks_of(written(*events_of(said)))
    assert chunk["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in chunk
    tap = FORMAT.tap(include_usage=True)
    assert tap.feed(said) == said
    assert tap.end() == (b"", True)


def test_trap_16_an_error_in_a_stream_ends_it() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    said = stream(answer({"text": "a"}, finish=None), error, answer({"text": "b"}))
    events = events_of(said)
    assert isinstance(_failed(events).error, UpstreamBusy)
    tap = FORMAT.tap(include_usage=True)
    assert tap.feed(said) == said
    assert isinstance(tap.error, UpstreamBusy)
    assert tap.end()[1] is False


def test_an_error_about_our_key_is_told_in_our_words() -> None:
    tap = FORMAT.tap(include_usage=True)
    out = tap.feed(
        stream({"error": {"code": 403, "message": "Key AIza-secret is bad.", "status": "PERMISSION_DENIED"}})
    )
    assert b"AIza" not in out
    assert isinstance(tap.error, UpstreamAuth)


def test_sources_are_told_before_the_signature_that_ends_a_text() -> None:
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"endIndex": 2, "text": "Hi"}, "groundingChunkIndices": [0]}],
    }
    signed = answer({"text": "", "thoughtSignature": "sig"}, groundingMetadata=metadata)
    response = fold(events_of(stream(answer({"text": "Hi"}, finish=None), signed)))
    text, reasoning = response.candidates[0].parts
    assert isinstance(text, Text)
    assert [(each.url, each.start, each.end) for each in text.citations] == [("https://a", 0, 2)]
    assert reasoning == Reasoning(seal=SEAL, field="text")


def test_sound_comes_in_pieces() -> None:
    def piece(data: str) -> dict[str, Any]:
        return {"inlineData": {"mimeType": "audio/L16", "data": data}}

    response = fold(events_of(stream(answer(piece("aGk="), finish=None), answer(piece("aG8=")))))
    assert response.candidates[0].parts == (Audio(source=Inline("audio/L16", "aGlobw==")),)


@pytest.mark.parametrize("data", [b"[1]", b"nonsense", b'{"candidates": [{"content": {"parts": [3]}}]}', b"[DONE]"])
def test_what_is_no_chunk_is_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        events_of(b"data: " + data + b"\r\n\r\n")


def test_a_page_is_no_stream() -> None:
    with pytest.raises(Garbled):
        FORMAT.tap(include_usage=True).feed(b"<html>")


@given(JSON)
def test_garbage_is_garbled_and_nothing_else(said: Any) -> None:
    data = b"data: " + json.dumps(said).encode() + b"\r\n\r\n"
    with suppress(Garbled):
        written(*events_of(data))
    tap = FORMAT.tap(include_usage=True)
    assert tap.feed(data) + tap.end()[0] == data


# what is written


def _told(*events: Event) -> list[Any]:
    """The parts of all chunks, but for the one that says nothing at the end."""
    parts = [part for chunk in chunks_of(written(*events)) for part in chunk["candidates"][0]["content"]["parts"]]
    return [part for part in parts if part != {"text": ""}]


def _part(at: int, part: Part, *deltas: Event) -> list[Event]:
    return [PartStart(candidate=0, index=at, part=part), *deltas, PartEnd(candidate=0, index=at)]


def _text(text: str, at: int = 0) -> TextDelta:
    return TextDelta(candidate=0, index=at, text=text)


def test_a_stream_is_whole_answers() -> None:
    said = written(
        Start(id="r", model="m", service_tier="flex"),
        *_part(0, Text(text="a"), _text(""), _text("b")),
        Finish(candidate=0, stop=StopReason.LENGTH),
        UsageEvent(usage=Usage(input=3, output=2)),
    )
    assert said.endswith(b"\r\n\r\n")
    first, second, last = chunks_of(said)
    head = {"modelVersion": "m", "responseId": "r"}
    assert first == {"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}], **head}
    assert second["candidates"][0]["content"]["parts"] == [{"text": "b"}]
    assert last == {
        "candidates": [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": 3,
            "candidatesTokenCount": 2,
            "totalTokenCount": 5,
            "serviceTier": "flex",
        },
        **head,
    }


def test_without_alt_sse_a_stream_is_an_array() -> None:
    events = [*_part(0, Text(text="a")), Finish(candidate=0, stop=StopReason.STOP)]
    said = written(Start(), *events, asked=ARRAY)
    first, last = json.loads(said)
    assert first["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert said.startswith(b"[{")
    assert b"},\r\n{" in said


def test_trap_14_a_call_is_written_when_it_is_complete() -> None:
    more = ArgumentsDelta(candidate=0, index=0, data=b'{"a":')
    renderer = FORMAT.stream_renderer(ASKED)
    assert renderer.feed(PartStart(candidate=0, index=0, part=ToolCall(id="c", name="f"))) == b""
    assert renderer.feed(more) == b""
    assert renderer.feed(ArgumentsDelta(candidate=0, index=0, data=b"1}")) == b""
    (chunk,) = chunks_of(renderer.feed(PartEnd(candidate=0, index=0)))
    call = {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}}
    assert chunk["candidates"][0]["content"]["parts"] == [call]


def test_calls_that_come_at_once_are_written_in_their_order() -> None:
    first, second = ToolCall(name="f"), ToolCall(name="g")
    events: list[Event] = [
        PartStart(candidate=0, index=0, part=first),
        PartStart(candidate=0, index=1, part=second),
        ArgumentsDelta(candidate=0, index=1, data=b'{"b":2}'),
        ArgumentsDelta(candidate=0, index=0, data=b'{"a":1}'),
        ArgumentsDelta(candidate=0, index=7, data=b"?"),
        PartEnd(candidate=0, index=1),
    ]
    assert [part["functionCall"]["args"] for part in _told(*events)] == [{"a": 1}, {"b": 2}]
    assert _told(*events, PartEnd(candidate=0, index=0)) == _told(*events)


def test_trap_6_a_seal_that_comes_behind_its_thoughts_is_found_again() -> None:
    events = [
        *_part(0, Reasoning(), _text("H"), _text("m."), SealDelta(candidate=0, index=0, seal=FOREIGN)),
        *_part(1, Reasoning(seal=FOREIGN)),
        *_part(2, ToolCall(id="c", name="f")),
    ]
    told = _told(*events)
    assert told == [
        {"text": "H", "thought": True},
        {"text": "m.", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": wrap(FOREIGN)},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": wrap(FOREIGN)},
    ]
    for contents in (
        [{"role": "model", "parts": told}],
        [{"role": "model", "parts": [part]} for part in told],
    ):
        asked = parsed(contents=[{"parts": [{"text": "Hi"}]}, *contents])
        parts = [part for turn in asked.turns[1:] for part in turn.parts]
        assert parts[:2] == [Reasoning(text="Hm.", seal=FOREIGN), Reasoning(seal=FOREIGN)]
        assert isinstance(parts[2], ToolCall)


def test_a_seal_that_is_said_at_the_end_only_counts() -> None:
    final = PartEnd(candidate=0, index=0, final=Reasoning(text="Hm.", seal=FOREIGN))
    assert _told(PartStart(candidate=0, index=0, part=Reasoning()), _text("Hm."), final) == [
        {"text": "Hm.", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": wrap(FOREIGN)},
    ]


def test_a_seal_without_thoughts_goes_onto_the_next_part() -> None:
    sealed = _part(0, Reasoning(), SealDelta(candidate=0, index=0, seal=FOREIGN))
    assert _told(*sealed, *_part(1, Text(), _text("Hi", 1), _text("!", 1))) == [
        {"text": "Hi", "thoughtSignature": wrap(FOREIGN)},
        {"text": "!"},
    ]
    assert _told(*sealed) == [{"text": "", "thoughtSignature": wrap(FOREIGN)}]


def test_a_signature_on_an_empty_text_comes_with_the_reason() -> None:
    said = written(*_part(0, Text(text="Hi")), *_part(1, Reasoning(seal=SEAL, field="text")))
    _, last = chunks_of(said)
    assert last["candidates"][0]["content"]["parts"] == [{"text": "", "thoughtSignature": "sig"}]


def test_parts_that_are_no_text_are_written_whole() -> None:
    sound = Audio(source=Inline("audio/wav", ""))
    pieces = [AudioDelta(candidate=0, index=1, data="aGk="), AudioDelta(candidate=0, index=1, data="aG8=")]
    events = [*_part(0, Image(source=Inline("image/png", "aGk="))), *_part(1, sound, *pieces)]
    assert _told(*events, *_part(2, Refusal(), _text("No.", 2)), *_part(3, Text())) == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "aGlobw=="}},
        {"text": "No."},
    ]


def test_sources_come_with_the_reason() -> None:
    cite = Citation(origin="openai_chat", value=Raw(b"{}"), url="https://a", title="A")
    events = _part(0, Text(), _text("H"), CitationDelta(candidate=0, index=0, citation=cite), _text("i"))
    *_, last = chunks_of(written(*events))
    assert last["candidates"][0]["groundingMetadata"]["groundingSupports"] == [
        {"segment": {"endIndex": 2, "text": "Hi"}, "groundingChunkIndices": [0]}
    ]


def test_extras_of_another_format_are_left_out() -> None:
    value = Raw(b'"x"')
    said = written(
        Start(extras={"openai_chat": {"system_fingerprint": value}, ORIGIN: {"createTime": value}}),
        ExtraDelta(candidate=0, origin="openai_chat", name="logprobs", value=value),
        ExtraDelta(candidate=None, origin="openai_chat", name="x", value=value),
        ExtraDelta(candidate=None, origin=ORIGIN, name="y", value=value),
    )
    (chunk,) = chunks_of(said)
    assert (chunk["createTime"], chunk["y"]) == ("x", "x")
    assert "system_fingerprint" not in chunk
    assert "x" not in chunk


def test_several_candidates_are_told_apart() -> None:
    response = Response(
        candidates=(
            Candidate(parts=(Text(text="a"),), stop=StopReason.STOP),
            Candidate(index=1, parts=(Text(text="b"),), stop=StopReason.LENGTH),
        )
    )
    first, second = fold(events_of(written(*unfold(response)))).candidates
    assert (first.parts, first.stop) == ((Text(text="a"),), StopReason.STOP)
    assert (second.parts, second.stop) == ((Text(text="b"),), StopReason.LENGTH)


def test_nothing_follows_an_error() -> None:
    renderer = FORMAT.stream_renderer(ASKED)
    assert b"error" in renderer.feed(Fail(error=CutMidStream("Cut.")))
    assert renderer.end() == b""


def test_thoughts_of_another_turn_are_not_what_a_seal_is_of() -> None:
    thought = {"text": "Hm.", "thought": True}
    seal = {"text": "", "thought": True, "thoughtSignature": wrap(FOREIGN)}
    asked = parsed(
        contents=[
            {"role": "model", "parts": [thought]},
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{**thought, "partMetadata": {"a": 1}}]},
            {"role": "model", "parts": [seal]},
            {"role": "model", "parts": [{"text": "Hi"}, thought, seal, seal]},
        ]
    )
    told = [[(type(part), getattr(part, "text", "")) for part in turn.parts] for turn in asked.turns]
    assert told == [
        [(Reasoning, "Hm.")],
        [(Text, "Hi")],
        [(Reasoning, "Hm.")],
        [(Reasoning, "")],
        [(Text, "Hi"), (Reasoning, "Hm."), (Reasoning, "")],
    ]
