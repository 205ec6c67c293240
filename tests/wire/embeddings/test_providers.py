"""Embeddings of providers that have formats of their own: what they are asked, and what their answers say."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.embeddings.asking import request, told

from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable
from komeet.wire.embeddings import cohere, gemini, mistral, titan
from komeet.wire.single import EmbeddingTarget

TARGETS: dict[str, EmbeddingTarget] = {
    each.name: each for each in (mistral.TARGET, gemini.TARGET, cohere.TARGET, cohere.ON_BEDROCK, titan.TARGET)
}
ANSWERS: dict[str, tuple[object, int | None]] = {
    "mistral_embeddings": (
        {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}},
        3,
    ),
    "gemini_embeddings": ({"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 3}}, 3),
    "cohere_embeddings": ({"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 3.0}}}, 3),
    "bedrock_cohere_embeddings": ({"embeddings": [[0.5]], "response_type": "embeddings_floats"}, None),
    "titan_embeddings": ({"embedding": [0.5], "inputTextTokenCount": 3}, 3),
}


def asked(name: str, **members: Any) -> tuple[Any, list[str]]:
    """What the provider is asked, and what is lost."""
    edited = TARGETS[name].render_request(request(**members), Profile())
    return json.loads(edited.body), [loss.path for loss in edited.losses]


@pytest.mark.parametrize("name", TARGETS)
def test_an_answer_is_told_in_openais_shape_in_both_encodings(name: str) -> None:
    body, tokens = ANSWERS[name]
    answer = TARGETS[name].parse_response(json.dumps(body).encode(), request())
    assert answer.usage == (None if tokens is None else Usage(input=tokens))
    said = told(answer)
    assert said["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    assert (said["object"], said["model"]) == ("list", "m")
    assert told(answer, encoding_format="base64")["data"][0]["embedding"] == "AAAAPw=="


@pytest.mark.parametrize("name", TARGETS)
def test_tokens_are_refused_by_providers_of_texts(name: str) -> None:
    with pytest.raises(Unrepresentable) as refused:
        asked(name, input=[1, 2])
    assert (refused.value.http_status, refused.value.param) == (422, "input")


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_provider_does_not_have_is_declared(name: str) -> None:
    _, losses = asked(name, user="u", late_chunking=True, unset=None)
    assert losses == ["user", "late_chunking"]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"<html>", b'{"embeddings":5}', b'{"embeddings":{}}', b"[" * 100_000]
)
def test_what_is_no_answer_is_garbled(name: str, body: bytes) -> None:
    with pytest.raises(Garbled):
        TARGETS[name].parse_response(body, request())


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "titan_embeddings"])
def test_another_number_of_vectors_than_of_inputs_is_garbled(name: str) -> None:
    with pytest.raises(Garbled):
        TARGETS[name].parse_response(json.dumps(ANSWERS[name][0]).encode(), request(input=["a", "b"]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["embeddings", "values", "float", "embedding", "meta", "usageMetadata"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(TARGETS)), VALUES)
def test_nothing_but_garbled_escapes(name: str, value: object) -> None:
    with contextlib.suppress(Garbled):
        TARGETS[name].parse_response(json.dumps(value).encode(), request())


def test_mistral_names_the_size_otherwise_and_is_told_its_own_members() -> None:
    body, losses = asked("mistral_embeddings", dimensions=256, output_dtype="int8", encoding_format="base64")
    assert body == {"model": "m", "input": ["hi"], "output_dimension": 256, "output_dtype": "int8"}
    assert losses == []
    assert asked("mistral_embeddings", input_type="query")[1] == ["input_type"]


def test_gemini_is_asked_in_a_batch_with_the_purpose_in_its_words() -> None:
    body, losses = asked("gemini_embeddings", input=["a", "b"], dimensions=256, input_type="search_query")
    each = {"model": "models/m", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256}
    assert body == {"requests": [each | {"content": {"parts": [{"text": text}]}} for text in "ab"]}
    assert losses == []
    assert gemini.TARGET.path("a/b", stream=False) == "/models/a%2Fb:batchEmbedContents"
    assert gemini.TARGET.render_request(request(), Profile()).key == "x-goog-api-key"


def test_gemini_without_usage_is_to_be_estimated() -> None:
    answer = gemini.TARGET.parse_response(b'{"embeddings":[{"values":[1]}],"usageMetadata":5}', request())
    assert answer.usage is None


def test_cohere_has_to_be_told_a_purpose() -> None:
    body, losses = asked("cohere_embeddings", dimensions=256)
    assert body == {
        "model": "m",
        "texts": ["hi"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert losses == []


@pytest.mark.parametrize(
    ("word", "sent", "lost"),
    [
        ("query", "search_query", []),
        ("clustering", "clustering", []),
        ("a_new_one", "a_new_one", []),
        ("semantic_similarity", "search_document", ["input_type"]),
    ],
)
def test_cohere_is_told_the_purpose_in_its_words(word: str, sent: str, lost: list[str]) -> None:
    body, losses = asked("cohere_embeddings", input_type=word)
    assert (body["input_type"], losses) == (sent, lost)


def test_cohere_at_bedrock_is_named_in_the_path_and_signed() -> None:
    body, losses = asked("bedrock_cohere_embeddings", truncate="END", dimensions=5)
    assert body == {"texts": ["hi"], "input_type": "search_document", "truncate": "END"}
    assert losses == ["dimensions"]
    assert cohere.ON_BEDROCK.path("cohere.embed-english-v3:0", stream=False) == (
        "/model/cohere.embed-english-v3%3A0/invoke"
    )
    assert cohere.ON_BEDROCK.render_request(request(), Profile()).key == "sigv4"


def test_titan_takes_one_text_to_a_call() -> None:
    body, losses = asked("titan_embeddings", input=["hi"], dimensions=256, normalize=False)
    assert (body, losses) == ({"inputText": "hi", "dimensions": 256, "normalize": False}, [])
    with pytest.raises(Unrepresentable, match="one text to a call"):
        asked("titan_embeddings", input=["a", "b"])
