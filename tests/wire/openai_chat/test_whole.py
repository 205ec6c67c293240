"""A whole answer, as far as it is metered."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamAuth, UpstreamError
from komeet.wire.openai_chat.whole import ChatWhole, read_whole

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _read(**members: object) -> ChatWhole:
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]
    whole = read_whole(json.dumps({"model": "m-1", "choices": choices, **members}).encode())
    assert isinstance(whole, ChatWhole)
    return whole


def test_what_is_metered_is_read() -> None:
    whole = _read(usage=USAGE, service_tier="flex")
    assert whole.usage == Usage(input=3, output=2)
    assert (whole.model, whole.service_tier, whole.output_text()) == ("m-1", "flex", "Hello")


def test_usage_may_be_missing_or_nonsense_or_in_groqs_place() -> None:
    assert _read().usage is None
    assert _read(usage=None).usage is None
    assert _read(usage={"prompt_tokens": "x"}).usage is None
    assert _read(x_groq={"usage": USAGE}).usage == Usage(input=3, output=2)
    assert _read(x_groq=5).usage is None


def test_leading_white_space_is_taken() -> None:
    """OpenRouter keeps the connection alive with it."""
    assert isinstance(read_whole(b'\n         \n{"choices":[]}'), ChatWhole)


def test_members_of_the_wrong_type_do_no_harm() -> None:
    whole = _read(model=5, service_tier=[], choices=[{"message": {"content": {"a": 1}}}, 7])
    assert (whole.model, whole.service_tier) == ("", None)
    assert whole.output_text() == ""
    strange = _read(choices=[{"message": {"content": {"a": 1}}}])
    assert '"a": 1' in strange.output_text()


def test_all_candidates_and_tool_calls_are_output() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choices = [
        {"message": {"content": None, "reasoning_content": "hm", "tool_calls": [call]}},
        {"message": {"content": "b", "refusal": "no"}},
    ]
    assert _read(choices=choices).output_text() == "hmf{}bno"


def test_an_error_with_a_success_status_is_an_error() -> None:
    error = read_whole(b'{"error":{"message":"No credits","code":402},"choices":[]}')
    assert isinstance(error, UpstreamAuth)
    assert isinstance(read_whole(b'{"error":"broken"}'), UpstreamError)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"a":1}', b'{"choices":null}', b"[" * 200_000])
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        read_whole(body)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_nothing_else_escapes(body: bytes) -> None:
    try:
        read_whole(body)
    except Garbled as error:
        assert error.detail is None or "it starts with" in error.detail
