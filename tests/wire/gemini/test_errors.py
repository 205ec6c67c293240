"""Errors in Google's shape, both ways: one point each."""

import json
from typing import Any

import pytest
from tests.wire.gemini.answers import ARRAY, written

from komeet.canonical.event import Fail
from komeet.core.errors import (
    AuthError,
    BudgetExceeded,
    CutMidStream,
    Garbled,
    InternalError,
    KomeetError,
    LimitExceeded,
    ModelNotFound,
    NotAllowed,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
    WireError,
)
from komeet.wire.format import Passed
from komeet.wire.gemini.format import FORMAT


def _google(code: int, status: str, message: str = "No.", **more: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, **more}}).encode()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (WireError("No.", param="contents"), 400, "INVALID_ARGUMENT"),
        (AuthError("No."), 401, "UNAUTHENTICATED"),
        (BudgetExceeded("No.", room=0), 402, "FAILED_PRECONDITION"),
        (NotAllowed("No."), 403, "PERMISSION_DENIED"),
        (ModelNotFound("No."), 404, "NOT_FOUND"),
        (LimitExceeded("No."), 429, "RESOURCE_EXHAUSTED"),
        (InternalError("No."), 500, "INTERNAL"),
        (Garbled("No."), 502, "UNAVAILABLE"),
        (UpstreamBusy("No.", upstream_status=503), 503, "UNAVAILABLE"),
        (UpstreamTimedOut("No.", phase="idle"), 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_an_error_of_ours_has_googles_status(error: KomeetError, code: int, status: str) -> None:
    answered, headers, body = FORMAT.render_error(error)
    told = json.loads(body)["error"]
    assert (answered, told["code"], told["status"], told["message"]) == (code, code, status, "No.")
    assert (b"content-type", b"application/json") in headers


def test_an_error_says_what_it_is_about_and_when_to_come_back() -> None:
    error = LimitExceeded("Slow down.", param="contents", retry_after=2.5)
    told = json.loads(FORMAT.render_error(error)[2])["error"]
    info, violation, retry = told["details"]
    assert info["reason"] == "RATE_LIMIT_EXCEEDED"
    assert violation["fieldViolations"] == [{"field": "contents", "description": "Slow down."}]
    assert retry["retryDelay"] == "2.5s"


def test_an_error_in_a_stream_is_an_event() -> None:
    said = FORMAT.render_stream_error(CutMidStream("Cut."))
    assert said.startswith(b"data: {")
    assert said.endswith(b"\r\n\r\n")
    assert json.loads(said[6:])["error"]["status"] == "UNAVAILABLE"


def test_an_error_in_a_stream_that_is_an_array_is_its_last_element() -> None:
    (last,) = json.loads(written(Fail(error=CutMidStream("Cut.")), asked=ARRAY))
    assert last["error"]["message"] == "Cut."


def test_a_bad_key_is_ours() -> None:
    for status, body in (
        (400, _google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")),
        (400, _google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.")),
        (400, _google(400, "FAILED_PRECONDITION", "User location is not supported for the API use.")),
        (401, _google(401, "UNAUTHENTICATED")),
        (403, _google(403, "PERMISSION_DENIED")),
    ):
        assert isinstance(FORMAT.parse_error(status, {}, body, "google"), UpstreamAuth)


def test_a_file_that_is_not_the_keys_is_the_callers() -> None:
    body = _google(403, "PERMISSION_DENIED", "You do not have permission to access the File x or it may not exist.")
    passed = FORMAT.parse_error(403, {}, body, "google")
    assert isinstance(passed, Passed)
    assert (passed.status, passed.body, passed.code) == (403, body, "PERMISSION_DENIED")


def test_a_bad_key_is_ours_whatever_else_a_refusal_names() -> None:
    body = _google(403, "PERMISSION_DENIED", "API_KEY_INVALID: You do not have permission to access the File x.")
    assert isinstance(FORMAT.parse_error(403, {}, body, "google"), UpstreamAuth)


def test_a_limit_says_when_to_come_back() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"retryDelay": "34.5s"}]
    error = FORMAT.parse_error(429, {}, _google(429, "RESOURCE_EXHAUSTED", details=details), "google")
    assert isinstance(error, UpstreamLimited)
    assert error.retry_after == 34.5
    error = FORMAT.parse_error(429, {b"retry-after": b"7"}, _google(429, "RESOURCE_EXHAUSTED"), "google")
    assert isinstance(error, UpstreamLimited)
    assert error.retry_after == 7


@pytest.mark.parametrize("details", [["x"], [{"retryDelay": "soon"}], [{"retryDelay": 3}], []])
def test_details_may_be_anything(details: list[object]) -> None:
    error = FORMAT.parse_error(503, {}, _google(503, "UNAVAILABLE", details=details), "google")
    assert isinstance(error, UpstreamBusy)
    assert error.retry_after is None


def test_what_the_caller_did_is_passed_on() -> None:
    body = _google(404, "NOT_FOUND", "models/x is not found for API version v1beta")
    passed = FORMAT.parse_error(404, {}, body, "google")
    assert isinstance(passed, Passed)
    assert (passed.body, passed.code, passed.message) == (
        body,
        "NOT_FOUND",
        "models/x is not found for API version v1beta",
    )


def test_an_error_in_an_array_is_taken_out_of_it() -> None:
    passed = FORMAT.parse_error(400, {}, b"[" + _google(400, "INVALID_ARGUMENT", details=[{"a": 1}]) + b"]", "google")
    assert isinstance(passed, Passed)
    told = {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "details": [{"a": 1}]}
    assert json.loads(passed.body) == {"error": told}


def test_a_refusal_without_googles_shape_gets_it() -> None:
    passed = FORMAT.parse_error(404, {}, b"<html>not here</html>", "google")
    assert isinstance(passed, Passed)
    told = json.loads(passed.body)["error"]
    assert (told["code"], told["status"]) == (404, "NOT_FOUND")


def test_a_refusal_of_another_format_is_told_in_googles_words() -> None:
    passed = Passed(status=400, body=b"{}", message="No.", code="unsupported_value", param="messages[0]")
    told = json.loads(FORMAT.render_refusal(passed))["error"]
    assert (told["code"], told["status"], told["message"]) == (400, "INVALID_ARGUMENT", "No.")
    assert [each.get("reason") for each in told["details"]] == ["unsupported_value", None]
    bare = json.loads(FORMAT.render_refusal(Passed(status=422, body=b"{}")))["error"]
    assert (bare["code"], bare["status"]) == (422, "INVALID_ARGUMENT")
    assert "422" in bare["message"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_google(401, "UNAUTHENTICATED"), UpstreamAuth),
        (_google(0, "PERMISSION_DENIED"), UpstreamAuth),
        (_google(429, "RESOURCE_EXHAUSTED"), UpstreamLimited),
        (_google(503, "UNAVAILABLE", "The model is overloaded."), UpstreamBusy),
        (_google(504, "DEADLINE_EXCEEDED"), UpstreamTimedOut),
        (_google(500, "INTERNAL"), UpstreamRefused),
        (b'{"error": "boom"}', UpstreamRefused),
        (b'{"error": {"code": "x"}}', UpstreamRefused),
    ],
)
def test_an_error_with_a_success_status_is_one(body: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        FORMAT.parse_response(body)
    assert type(raised.value) is kind
    assert isinstance(FORMAT.read_whole(body), kind)


def test_no_refusal_is_about_usage_in_streams() -> None:
    assert not FORMAT.names_stream_options(b"stream_options")
