"""Errors in OpenAI's shape, both ways: `{"error": {"message", "type", "param", "code"}}`. Its formats share them."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.core.errors import (
    Blame,
    BudgetExceeded,
    KomeetError,
    LimitExceeded,
    MethodNotAllowed,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
)
from komeet.core.http import Headers
from komeet.wire.format import Passed

_JSON: Final = (b"content-type", b"application/json")
_ACCOUNT_CODES: Final = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
    }
)
"""Codes that are about the operator's account, whatever the status that they come with."""
_GOOGLE_BAD_KEY: Final = b"API_KEY_INVALID"
_MOST_TEXT: Final = 500
_LONG_TOKEN: Final = re.compile(r"[\w*-]{16,}")


class Said(Struct, frozen=True):
    """What a provider's error says, as far as it can be read."""

    message: str = ""
    code: str = ""
    type: str = ""
    shaped: bool = False
    """Whether it has OpenAI's shape."""
    param: str = ""


class _Error(Struct):
    message: str
    code: str | int | None = None
    type: str | int | None = None
    param: Raw = Raw(b"null")


class _Shaped(Struct):
    error: _Error


class _Other(Struct):
    """Shapes of vLLM and Mistral (`message`), FastAPI (`detail`), Ollama and others (`error` as text)."""

    message: str | None = None
    detail: str | None = None
    error: str | None = None


_shaped = msgspec.json.Decoder(_Shaped)
_shaped_list = msgspec.json.Decoder(list[_Shaped])
_error = msgspec.json.Decoder(_Error)
_text = msgspec.json.Decoder(str)
_other = msgspec.json.Decoder(_Other)
_encoder = msgspec.json.Encoder()


def render_error(error: KomeetError) -> tuple[int, Headers, bytes]:
    """Return status, headers and body; `retry-after` in whole seconds, `allow` where the method is wrong."""
    headers: list[tuple[bytes, bytes]] = [_JSON]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(0, math.ceil(error.retry_after))).encode()))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    return error.http_status, headers, told_error(error)


def told_error(error: KomeetError) -> bytes:
    """Return the JSON that says `error`."""
    return error_body(error.message, kind=_type(error), param=error.param, code=error.error_code)


def render_refusal(passed: Passed) -> bytes:
    """Return the body that says a refusal of a provider of another format."""
    kind = "rate_limit_error" if passed.status == 429 else "invalid_request_error"
    return error_body(
        passed.message or f"The provider refused the request with status {passed.status}.",
        kind=kind,
        param=passed.param,
        code=passed.code,
    )


def error_body(message: str, *, kind: str, param: str | None, code: str | None) -> bytes:
    """Return the JSON of an error; all four members are always there."""
    return _encoder.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _type(error: KomeetError) -> str:
    match error:
        case BudgetExceeded():
            return "insufficient_quota"
        case LimitExceeded() | UpstreamLimited():
            return "rate_limit_error"
        case KomeetError(blame=Blame.CLIENT):  # as OpenAI does for 401, 403 and 404, too
            return "invalid_request_error"
        case _:
            return "server_error"


def parse_error(status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str) -> KomeetError | Passed:
    """Return what a provider's refusal means, and for whom.

    What is about our operator's credential or account is never the caller's fault, and the provider's words on it are
    for the log. What is about the caller's request is passed on: as it came if it has OpenAI's shape, else put into it.
    """
    said = read_error(body)
    retry_after = _retry_after(headers)
    if status in (401, 402, 403) or said.code in _ACCOUNT_CODES or said.type in _ACCOUNT_CODES:
        return _auth(status, said, provider)
    if _GOOGLE_BAD_KEY in body:
        return _auth(status, said, provider)
    match status:
        case 429:
            return UpstreamLimited(
                f"{provider} is limiting the rate of calls.", upstream_status=429, retry_after=retry_after
            )
        case 503 | 529:
            return UpstreamBusy(f"{provider} is overloaded.", upstream_status=status, retry_after=retry_after)
        case 408 | 504:
            error = UpstreamTimedOut(f"{provider} timed out by its own account (status {status}).", phase="provider")
            error.retry_after = retry_after
            return error
        case _ if 400 <= status < 500:
            return _passed(status, body, said, provider)
        case _:
            refused = UpstreamRefused(
                f"{provider} answered with status {status}.", upstream_status=status, retry_after=retry_after
            )
            refused.detail = _detail(refused, said)
            return refused


