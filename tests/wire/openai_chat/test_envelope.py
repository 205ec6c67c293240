"""The top level of a request: what is read is checked, what is not understood is kept."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.core.errors import WireError
from komeet.wire.openai_chat.envelope import parse_envelope

CALL: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def _body(**members: object) -> bytes:
    return json.dumps({**CALL, **members}).encode()


def test_what_the_gateway_needs_is_read() -> None:
    body = _body(
        stream=True,
        stream_options={"include_usage": True},
        n=3,
        max_completion_tokens=50,
        reasoning_effort="low",
        service_tier="flex",
        temperature=0,
        top_p=0.5,
        logprobs=None,
        future={"x": 1},
    )
    envelope = parse_envelope(body)
    assert envelope.model == "m"
    assert envelope.size == len(body)
    assert envelope.stream
    assert envelope.include_usage
    assert envelope.candidates == 3
    assert envelope.output_limit == 50
    assert envelope.effort == "low"
    assert envelope.service_tier == "flex"
    assert envelope.sampling == ("temperature", "top_p")
    assert bytes(envelope.fields["future"]) == b'{"x": 1}'


def test_null_counts_as_absent() -> None:
    names = (
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "service_tier",
        "temperature",
        "top_p",
    )
    envelope = parse_envelope(_body(**dict.fromkeys(names)))
    plain = parse_envelope(_body())
    for name in ("stream", "include_usage", "candidates", "output_limit", "effort", "service_tier", "sampling"):
        assert getattr(envelope, name) == getattr(plain, name)


def test_of_two_limits_the_smaller_counts() -> None:
    assert parse_envelope(_body(max_tokens=10, max_completion_tokens=20)).output_limit == 10
    assert parse_envelope(_body(max_tokens=20, max_completion_tokens=10)).output_limit == 10
    assert parse_envelope(_body(max_tokens=20, max_completion_tokens=None)).output_limit == 20


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("model", None, "missing_required_parameter"),
        ("model", "", "invalid_value"),
        ("model", 5, "invalid_type"),
        ("messages", None, "missing_required_parameter"),
        ("messages", [], "empty_array"),
        ("messages", "hi", "invalid_type"),
        ("messages", {}, "invalid_type"),
        ("stream", "true", "invalid_type"),
        ("stream", 1, "invalid_type"),
        ("n", 0, "integer_below_min_value"),
        ("n", 129, "integer_above_max_value"),
        ("n", 1.5, "invalid_type"),
        ("n", True, "invalid_type"),
        ("max_tokens", 0, "integer_below_min_value"),
        ("max_tokens", -1, "integer_below_min_value"),
        ("max_tokens", "100", "invalid_type"),
        ("max_tokens", 10**30, "integer_above_max_value"),
        ("max_completion_tokens", 0, "integer_below_min_value"),
        ("stream_options", [], "invalid_type"),
        ("temperature", "hot", "invalid_type"),
        ("top_p", [], "invalid_type"),
        ("reasoning_effort", 3, "invalid_type"),
        ("service_tier", {}, "invalid_type"),
    ],
)
def test_a_wrong_member_is_named(member: str, value: object, code: str) -> None:
    with pytest.raises(WireError) as refused:
        parse_envelope(_body(**{member: value}))
    assert refused.value.param == member
    assert refused.value.error_code == code
    assert f"'{member}'" in refused.value.message


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b'"temperature":1e400', "temperature"),
        (b'"top_p":-1e999', "top_p"),
        (b'"stream_options":{"include_usage":"yes"}', "stream_options.include_usage"),
    ],
)
def test_numbers_are_finite_and_paths_are_whole(text: bytes, param: str) -> None:
    with pytest.raises(WireError) as refused:
        parse_envelope(b'{"model":"m","messages":[1],' + text + b"}")
    assert refused.value.param == param


@pytest.mark.parametrize("member", ["model", "messages"])
def test_what_is_missing_is_named(member: str) -> None:
    body = json.dumps({name: value for name, value in CALL.items() if name != member}).encode()
    with pytest.raises(WireError, match=f"Missing required parameter: '{member}'"):
        parse_envelope(body)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "stream", "stream_options", "n", "max_tokens", "temperature", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.lists(st.integers(), max_size=2),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
)
def test_nothing_but_a_wire_error_escapes(body: bytes) -> None:
    try:
        envelope = parse_envelope(body)
    except WireError as error:
        assert error.http_status == 400
    else:
        assert envelope.model
        assert 1 <= envelope.candidates <= 128
