"""Errors in Anthropic's shape, both ways: `{"type": "error", "error": {"type", "message"}}`."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

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

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ACCOUNT_TYPES: Final = frozenset({"authentication_error", "billing_error", "permission_error"})
_NO_CREDIT: Final = b"credit balance is too low"
_MOST_TEXT: Final = 500
_QUOTES: Final = "'`\""
_encoder = msgspec.json.Encoder()


class _Error(Struct):
    message: str = ""
    type: str = ""


class _Shaped(Struct):
    error: _Error


_shaped: Final = msgspec.json.Decoder(_Shaped)


def render_error(error: KomeetError) -> tuple[int, Headers, bytes]:
    """Return status, headers and body; the path of a mistake stands before what it is."""
    status, headers, _ = openai_errors.render_error(error)
    return status, headers, _body(status, _with_path(error.message, error.param))


def render_stream_error(error: KomeetError) -> bytes:
    """Return the event that ends a stream in an error; no `message_stop` may follow."""
    return b"event: error\ndata: " + _body(error.http_status, _with_path(error.message, error.param)) + b"\n\n"


def render_refusal(passed: Passed) -> bytes:
    """Return the body that says a refusal of a provider of another format."""
    message = passed.message or f"The provider refused the request with status {passed.status}."
    return _body(passed.status, _with_path(message, passed.param))


def parse_error(status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str) -> KomeetError | Passed:
    """Return what a provider's refusal means, and for whom.

    What is about our operator's credential or account is never the caller's fault. What is about the caller's request
    is passed on: as it came if it has Anthropic's shape, else put into it.
    """
    if status == 400 and _NO_CREDIT in body:
        return openai_errors.parse_error(402, headers, body, provider)
    meaning = openai_errors.parse_error(status, headers, body, provider)
    if not isinstance(meaning, Passed):
        return meaning
    told = _read(body)
    if told is None or not told.type:
        return msgspec.structs.replace(meaning, body=render_refusal(meaning))
    return msgspec.structs.replace(meaning, body=body, message=told.message, code=told.type)


def parse_stream_error(data: bytes, provider: str = "The provider") -> UpstreamError:
    """Return the error that a provider sent in a stream, or with a success status."""
    told = _read(data) or _Error()
    if told.type in _ACCOUNT_TYPES or _NO_CREDIT in data:
        return UpstreamAuth(
            f"{provider} refused the credential or the account that this gateway uses there. Your API key is not at"
            " fault; its operator has to act.",
            upstream_status=200,
        )
    message = f"{provider} broke off with an error" + (f": {told.message[:_MOST_TEXT]}" if told.message else ".")
    match told.type:
        case "overloaded_error":
            return UpstreamBusy(message, upstream_status=529)
        case "rate_limit_error":
            return UpstreamLimited(message, upstream_status=429)
        case "timeout_error":
            return UpstreamTimedOut(message, phase="provider")
        case _:
            return UpstreamRefused(message, upstream_status=200)


def _read(data: bytes) -> _Error | None:
    try:
        return _shaped.decode(data).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _body(status: int, message: str) -> bytes:
    kind = _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    return _encoder.encode({"type": "error", "error": {"type": kind, "message": message}})


def _with_path(message: str, path: str | None) -> str:
    if path is None or message.startswith(path) or any(f"{quote}{path}{quote}" in message for quote in _QUOTES):
        return message
    return f"{path}: {message}"