def parse_stream_error(raw: Raw | bytes, provider: str = "The provider") -> UpstreamError:
    """Return the error that a provider sent in a stream, or with a success status; `raw` is the value of `error`."""
    said = _read_value(bytes(raw))
    status = int(said.code) if re.fullmatch(r"[45]\d\d", said.code) else 0
    if status in (401, 402, 403) or said.code in _ACCOUNT_CODES or said.type in _ACCOUNT_CODES:
        return _auth(status, said, provider)
    told = f": {said.message[:_MOST_TEXT]}" if said.message else "."
    message = f"{provider} broke off with an error{told}"
    if status == 429:
        return UpstreamLimited(message, upstream_status=status)
    if status in (503, 529):
        return UpstreamBusy(message, upstream_status=status)
    return UpstreamRefused(message, upstream_status=status or 200)


def read_error(body: bytes) -> Said:
    """Read an error body of any of the known shapes; HTML says nothing."""
    try:
        return _said(_shaped.decode(body).error, shaped=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        errors = _shaped_list.decode(body)  # Google
        return _said(errors[0].error) if errors else Said()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        other = _other.decode(body)
        return Said(other.message or other.detail or other.error or "")
    except (msgspec.ValidationError, RecursionError):
        return Said()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[: 2 * _MOST_TEXT].decode("utf-8", "replace").strip()
        return Said() if "<" in text or not text.isprintable() else Said(text)


def _read_value(raw: bytes) -> Said:
    try:
        return _said(_error.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return Said(_text.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Said()


def _said(error: _Error, *, shaped: bool = False) -> Said:
    code = "" if error.code is None else str(error.code)
    kind = "" if error.type is None else str(error.type)
    try:
        param = _text.decode(error.param)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        param = ""
    return Said(error.message, code, kind, shaped, param)


def _auth(status: int, said: Said, provider: str) -> UpstreamAuth:
    error = UpstreamAuth(
        f"{provider} refused the credential or the account that this gateway uses there. Your API key is not at fault;"
        " its operator has to act.",
        upstream_status=status,
    )
    error.detail = _detail(error, said)
    return error


def _detail(error: UpstreamRefused, said: Said) -> str | None:
    """Add the provider's words to the log's detail, without anything that may be a key."""
    words = ", ".join(word for word in (said.code, said.message) if word)
    return f"{error.detail}: {_LONG_TOKEN.sub('***', words[:_MOST_TEXT])}" if words else error.detail


def _passed(status: int, body: bytes, said: Said, provider: str) -> Passed:
    told = f": {said.message[:_MOST_TEXT]}" if said.message else "."
    message = f"{provider} refused the request with status {status}{told}"
    code = said.code or "upstream_refused"
    if said.shaped:
        return Passed(status=status, body=body, message=said.message, code=said.code or None, param=said.param or None)
    wrapped = error_body(message, kind="invalid_request_error", param=None, code=code)
    return Passed(status=status, body=wrapped, message=message, code=code)


def _retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Return seconds. A date is counted from the answer's own `date`, whose clock it was made with."""
    milliseconds = _seconds(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get(b"retry-after")
    seconds = _seconds(told)
    if seconds is not None or told is None:
        return seconds
    try:
        until = parsedate_to_datetime(told.decode("latin-1"))
        since = parsedate_to_datetime(headers.get(b"date", b"").decode("latin-1"))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):
        return None


def _seconds(told: bytes | None) -> float | None:
    try:
        value = float(told or b"")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
