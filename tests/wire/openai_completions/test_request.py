"""Legacy Completions requests: a prompt is one turn of the user, and what no model of today does is refused."""

import json
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.part import Text
from komeet.canonical.request import Request, Sampling
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.openai_completions.format import FORMAT


def _envelope(**members: object) -> Envelope:
    return FORMAT.parse_envelope(json.dumps({"model": "m", "prompt": "hi", **members}).encode(), {})


def _request(**members: object) -> Request:
    return FORMAT.parse_request(_envelope(**members))


def test_a_prompt_is_one_turn() -> None:
    for prompt in ("hi", ["hi"]):
        assert _request(prompt=prompt) == Request(
            model="m", turns=(Turn(role=Role.USER, parts=(Text(text="hi"),)),), output_limit=16
        )


def test_every_member_is_read() -> None:
    members: dict[str, object] = {
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "seed": 7,
        "n": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["a", "b"],
        "user": "u",
        "logit_bias": {"1": 2},
    }
    envelope = _envelope(**members)
    assert (envelope.output_limit, envelope.candidates, envelope.stream, envelope.include_usage) == (9, 2, True, True)
    assert envelope.sampling == ("temperature", "top_p", "presence_penalty", "frequency_penalty")
    assert FORMAT.parse_request(envelope) == Request(
        model="m",
        turns=(Turn(role=Role.USER, parts=(Text(text="hi"),)),),
        sampling=Sampling(temperature=0, top_p=0.5, presence_penalty=1, frequency_penalty=-1, seed=7),
        output_limit=9,
        stop=("a", "b"),
        candidates=2,
        stream=True,
        include_usage=True,
        user="u",
        extras={"openai_completions": {"logit_bias": Raw(b'{"1": 2}')}},
    )


def test_null_counts_as_absent() -> None:
    names = ("max_tokens", "n", "stop", "stream", "stream_options", "echo", "suffix", "best_of", "logprobs", "user")
    assert _request(**dict.fromkeys(names)) == _request()


@pytest.mark.parametrize(("name", "value"), [("echo", False), ("suffix", ""), ("best_of", 1)])
def test_what_asks_for_nothing_is_taken(name: str, value: object) -> None:
    assert _request(**{name: value}) == _request()


@pytest.mark.parametrize(("name", "value"), [("echo", True), ("suffix", "x"), ("best_of", 2), ("logprobs", 0)])
def test_what_no_model_does_is_refused_with_what_to_do(name: str, value: object) -> None:
    with pytest.raises(WireError, match="Leave it out and") as refused:
        _envelope(**{name: value})
    assert (refused.value.param, refused.value.error_code) == (name, "unsupported_parameter")
    assert refused.value.http_status == 400


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (None, "Missing required parameter"),
        (["a", "b"], "a request for each"),
        ([], "Send one prompt"),
        ([1, 2], "array of tokens"),
        ([[1, 2]], "array of tokens"),
        (5, "Invalid type"),
    ],
)
def test_a_prompt_must_be_one_text(prompt: object, words: str) -> None:
    with pytest.raises(WireError, match=words) as refused:
        _envelope(prompt=prompt)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("model", ""),
        ("model", 5),
        ("max_tokens", 0),
        ("max_tokens", "x"),
        ("max_tokens", 10**30),
        ("n", 129),
        ("stream", 1),
        ("stream_options", 1),
        ("temperature", "x"),
    ],
)
def test_mistakes_are_named_by_their_path(member: str, value: object) -> None:
    with pytest.raises(WireError) as refused:
        _envelope(**{member: value})
    assert refused.value.param == member


def test_the_size_and_the_text_of_a_prompt() -> None:
    envelope = _envelope(prompt="words", n=2)
    extent = FORMAT.measure(envelope)
    assert (extent.bytes, extent.candidates, extent.output_limit) == (envelope.size, 2, 16)
    assert not (extent.external or extent.hosted_tools or extent.media)
    assert "words" in FORMAT.prompt_text(envelope)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("model", "prompt", "max_tokens", "n", "stop", "seed", "stream", "stream_options", "echo", "user", "x")


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), JUNK))
def test_a_strange_request_is_read_or_refused(members: dict[str, object]) -> None:
    try:
        request = _request(**members)
    except WireError as error:
        assert error.param
        return
    assert len(cast("Text", request.turns[0].parts[0]).text) < 100
