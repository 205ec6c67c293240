"""Whole answers, both ways: one point each."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.wire.gemini.answers import ASKED, answer, read, rendered, told

from komeet.canonical.part import (
    Audio,
    Citation,
    File,
    FileId,
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
    ToolResult,
    Url,
)
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.gemini.format import FORMAT
from komeet.wire.gemini.members import ORIGIN
from komeet.wire.gemini.signature import parse_signature, wrap

SEAL = Seal(origin=ORIGIN, name="thoughtSignature", value=Raw(b'"sig"'))
FOREIGN = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"enc"'))


def _parts(*parts: dict[str, Any], **more: Any) -> tuple[Part, ...]:
    return read(*parts, **more).candidates[0].parts


# what is read


def test_an_answer_says_who_it_is_from() -> None:
    response = read({"text": "Hi"})
    assert (response.id, response.model) == ("r", "m")
    assert response.usage == Usage(input=3, output=2)
    (candidate,) = response.candidates
    assert candidate.parts == (Text(text="Hi"),)
    assert (candidate.stop, candidate.native_stop) == (StopReason.STOP, "STOP")


def test_a_signature_on_a_call_stands_before_it() -> None:
    seal, call = _parts({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"})
    assert isinstance(seal, Reasoning)
    assert seal.seal is not None
    assert (seal.text, seal.seal.origin, seal.seal.value) == ("", ORIGIN, SEAL.value)
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.arguments) == ("", "f", b'{"a": 1}')


def test_trap_10_calls_that_end_with_a_stop_are_tool_calls() -> None:
    (candidate,) = read({"functionCall": {"name": "f", "args": {}}}).candidates
    assert (candidate.stop, candidate.native_stop) == (StopReason.TOOL_CALLS, "STOP")
    again = json.loads(FORMAT.render_response(Response(candidates=(candidate,)), ASKED))
    assert again["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("MAX_TOKENS", StopReason.LENGTH),
        ("SAFETY", StopReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", StopReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", StopReason.OTHER),
        ("INVENTED_LAST_WEEK", StopReason.OTHER),
        (2, StopReason.LENGTH),
        (77, StopReason.OTHER),
    ],
)
def test_trap_10_reasons_have_a_meaning(word: str | int, stop: StopReason) -> None:
    assert read({"text": "Hi"}, finishReason=word, finish=None).candidates[0].stop is stop


@pytest.mark.parametrize("word", [None, "", "FINISH_REASON_UNSPECIFIED", 0, {}])
def test_a_reason_may_not_be_said(word: object) -> None:
    assert read({"text": "Hi"}, finishReason=word, finish=None).candidates[0].stop is None


def test_trap_11_usage_is_in_one_convention() -> None:
    usage = {
        "promptTokenCount": 3520,
        "cachedContentTokenCount": 3512,
        "toolUsePromptTokenCount": 80,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 42,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3400}, {"modality": "AUDIO", "tokenCount": 100}],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 90}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 15}, {"modality": 4, "tokenCount": 5}],
        "serviceTier": "standard",
    }
    body = json.dumps({**answer({"text": "Hi"}), "usageMetadata": usage}).encode()
    response = FORMAT.parse_response(body)
    assert response.usage == Usage(
        input=3600,
        cache_read=3512,
        input_audio=100,
        cache_read_audio=90,
        input_image=20,
        output=62,
        reasoning=42,
        output_audio=5,
        output_image=15,
    )
    assert response.service_tier == "default"
    again = json.loads(FORMAT.render_response(response, ASKED))["usageMetadata"]
    assert again == {**usage, "totalTokenCount": 3662}


@pytest.mark.parametrize(
    "usage",
    [
        {"promptTokenCount": -1, "candidatesTokenCount": 2},
        {"promptTokenCount": 1 << 50},
        {"promptTokenCount": 5, "promptTokensDetails": [{"tokenCount": -3}]},
        {"promptTokenCount": 0},
        {"trafficType": "ON_DEMAND"},
        {"promptTokenCount": "many"},
        3,
    ],
)
def test_usage_that_cannot_be_is_not_believed(usage: object) -> None:
    body = json.dumps({**answer({"text": "Hi"}), "usageMetadata": usage}).encode()
    assert FORMAT.parse_response(body).usage is None
    whole = FORMAT.read_whole(body)
    assert not isinstance(whole, UpstreamError)
    assert whole.usage is None


def test_a_refused_prompt_is_an_empty_answer() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}, "modelVersion": "m"}
    response = FORMAT.parse_response(json.dumps(body).encode())
    (candidate,) = response.candidates
    assert (candidate.parts, candidate.stop, candidate.native_stop) == ((), StopReason.CONTENT_FILTER, "SAFETY")
    assert response.usage == Usage(input=4)
    again = json.loads(FORMAT.render_response(response, ASKED))
    assert again["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in again


def test_what_has_no_word_is_kept() -> None:
    said = {**answer({"text": "Hi"}, safetyRatings=[{"a": 1}], avgLogprobs=-0.5), "createTime": "2026-05-27T16:53:45Z"}
    response = FORMAT.parse_response(json.dumps(said).encode())
    assert response.created == 1779900825
    again = json.loads(FORMAT.render_response(response, ASKED))
    assert again == said


@pytest.mark.parametrize("time", ["soon", "", 5, "0001-01-01T00:00:00"])
def test_a_time_that_is_none_is_not_said(time: object) -> None:
    said = json.dumps({**answer({"text": "Hi"}), "createTime": time}).encode()
    assert FORMAT.parse_response(said).created == 0


def test_candidates_are_told_apart() -> None:
    said = answer({"text": "a"})
    said["candidates"].append({"content": {"parts": [{"text": "b"}], "role": "model"}, "finishReason": "STOP"})
    first, second = FORMAT.parse_response(json.dumps(said).encode()).candidates
    assert (first.index, second.index) == (0, 1)
    assert second.parts == (Text(text="b"),)


def _grounded(segment: dict[str, Any], *parts: dict[str, Any]) -> tuple[Citation, ...]:
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"text": "x"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0, 1, 9, "x"]}],
    }
    found = _parts(*parts, groundingMetadata=metadata)
    return next(part.citations for part in reversed(found) if isinstance(part, Text))


def test_sources_are_counted_in_bytes() -> None:
    (cited,) = _grounded({"startIndex": 6, "endIndex": 10, "text": "là."}, {"text": "Où? là."})
    assert (cited.url, cited.title, cited.start, cited.end) == ("https://a", "A", 4, 7)
    (cited,) = _grounded({"startIndex": 5, "endIndex": 9, "text": "là."}, {"text": "Où? là."})
    assert (cited.start, cited.end) == (4, 7)


def test_sources_are_of_the_last_text() -> None:
    texts = ({"text": "Où? "}, {"executableCode": {"code": "1"}}, {"text": "là."})
    (cited,) = _grounded({"startIndex": 5, "endIndex": 9, "text": "là."}, *texts)
    assert (cited.start, cited.end) == (0, 3)
    (cited,) = _grounded({"startIndex": 0, "endIndex": 9, "text": "elsewhere"}, *texts)
    assert (cited.start, cited.end) == (None, None)


def test_a_part_of_a_kind_that_is_not_known_is_kept() -> None:
    (part,) = _parts({"hologram": {"x": 1}})
    assert isinstance(part, Opaque)
    assert told(part) == [{"hologram": {"x": 1}}]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"a": 1}', b"<html>", b'{"candidates"', b"\xff"])
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        FORMAT.parse_response(body)
    with pytest.raises(Garbled):
        FORMAT.read_whole(body)


@pytest.mark.parametrize(
    "part", [{"functionCall": 3}, {"inlineData": {}}, {"text": 3}, 3, {"functionCall": {"name": 3}}]
)
def test_a_part_that_is_broken_is_garbled(part: Any) -> None:
    with pytest.raises(Garbled):
        read(part)
    whole = FORMAT.read_whole(json.dumps(answer(part)).encode())
    assert not isinstance(whole, UpstreamError)
    assert whole.output_text()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["candidates", "content", "parts", "text", "functionCall", "name", "index", "finishReason", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["candidates", "usageMetadata", "promptFeedback", "error"]), JSON))
def test_garbage_is_nothing_worse_than_an_upstream_error(said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    try:
        response = FORMAT.parse_response(body)
    except UpstreamError:
        return
    FORMAT.render_response(response, ASKED)
    FORMAT.read_whole(body)


def test_all_that_was_written_is_counted() -> None:
    body = answer({"text": "T", "thought": True}, {"text": "Hi"}, {"functionCall": {"name": "f", "args": {"a": 1}}})
    whole = FORMAT.read_whole(json.dumps(body).encode())
    assert not isinstance(whole, UpstreamError)
    assert whole.output_text() == 'THif{"a": 1}'


# what is written


def test_an_answer_of_another_format_has_all_that_gemini_says() -> None:
    candidate = Candidate(parts=(Text(text="Hi"),), stop=StopReason.STOP, native_stop="end_turn")
    response = Response(
        id="msg_1",
        model="claude",
        candidates=(candidate,),
        usage=Usage(input=5, cache_read=2, output=4, reasoning=1, input_image=3),
        service_tier="default",
    )
    assert json.loads(FORMAT.render_response(response, ASKED)) == {
        "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 3,
            "totalTokenCount": 9,
            "thoughtsTokenCount": 1,
            "cachedContentTokenCount": 2,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}, {"modality": "IMAGE", "tokenCount": 3}],
            "serviceTier": "standard",
        },
        "modelVersion": "claude",
        "responseId": "msg_1",
    }


def test_an_answer_without_a_name_gets_one() -> None:
    said = json.loads(FORMAT.render_response(Response(service_tier="scale"), ASKED))
    assert (said["modelVersion"], said["responseId"], said["candidates"]) == ("asked", "1", [])
    assert "serviceTier" not in said["usageMetadata"]


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (StopReason.STOP, "STOP"),
        (StopReason.TOOL_CALLS, "STOP"),
        (StopReason.LENGTH, "MAX_TOKENS"),
        (StopReason.CONTENT_FILTER, "SAFETY"),
        (StopReason.REFUSED, "SAFETY"),
        (StopReason.PAUSED, "OTHER"),
        (StopReason.OTHER, "OTHER"),
    ],
)
def test_every_reason_has_a_word(stop: StopReason, word: str) -> None:
    assert rendered(Text(text="Hi"), stop=stop)["candidates"][0]["finishReason"] == word


def test_the_providers_own_word_is_kept() -> None:
    said = rendered(stop=StopReason.CONTENT_FILTER, native_stop="RECITATION")
    assert said["candidates"][0]["finishReason"] == "RECITATION"


def test_signatures_of_gemini_stand_where_they_stood() -> None:
    parts = (
        Reasoning(text="Hm.", seal=SEAL),
        Reasoning(seal=SEAL),
        ToolCall(id="c", name="f", arguments=b"{}"),
        Reasoning(seal=SEAL, field="text"),
        Reasoning(seal=SEAL, field="thought"),
        Reasoning(seal=SEAL),
    )
    assert told(*parts) == [
        {"text": "Hm.", "thought": True, "thoughtSignature": "sig"},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "sig"},
        {"text": "", "thoughtSignature": "sig"},
        {"text": "", "thought": True, "thoughtSignature": "sig"},
        {"text": "", "thoughtSignature": "sig"},
    ]


def test_trap_6_a_foreign_seal_goes_out_wrapped_and_comes_back() -> None:
    thought, call = told(Reasoning(text="Hm.", seal=FOREIGN), Reasoning(seal=FOREIGN), ToolCall(name="f"))
    assert thought == {"text": "Hm.", "thought": True, "thoughtSignature": wrap(FOREIGN)}
    assert call == {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": wrap(FOREIGN)}
    assert parse_signature(Raw(json.dumps(wrap(FOREIGN)).encode())) == FOREIGN


def test_reasoning_without_a_seal_is_a_thought() -> None:
    assert told(Reasoning(text="Hm."), Reasoning()) == [{"text": "Hm.", "thought": True}]


def test_two_signatures_do_not_share_a_part() -> None:
    assert told(Reasoning(seal=SEAL), Reasoning(seal=FOREIGN), Text(text="Hi")) == [
        {"text": "", "thoughtSignature": "sig"},
        {"text": "Hi", "thoughtSignature": wrap(FOREIGN)},
    ]


@pytest.mark.parametrize(
    ("arguments", "args"),
    [(b"", {}), (b" ", {}), (b'{"a":1}', {"a": 1}), (b'{"a":', {"_raw": '{"a":'}), (b"[1]", {"_raw": "[1]"})],
)
def test_trap_4_arguments_are_an_object(arguments: bytes, args: object) -> None:
    assert told(ToolCall(name="f", arguments=arguments)) == [{"functionCall": {"name": "f", "args": args}}]


def test_a_tool_of_a_group_has_its_flat_name() -> None:
    assert told(ToolCall(name="f", namespace="g"))[0]["functionCall"]["name"] == "g__f"


def test_media_are_data_or_an_address() -> None:
    assert told(
        Image(source=Inline("image/png", "aGk=")),
        Audio(source=Inline("", "aGk=")),
        File(source=Inline("text/plain", "aGk="), filename="a.txt"),
        Image(source=Url("https://a/b.png")),
        File(source=FileId("file-1")),
        Audio(source=Inline("audio/wav", ""), transcript="Hi"),
        Audio(source=Inline("audio/wav", "")),
    ) == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inlineData": {"mimeType": "application/octet-stream", "data": "aGk="}},
        {"inlineData": {"mimeType": "text/plain", "data": "aGk=", "displayName": "a.txt"}},
        {"fileData": {"fileUri": "https://a/b.png"}},
        {"text": "Hi"},
    ]


def test_a_file_by_address_keeps_its_type() -> None:
    (part,) = _parts({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}})
    assert told(part) == [{"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}}]


def test_what_gemini_has_no_part_for_is_left_out() -> None:
    raw = Raw(b'{"type":"web_search_call"}')
    parts = (
        ServerTool(origin="openai_responses", kind="web_search_call", value=raw),
        Opaque(origin="openai_responses", value=raw),
        ToolResult(call_id="c"),
        Text(),
        Refusal(),
        Refusal(text="No."),
    )
    assert told(*parts) == [{"text": "No."}]


def test_what_google_ran_itself_is_told_as_it_came() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "sig"}
    parts = _parts(code, {"codeExecutionResult": {"outcome": "OUTCOME_OK"}})
    assert told(*parts) == [code, {"codeExecutionResult": {"outcome": "OUTCOME_OK"}}]


def test_sources_of_another_format_are_grounding() -> None:
    cite = Citation(origin="openai_chat", value=Raw(b"{}"), url="https://a", title="A", start=4, end=6)
    whole = Citation(origin="openai_chat", value=Raw(b"{}"), url="https://a", title="A")
    none = Citation(origin="anthropic_messages", value=Raw(b"{}"), title="A")
    said = rendered(Text(text="Ça. "), Text(text="Où? là", citations=(cite, whole, none)))
    assert said["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 10, "endIndex": 13, "text": "là"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 5, "endIndex": 13, "text": "Où? là"}, "groundingChunkIndices": [0]},
        ],
    }
