"""Errors in Google's shape, both ways: `{"error": {"code", "message", "status", "details"}}`."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from komeet.core.errors import (
    KomeetError,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
)
from komeet.core.http import Headers
from komeet.wire import openai_errors
from komeet.wire.format import Passed

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CODES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_ACCOUNT: Final = re.compile(rb"API_KEY_INVALID|API key (?:not valid|expired)|enable billing|location is not supported")
"""Words of refusals with status 400 that are about the operator's key or account."""
_FILE: Final = re.compile(rb"permission to access the File\b")
"""Words of a refusal with status 403 that is about what the caller names."""
_DELAY: Final = re.compile(r"(\d{1,9}(?:\.\d+)?)s")
_TYPE: Final = "type.googleapis.com/google.rpc."
_MOST_TEXT: Final = 500
_encoder: Final = msgspec.json.Encoder()


class _Detail(Struct, rename="camel"):
    retry_delay: str = ""
    reason: str = ""


class _Error(Struct):
    message: str = ""
    status: str = ""
    code: int = 0
    details: list[Raw] = []


class _Shaped(Struct):
    error: _Error


_shaped: Final = msgspec.json.Decoder(_Shaped)
_shaped_list: Final = msgspec.json.Decoder(list[_Shaped])
_detail: Final = msgspec.json.Decoder(_Detail)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def render_error(error: KomeetError) -> tuple[int, Headers, bytes]:
    """Return status, headers and body; the path of a mistake stands among the details, too."""
    status, headers, _ = openai_errors.render_error(error)
    return status, headers, told_error(error)


def render_stream_error(error: KomeetError) -> bytes:
    """Return the event that ends a stream in an error."""
    return b"data: " + told_error(error) + b"\r\n\r\n"


def told_error(error: KomeetError) -> bytes:
    """Return the JSON that says `error`."""
    details: list[object] = [{"@type": f"{_TYPE}ErrorInfo", "reason": error.error_code.upper(), "domain": "komeet"}]
    if error.param is not None:
        details.append(_violation(error.param, error.message))
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{max(0.0, error.retry_after):g}s"})
    return _body(error.http_status, error.message, details)


def render_refusal(passed: Passed) -> bytes:
    """Return the body that says a refusal of a provider of another format."""
    message = passed.message or f"The provider refused the request with status {passed.status}."
    details: list[object] = []
    if passed.code is not None:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": passed.code, "domain": "provider"})
    if passed.param is not None:
        details.append(_violation(passed.param, message))
    return _body(passed.status, message, details)


def parse_error(status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str) -> KomeetError | Passed:
    """Return what a provider's refusal means, and for whom.

    What is about our operator's credential or account is never the caller's fault. What is about the caller's request
    is passed on: as it came if it has Google's shape, else put into it.
    """
    if status == 400 and _ACCOUNT.search(body):
        return openai_errors.parse_error(401, headers, body, provider)
    missing = status == 403 and _FILE.search(body) is not None
    meaning = openai_errors.parse_error(404 if missing else status, headers, body, provider)
    if isinstance(meaning, Passed):
        return replace(_passed(meaning, body), status=status)
    told = _read(body)
    if told is not None and meaning.retry_after is None:
        meaning.retry_after = _retry_after(told)
    return meaning


def parse_stream_error(data: bytes, provider: str = "The provider") -> UpstreamError:
    """Return the error that a provider sent in a stream, or with a success status."""
    told = _read(data) or _Error()
    status = told.code if 400 <= told.code <= 599 else _CODES.get(told.status, 0)
    if status in (401, 403) or _ACCOUNT.search(data):
        return UpstreamAuth(
            f"{provider} refused the credential or the account that this gateway uses there. Your API key is not at"
            " fault; its operator has to act.",
            upstream_status=status or 200,
        )
    message = f"{provider} broke off with an error" + (f": {told.message[:_MOST_TEXT]}" if told.message else ".")
    match status:
        case 429:
            return UpstreamLimited(message, upstream_status=429, retry_after=_retry_after(told))
        case 503 | 529:
            return UpstreamBusy(message, upstream_status=status, retry_after=_retry_after(told))
        case 408 | 504:
            return UpstreamTimedOut(message, phase="provider")
        case _:
            return UpstreamRefused(message, upstream_status=status or 200)


def _passed(meaning: Passed, body: bytes) -> Passed:
    """Return a refusal that is about the caller's request, in Google's shape."""
    told = _read(body)
    if told is None or not told.message:
        return replace(meaning, body=render_refusal(meaning))
    kept = body if body.lstrip().startswith(b"{") else _body(meaning.status, told.message, list(told.details))
    return replace(meaning, body=kept, message=told.message, code=told.status or None)


def _read(data: bytes) -> _Error | None:
    """Read an error, which may stand alone or in an array, as a stream that is one begins."""
    try:
        return _shaped.decode(data).error
    except _UNREADABLE:
        pass
    try:
        errors = _shaped_list.decode(data)
    except _UNREADABLE:
        return None
    return errors[0].error if errors else None


def _retry_after(told: _Error) -> float | None:
    """Return the seconds that the details say."""
    for raw in told.details:
        try:
            delay = _detail.decode(raw).retry_delay
        except _UNREADABLE:
            continue
        found = _DELAY.fullmatch(delay)
        if found is not None:
            return float(found[1])
    return None


def _violation(path: str, message: str) -> object:
    return {"@type": f"{_TYPE}BadRequest", "fieldViolations": [{"field": path, "description": message}]}


def _body(status: int, message: str, details: list[object]) -> bytes:
    word = _STATUSES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    told: dict[str, object] = {"code": status, "message": message, "status": word}
    return _encoder.encode({"error": {**told, "details": details} if details else told})
