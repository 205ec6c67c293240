"""OpenAI's embeddings in both roles."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.embeddings.asking import enveloped, request, told
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.embedding import Encoding, Purpose
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.embeddings.inputs import MOST_INPUTS
from komeet.wire.embeddings.openai import CALLER, TARGET
from komeet.wire.single_way import SingleWay

RECORDINGS = load(lambda each: each.path.endswith("/v1/embeddings"))
ANSWERS = [each for each in RECORDINGS if each.status == 200]


def answer(*vectors: object, **members: object) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(vectors)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return json.dumps({"object": "list", "data": data, "model": "m-1", "usage": usage, **members}).encode()


def way(pass_through: bool = True, **members: Any) -> Any:
    return SingleWay(CALLER, TARGET, enveloped(**members), pass_through=pass_through)


@needs_recordings
@each_of(ANSWERS)
@pytest.mark.parametrize("pass_through", [True, False])
def test_recorded_answers_go_out_as_they_came_or_say_the_same(recording: Recording, pass_through: bool) -> None:
    envelope = CALLER.parse_envelope(bytes(recording.request), {})
    path = SingleWay(CALLER, TARGET, envelope, pass_through=pass_through)
    whole = path.whole(recording.body, streamed=False)
    assert not isinstance(whole, UpstreamError)
    told_usage = json.loads(recording.body)["usage"]
    assert whole.usage == Usage(input=told_usage["prompt_tokens"])
    written = whole.render(whole.usage)
    assert path.identity is pass_through
    assert (written == recording.body) if pass_through else (json.loads(written) == json.loads(recording.body))


@needs_recordings
@each_of(RECORDINGS)
def test_recorded_requests_are_sent_as_they_came_or_in_the_normal_form(recording: Recording) -> None:
    """The normal form: `input` is an array, and the encoding is named."""
    envelope = CALLER.parse_envelope(bytes(recording.request), {})
    sent = json.loads(bytes(recording.request))
    for pass_through in (True, False):
        path = SingleWay(CALLER, TARGET, envelope, pass_through=pass_through)
        edited = path.request(model=envelope.model, profile=Profile(), output_limit=None, ask_usage=False)
        expected = sent
        if not pass_through:
            several = [sent["input"]] if isinstance(sent["input"], str) else sent["input"]
            expected = {"encoding_format": "float", **sent, "input": several}
        assert json.loads(edited.body) == expected
        assert edited.losses == ()


def test_a_provider_that_writes_numbers_though_base64_was_asked_is_corrected() -> None:
    whole = way(encoding_format="base64").whole(answer([0.5, -1.0]), streamed=False)
    assert whole.usage == Usage(input=7)
    assert json.loads(whole.render(None))["data"][0]["embedding"] == "AAAAPwAAgL8="


def test_a_provider_that_writes_base64_though_numbers_were_asked_is_corrected() -> None:
    whole = way().whole(answer("AAAAPwAAgL8="), streamed=False)
    body = json.loads(whole.render(None))
    assert body["data"][0]["embedding"] == [0.5, -1.0]
    assert (body["object"], body["model"], body["usage"]) == ("list", "m-1", {"prompt_tokens": 7, "total_tokens": 7})


def test_vectors_are_told_in_the_order_of_their_index() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    parsed = TARGET.parse_response(json.dumps({"data": data}).encode(), request(input=["a", "b"]))
    assert [each["embedding"] for each in told(parsed, input=["a", "b"])["data"]] == [[0.0], [1.0]]


def test_another_number_of_vectors_than_of_inputs_is_garbled() -> None:
    with pytest.raises(Garbled, match="2 inputs with 1"):
        TARGET.parse_response(answer([1.0]), request(input=["a", "b"]))


def test_the_answer_of_a_provider_that_names_no_model_names_the_one_that_was_asked() -> None:
    assert told(TARGET.parse_response(b'{"data":[{"embedding":[1]}]}', request()))["model"] == "m"


@pytest.mark.parametrize(
    "usage",
    [None, {}, 5, {"prompt_tokens": 0}, {"prompt_tokens": -1}, {"prompt_tokens": 2**41}, {"prompt_tokens": "x"}],
)
def test_usage_that_is_not_to_be_believed_is_none(usage: object) -> None:
    assert way().whole(answer([1.0], usage=usage), streamed=False).usage is None


def test_an_error_with_a_success_status_is_an_error() -> None:
    for pass_through in (True, False):
        body = b'{"error":{"message":"no","code":429}}'
        assert isinstance(way(pass_through).whole(body, streamed=False), UpstreamError)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"a":1}', b'{"data":5}', b'{"data":[5]}', b"[" * 200_000])
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    for pass_through in (True, False):
        with pytest.raises(Garbled):
            way(pass_through).whole(body, streamed=False)


def test_a_stream_is_no_answer() -> None:
    with pytest.raises(Garbled):
        way().whole(b"data: {}\n\n", streamed=True)


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=5).map(
        lambda value: json.dumps({"data": [{"embedding": value}]}).encode()
    )
)
def test_nothing_but_garbled_escapes(body: bytes) -> None:
    for pass_through in (True, False):
        with contextlib.suppress(Garbled):
            way(pass_through).whole(body, streamed=False)


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        ("a", ("a",)),
        (["a", " "], ("a", " ")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
    ],
)
def test_all_four_forms_of_input_are_read(given_input: object, expected: object) -> None:
    assert request(input=given_input).inputs == expected


@pytest.mark.parametrize(
    ("given_input", "param", "code"),
    [
        (None, "input", "missing_required_parameter"),
        (5, "input", "invalid_type"),
        ({}, "input", "invalid_type"),
        ("", "input", "empty_string"),
        ([], "input", "empty_array"),
        (["a", "b", "c", ""], "input[3]", "empty_string"),
        (["a", 5], "input[1]", "invalid_type"),
        ([1, "a"], "input[1]", "invalid_type"),
        ([1, -1], "input[1]", "invalid_value"),
        ([1, 2**40], "input[1]", "invalid_value"),
        ([1.5], "input[0]", "invalid_type"),
        ([[1], []], "input[1]", "empty_array"),
        ([[1], "a"], "input[1]", "invalid_type"),
        ([[1], [2, "a"]], "input[1][1]", "invalid_type"),
        ([None], "input[0]", "invalid_type"),
        (["a"] * (MOST_INPUTS + 1), "input", "array_above_max_length"),
        ([[1]] * (MOST_INPUTS + 1), "input", "array_above_max_length"),
    ],
)
def test_mistakes_of_the_input_are_refused_with_their_path(given_input: object, param: str, code: str) -> None:
    with pytest.raises(WireError) as refused:
        enveloped(input=given_input)
    assert (refused.value.param, refused.value.error_code, refused.value.http_status) == (param, code, 400)


def test_as_many_inputs_as_openai_takes_are_taken_and_as_many_tokens_in_one_as_there_are() -> None:
    assert len(request(input=["a"] * MOST_INPUTS).inputs) == MOST_INPUTS
    assert request(input=[1] * 5000).inputs == ((1,) * 5000,)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "x"}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
        ({"user": 5}, "user"),
        ({"input_type": []}, "input_type"),
    ],
)
def test_mistakes_elsewhere_are_refused_with_their_path(members: dict[str, Any], param: str) -> None:
    with pytest.raises(WireError) as refused:
        enveloped(**members)
    assert refused.value.param == param


def test_null_counts_as_absent_and_what_is_unknown_is_kept() -> None:
    parsed = request(dimensions=None, encoding_format=None, user=None, input_type=None, late_chunking=True)
    assert (parsed.dimensions, parsed.encoding, parsed.user, parsed.purpose) == (None, Encoding.FLOAT, None, None)
    edited = TARGET.render_request(parsed, Profile())
    assert json.loads(edited.body)["late_chunking"] is True


@pytest.mark.parametrize("word", ["search_query", "query", "RETRIEVAL_QUERY"])
def test_the_purpose_may_be_named_in_any_providers_words(word: str) -> None:
    assert request(input_type=word).purpose is Purpose.QUERY
    assert json.loads(TARGET.render_request(request(input_type=word), Profile()).body)["input_type"] == word


def test_the_extent_bounds_the_input_and_there_is_no_output() -> None:
    envelope = enveloped(input=["a", "b"])
    extent = CALLER.measure(envelope)
    assert (extent.bytes, extent.inputs, extent.output_limit, extent.external) == (envelope.size, 2, 0, False)
    assert (envelope.inputs, envelope.output_limit, envelope.stream) == (2, 0, False)


def test_texts_are_counted_as_text_and_tokens_as_many_as_they_are() -> None:
    assert CALLER.prompt_text(enveloped(input=["a", "b"])) == "a\nb"
    assert CALLER.prompt_text(enveloped(input=[1, 2, 3])) == " a a a"


@given(st.binary(max_size=60))
def test_a_body_that_is_no_call_is_a_wire_error(body: bytes) -> None:
    with pytest.raises(WireError):
        CALLER.parse_envelope(body, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    st.lists,
    max_leaves=8,
)


@given(JSON)
def test_any_input_is_read_or_a_wire_error(value: object) -> None:
    try:
        parsed = request(input=value)
    except WireError as error:
        assert error.param is not None
        assert error.param.startswith("input")
    else:
        assert all(parsed.inputs)
