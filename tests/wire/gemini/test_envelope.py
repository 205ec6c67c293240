"""The top level of a Gemini request, and its address."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.gemini.asking import HI, PATH, STREAM, envelope

from komeet.catalog.profile import Profile, Sampling
from komeet.core.errors import WireError
from komeet.wire import seal as seals
from komeet.wire.format import Where
from komeet.wire.gemini import signature
from komeet.wire.gemini.edit import edit
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.parse_request import parse_request


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-3-pro:generateContent", "gemini-3-pro"),
        ("/v1/models/google%2Fgemini-3-pro:generateContent", "google/gemini-3-pro"),
        ("/v1beta/models/openai/gpt-5.2:generateContent", "openai/gpt-5.2"),
        ("/v1beta/models/ollama/llama3%3A8b:generateContent", "ollama/llama3:8b"),
    ],
)
def test_the_path_names_the_model(path: str, model: str) -> None:
    assert envelope({}, Where(path)).model == model


def test_a_path_without_a_model_is_refused() -> None:
    with pytest.raises(WireError, match="names no model"):
        envelope({}, Where("/v1beta/models/:generateContent"))


def test_a_stream_comes_as_events_only_where_they_are_asked_for() -> None:
    assert envelope({}, STREAM).stream_type == b"text/event-stream"
    array = envelope({}, Where(STREAM.path))
    assert (array.stream, array.stream_type) == (True, b"application/json")
    assert not envelope({}).stream


@pytest.mark.parametrize("named", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("limit", ["maxOutputTokens", "max_output_tokens"])
@pytest.mark.parametrize("value", [9, 9.0, "9"])
def test_a_limit_is_found_under_either_of_its_names(named: str, limit: str, value: Any) -> None:
    assert envelope({named: {limit: value}}).output_limit == 9


def test_a_limit_of_nothing_is_no_limit() -> None:
    assert envelope({"generationConfig": {"maxOutputTokens": 0}}).output_limit is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": None}, "contents"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount"),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {}, "generation_config": {}}, "generationConfig"),
        (
            {"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 99}},
            "generationConfig.maxOutputTokens",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path(body: dict[str, Any], param: str) -> None:
    with pytest.raises(WireError) as refused:
        envelope(body)
    assert refused.value.param == param


def test_the_gateway_knows_the_effort_the_tier_and_the_sampling() -> None:
    config = {"thinkingConfig": {"thinkingLevel": "LOW"}, "temperature": 0.5, "top_k": 3, "candidateCount": 2}
    found = envelope({"generationConfig": config, "serviceTier": "STANDARD"})
    assert (found.effort, found.service_tier, found.candidates) == ("low", "default", 2)
    assert found.sampling == ("temperature", "topK")


def test_a_request_with_a_seal_of_another_format_is_seen() -> None:
    sealed = {"text": "x", "thought": True, "thoughtSignature": signature.wrap(None)}
    assert envelope({"contents": [{"role": "model", "parts": [sealed]}]}).sealed
    assert not envelope({}).sealed


@pytest.mark.parametrize("seed", range(3))
def test_a_wrapped_seal_begins_alike_and_is_the_same_in_both_alphabets(seed: int) -> None:
    told = signature.wrap(signature.parse_signature(msgspec.Raw(msgspec.json.encode("?>~\xff" * seed or "x"))))
    assert told.encode().startswith(signature.MARK)
    assert not {"+", "/", "-", "_"} & set(told)
    assert seals.MARK not in told


def test_an_edit_sets_the_limit_where_the_caller_set_none() -> None:
    def edited(body: dict[str, Any]) -> Any:
        return json.loads(edit(envelope(body), profile=Profile(), output_limit=7).body)

    assert edited({})["generationConfig"] == {"maxOutputTokens": 7}
    assert edited({"generation_config": {"topP": 1}})["generation_config"] == {"topP": 1, "maxOutputTokens": 7}
    assert edited({"generationConfig": {"max_output_tokens": 0}})["generationConfig"] == {"max_output_tokens": 7}
    assert edited({"generationConfig": {"maxOutputTokens": 5}})["generationConfig"] == {"maxOutputTokens": 5}


def test_an_edit_drops_what_the_model_refuses_and_keeps_what_is_not_known() -> None:
    body = {"generationConfig": {"temperature": 1, "topP": 0.5, "newKnob": 1}, "newField": [1], "model": "models/x"}
    edited = edit(envelope(body), profile=Profile(sampling=Sampling.NEVER), output_limit=None)
    assert json.loads(edited.body) == {"contents": [HI], "generationConfig": {"newKnob": 1}, "newField": [1]}
    assert [loss.path for loss in edited.losses] == ["generationConfig.topP"]
    assert edited.key == "x-goog-api-key"


def test_an_edit_leaves_no_second_limit_to_another_reader() -> None:
    twice = b'{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":9999,"maxOutputTokens":5}}'
    found = parse_envelope(twice, Where(PATH))
    assert found.output_limit == 5
    assert edit(found, profile=Profile(), output_limit=None).body.count(b"maxOutputTokens") == 1


def test_an_edit_refuses_more_answers_than_the_model_gives() -> None:
    with pytest.raises(WireError, match="gives 1 answer"):
        edit(envelope({"generationConfig": {"candidateCount": 2}}), profile=Profile(candidates=1), output_limit=None)


_NAMES = st.sampled_from(
    [
        "contents",
        "role",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "functionResponse",
        "inlineData",
        "fileData",
        "name",
        "args",
        "id",
        "response",
        "data",
        "mimeType",
        "file_uri",
        "tools",
        "functionDeclarations",
        "parameters",
        "toolConfig",
        "functionCallingConfig",
        "mode",
        "generationConfig",
        "responseSchema",
        "responseMimeType",
        "thinkingConfig",
        "thinkingBudget",
        "thinkingLevel",
        "topK",
        "stopSequences",
        "systemInstruction",
        "serviceTier",
        "candidateCount",
    ]
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=25,
)


@given(st.dictionaries(_NAMES, _JSON, max_size=5), _JSON)
def test_whatever_is_sent_is_understood_or_refused(body: dict[str, Any], part: Any) -> None:
    for told in (body, {"contents": [{"role": "user", "parts": [part]}], **body}):
        try:
            found = parse_envelope(json.dumps(told).encode(), Where(PATH))
            edit(found, profile=Profile(), output_limit=3)
            parse_request(found)
        except WireError as error:
            assert error.status == 400
