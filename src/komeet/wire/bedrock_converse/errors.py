"""Errors of Bedrock: `{"message"}` with their name in a header, or a frame in a stream whose type is their name."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from komeet.core.errors import (
    KomeetError,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamError,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
)
from komeet.wire import openai_errors
from komeet.wire.format import Passed

_STATUS: Final = {
    "accessdeniedexception": 403,
    "expiredtokenexception": 403,
    "incompletesignatureexception": 403,
    "invalidclienttokenid": 403,
    "invalidsignatureexception": 403,
    "missingauthenticationtokenexception": 403,
    "notauthorized": 403,
    "unrecognizedclientexception": 403,
    "validationexception": 400,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "modelerrorexception": 502,
    "modelstreamerrorexception": 502,
    "throttlingexception": 429,
    "servicequotaexceededexception": 429,
    "modelnotreadyexception": 503,
    "serviceunavailableexception": 503,
    "internalserverexception": 500,
}
"""What a name means, as the status that says so; Bedrock's own status is another for some (424, 429)."""
_NAME_HEADER: Final = b"x-amzn-errortype"
_EXCEPTION: Final = "exception"
_MOST_TEXT: Final = 500


def parse_error(status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str) -> KomeetError | Passed:
    """Return what a provider's refusal means, and for whom.

    What is about our operator's credential or account is never the caller's fault. What is about the caller's request
    is passed on.
    """
    said = _members(body)
    name = _name(headers.get(_NAME_HEADER, b"").decode("latin-1") or _text(said, "__type"))
    words = {"message": _text(said, "message") or _text(said, "Message")}
    meant = _STATUS.get(name.lower(), status)
    meaning = openai_errors.parse_error(
        meant, headers, msgspec.json.encode(words) if words["message"] else body, provider
    )
    match meaning:
        case Passed():
            return msgspec.structs.replace(
                meaning,
                status=status if 400 <= status < 500 else meant,  # a name says whose fault it is, whatever it came with
                body=body,
                message=words["message"] or meaning.message,
                code=name or meaning.code,
            )
        case UpstreamRefused():
            meaning.upstream_status = status
            return meaning
        case _:
            return meaning


def is_exception(kind: str) -> bool:
    """Whether a type of frame is that of an error."""
    return kind.lower().endswith(_EXCEPTION) or kind == "error"


def parse_exception(kind: str, data: bytes, provider: str = "The provider") -> UpstreamError:
    """Return the error that a frame of a stream tells; `kind` is its type."""
    said = _members(data)
    name = _text(said, "code") if kind == "error" else kind
    return _meant(_STATUS.get(name.lower(), 200), _text(said, "message") or _text(said, "Message"), provider)


def exception_in(answer: dict[str, Raw]) -> UpstreamError | None:
    """Return the error that came in the place of an answer, if `answer` is one."""
    kind, message = _name(_text(answer, "__type")), _text(answer, "message") or _text(answer, "Message")
    if not kind and not message:
        return None
    return _meant(_STATUS.get(kind.lower(), 200), message, "The provider")


def _meant(status: int, words: str, provider: str) -> UpstreamError:
    if status == 403:
        return UpstreamAuth(
            f"{provider} refused the credential or the account that this gateway uses there. Your API key is not at"
            " fault; its operator has to act.",
            upstream_status=200,
        )
    message = f"{provider} broke off with an error" + (f": {words[:_MOST_TEXT]}" if words else ".")
    match status:
        case 429:
            return UpstreamLimited(message, upstream_status=status)
        case 503:
            return UpstreamBusy(message, upstream_status=status)
        case 408:
            return UpstreamTimedOut(message, phase="provider")
        case _:
            return UpstreamRefused(message, upstream_status=200)


def _name(told: str) -> str:
    """Return the bare name: `ValidationException` of `com.amazon#ValidationException:http://internal.amazon.com/`."""
    return told.partition(":")[0].rpartition("#")[2].strip()


def _members(data: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(data, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _text(members: dict[str, Raw], name: str) -> str:
    try:
        return msgspec.json.decode(members.get(name, Raw(b'""')), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
