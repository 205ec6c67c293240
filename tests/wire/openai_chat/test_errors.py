"""Errors in OpenAI's shape, both ways."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.core.errors import (
    AuthError,
    BudgetExceeded,
    CutMidStream,
    InternalError,
    KomeetError,
    LimitExceeded,
    MethodNotAllowed,
    ModelNotFound,
    NotAllowed,
    Unavailable,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
    WireError,
)
from komeet.wire.format import Passed
from komeet.wire.openai_chat.errors import names_stream_options, parse_error, render_error, render_stream_error

SHAPED = b'{"error":{"message":"No such model.","type":"invalid_request_error","param":null,"code":"model_not_found"}}'


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "param"),
    [
        (WireError("m", param="n", code="invalid_type"), 400, "invalid_request_error", "invalid_type", "n"),
        (AuthError("m"), 401, "invalid_request_error", "invalid_api_key", None),
        (BudgetExceeded("m", room=0), 402, "insufficient_quota", "budget_exceeded", None),
        (NotAllowed("m"), 403, "invalid_request_error", "not_allowed", None),
        (ModelNotFound("m", param="model"), 404, "invalid_request_error", "model_not_found", "model"),
        (LimitExceeded("m"), 429, "rate_limit_error", "rate_limit_exceeded", None),
        (UpstreamLimited("m", upstream_status=429), 429, "rate_limit_error", "upstream_rate_limited", None),
        (UpstreamAuth("m", upstream_status=401), 502, "server_error", "upstream_auth", None),
        (UpstreamTimedOut("m", phase="idle"), 504, "server_error", "upstream_timeout", None),
        (InternalError("m"), 500, "server_error", "internal_error", None),
        (Unavailable("m"), 503, "server_error", "unavailable", None),
    ],
)
def test_every_error_has_all_four_members(
    error: KomeetError, status: int, kind: str, code: str, param: str | None
) -> None:
    got, headers, body = render_error(error)
    assert got == status
    assert (b"content-type", b"application/json") in headers
    assert json.loads(body) == {"error": {"message": "m", "type": kind, "param": param, "code": code}}


def test_when_to_come_back_is_said_in_whole_seconds_rounded_up() -> None:
    for told, said in ((0.2, b"1"), (2, b"2"), (2.1, b"3"), (-5, b"0")):
        headers = dict(render_error(LimitExceeded("m", retry_after=told))[1])
        assert headers[b"retry-after"] == said
    assert b"retry-after" not in dict(render_error(LimitExceeded("m"))[1])


def test_a_wrong_method_is_told_the_right_ones() -> None:
    assert dict(render_error(MethodNotAllowed("m", allow="GET, HEAD"))[1])[b"allow"] == b"GET, HEAD"


def test_an_error_in_a_stream_is_one_event() -> None:
    event = render_stream_error(CutMidStream("m"))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:])["error"]["code"] == "upstream_cut"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_is_about_our_credential_is_never_the_callers_fault(status: int) -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop1234"}}'
    error = parse_error(status, {}, body, "openai")
    assert isinstance(error, UpstreamAuth)
    assert (error.http_status, error.upstream_status) == (502, status)
    assert "Incorrect" not in error.message
    assert error.detail is not None
    assert "Incorrect API key" in error.detail
    assert "abcdefghijklmnop" not in error.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b'{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}'),
        (429, b'{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":null}}'),
        (400, b'[{"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}}]'),
    ],
)
def test_an_exhausted_account_is_ours_whatever_the_status(status: int, body: bytes) -> None:
    assert isinstance(parse_error(status, {}, body, "openai"), UpstreamAuth)


@pytest.mark.parametrize(
    ("status", "kind", "answered"),
    [
        (429, UpstreamLimited, 429),
        (500, UpstreamRefused, 502),
        (502, UpstreamRefused, 502),
        (520, UpstreamRefused, 502),
        (302, UpstreamRefused, 502),
        (503, UpstreamBusy, 503),
        (529, UpstreamBusy, 503),
        (504, UpstreamTimedOut, 504),
        (408, UpstreamTimedOut, 504),
    ],
)
def test_what_is_the_providers_fault_is_said_in_our_words(status: int, kind: type[KomeetError], answered: int) -> None:
    error = parse_error(status, {}, b"<html>nginx</html>", "groq")
    assert isinstance(error, KomeetError)
    assert type(error) is kind
    assert error.http_status == answered
    assert "groq" in error.message
    assert "html" not in error.message


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422, 451])
def test_what_is_about_the_request_is_passed_on_as_it_came(status: int) -> None:
    assert parse_error(status, {}, SHAPED, "openai") == Passed(
        status=status, body=SHAPED, message="No such model.", code="model_not_found"
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"object":"error","message":"too long"}', "too long"),
        (b'{"detail":"too long"}', "too long"),
        (b'{"error":"too long"}', "too long"),
        (b'[{"error":{"code":400,"message":"too long","status":"INVALID_ARGUMENT"}}]', "too long"),
        (b"too long", "too long"),
        (b'{"detail":[{"loc":["body"],"msg":"x"}]}', ""),
        (b"<html><body>too long</body></html>", ""),
        (b"", ""),
        (b"\xff\x00\x01", ""),
    ],
)
def test_other_shapes_are_put_into_ours(body: bytes, told: str) -> None:
    passed = parse_error(400, {}, body, "mistral")
    assert isinstance(passed, Passed)
    error = json.loads(passed.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "mistral" in error["message"]
    assert told in error["message"]
    assert "<" not in error["message"]


NOW = 1_763_800_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"7"}, 7),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"7"}, 0.25),
        (
            {
                b"retry-after": formatdate(NOW + 30, usegmt=True).encode(),
                b"date": formatdate(NOW, usegmt=True).encode(),
            },
            30,
        ),
        (
            {
                b"retry-after": formatdate(NOW - 30, usegmt=True).encode(),
                b"date": formatdate(NOW, usegmt=True).encode(),
            },
            0,
        ),
        ({b"retry-after": formatdate(NOW, usegmt=True).encode()}, None),
        ({b"retry-after": b"soon", b"date": b"now"}, None),
        ({b"retry-after": b"-5"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({}, None),
    ],
)
def test_when_the_provider_wants_us_back(headers: dict[bytes, bytes], seconds: float | None) -> None:
    for status in (429, 500, 503, 504):
        error = parse_error(status, headers, b"", "openai")
        assert isinstance(error, KomeetError)
        assert error.retry_after == seconds


def test_a_refusal_of_stream_options_is_recognised() -> None:
    assert names_stream_options(b'{"error":{"message":"Unknown parameter: \'stream_options\'"}}')
    assert names_stream_options(b'{"detail":"extra fields: include_usage"}')
    assert not names_stream_options(SHAPED)


@settings(deadline=None)
@given(
    st.integers(100, 599).filter(lambda status: not 200 <= status < 300),
    st.dictionaries(st.sampled_from([b"retry-after", b"retry-after-ms", b"date"]), st.binary(max_size=12)),
    st.binary(max_size=60) | st.sampled_from([b"[" * 100_000, b'{"error":' * 2000, b'{"error":{"message":5}}']),
)
def test_any_refusal_means_something(status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    meaning = parse_error(status, headers, body, "p")
    if isinstance(meaning, Passed):
        assert 400 <= meaning.status < 500
        assert "error" in json.loads(meaning.body)
    else:
        json.loads(render_error(meaning)[2])
