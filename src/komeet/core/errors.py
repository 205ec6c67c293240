"""Every error that a caller can meet, as one tree; blame, status and retryability are in the type.

    KomeetError
    ├── ClientError                 the call is at fault; nothing was sent, nothing is charged
    │   ├── WireError        400    the bytes are not a call: `path` says where
    │   │   └── Unrepresentable 422 a content part that the target format cannot carry
    │   ├── ContextTooLong   400    the provider says that the model cannot read so much
    │   ├── AuthError        401    no key, or none that we know
    │   │   └── BadSignature 401    … of a webhook
    │   ├── BudgetExceeded   402    a hard budget has no room for the call's upper bound
    │   ├── NotAllowed       403    the key may not do this
    │   ├── ModelNotFound    404    no configured provider offers the model
    │   │   └── ModelRetired 404    … any more: its provider has shut it down
    │   ├── UnknownPath      404
    │   ├── MethodNotAllowed 405
    │   ├── RequestTimeout   408    the request did not arrive in time
    │   ├── KeyReused        400    another call was made under this Idempotency-Key
    │   ├── Conflict         409    the call of this Idempotency-Key is under way
    │   ├── AlreadyExecuted  409    … has been executed, and its answer was not kept
    │   ├── BodyTooLarge     413
    │   ├── UnsupportedCoding 415   a compressed body
    │   ├── ExpectationFailed 417
    │   ├── HeadersTooLarge  431
    │   ├── LimitExceeded    429
    │   ├── NotSupported     501    HTTP that this server does not speak: a transfer coding, a method
    │   └── VersionNotSupported 505 an HTTP version other than 1.0 and 1.1
    ├── UpstreamError               the provider is at fault
    │   ├── ConnectFailed    502    nothing was sent: the only one that is always safe to try again
    │   │   └── ConnectTimedOut 504 … within the deadline for it
    │   ├── UpstreamRefused  502    the provider answered with an error status before any content
    │   │   ├── UpstreamAuth 502    … about our operator's credential: never the caller's fault
    │   │   ├── UpstreamLimited 429 … rate limit
    │   │   └── UpstreamBusy 503    … overloaded, or not ready yet
    │   ├── UpstreamTimedOut 504    `phase`: first byte, idle, total
    │   ├── Garbled          502    not what the format says
    │   └── CutMidStream     502    the answer broke off after its first byte
    └── GatewayError                we are at fault
        ├── InternalError    500
        ├── Overloaded       503    as much is under way as may be: refused early, with Retry-After
        └── Unavailable      503    a store that money or identity needs is out of reach: fail closed

Messages are for callers: what happened, where, and what to do. `detail` is for the log only.
"""

from enum import StrEnum
from typing import ClassVar


class Blame(StrEnum):
    """Who has to act."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class KomeetError(Exception):
    """The root; never raised itself."""

    status: ClassVar[int]
    code: ClassVar[str]
    blame: ClassVar[Blame]
    retryable: ClassVar[bool] = False
    """Whether another attempt is safe: nothing was sent, or the provider refused it."""

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.detail = detail

    @property
    def http_status(self) -> int:
        """The status that the caller gets."""
        return self.status

    @property
    def error_code(self) -> str:
        """The machine-readable reason."""
        return self.code


class ClientError(KomeetError):
    """The call is at fault."""

    status = 400
    code = "invalid_request"
    blame = Blame.CLIENT


class WireError(ClientError):
    """The bytes are not a call of their format; `param` is the path of the mistake."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param)
        self._code = code or self.code

    @property
    def error_code(self) -> str:
        return self._code


class Unrepresentable(WireError):
    """A content part that the target format cannot carry: never dropped in silence."""

    status = 422
    code = "unrepresentable"


class ContextTooLong(ClientError):
    """The provider says that the prompt is longer than what the model reads; another model may read more."""

    code = "context_length_exceeded"


class AuthError(ClientError):
    """No key, or none that is known, or one that is revoked or expired."""

    status = 401
    code = "invalid_api_key"


class BadSignature(AuthError):
    """A webhook without a signature, or with one that is wrong or too old."""

    code = "invalid_signature"


class BudgetExceeded(ClientError):
    """A hard budget has no room for the upper bound of this call."""

    status = 402
    code = "budget_exceeded"

    def __init__(self, message: str, *, room: int) -> None:
        super().__init__(message)
        self.room = room
        """Nano-dollars that the tightest account has left."""


class NotAllowed(ClientError):
    """The key is known and may not do this."""

    status = 403
    code = "not_allowed"


class ModelNotFound(ClientError):
    """No configured provider offers the model."""

    status = 404
    code = "model_not_found"


class ModelRetired(ModelNotFound):
    """The provider has shut the model down; the message names its successor, where there is one."""

    code = "model_retired"


class UnknownPath(ClientError):
    """No such route."""

    status = 404
    code = "unknown_url"


class MethodNotAllowed(ClientError):
    """The route exists, for other methods: `allow` names them."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class RequestTimeout(ClientError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"


class KeyReused(ClientError):
    """Another call was made under this `Idempotency-Key`."""

    code = "idempotency_key_reused"


class Conflict(ClientError):
    """The call of this `Idempotency-Key` is under way."""

    status = 409
    code = "idempotency_conflict"


class AlreadyExecuted(ClientError):
    """The call of this `Idempotency-Key` has been executed, and its answer was not kept."""

    status = 409
    code = "already_executed"


class BodyTooLarge(ClientError):
    """The body is above the limit."""

    status = 413
    code = "body_too_large"


class UnsupportedCoding(ClientError):
    """The body is compressed."""

    status = 415
    code = "unsupported_content_encoding"


class ExpectationFailed(ClientError):
    """The `expect` field asks for something other than `100-continue`."""

    status = 417
    code = "expectation_failed"


class HeadersTooLarge(ClientError):
    """The header section is above the limit."""

    status = 431
    code = "headers_too_large"


class LimitExceeded(ClientError):
    """One of our own rate or concurrency limits."""

    status = 429
    code = "rate_limit_exceeded"


class NotSupported(ClientError):
    """HTTP that this server does not speak: a transfer coding, a method."""

    status = 501
    code = "not_supported"


class VersionNotSupported(ClientError):
    """An HTTP version other than 1.0 and 1.1."""

    status = 505
    code = "http_version_not_supported"


class UpstreamError(KomeetError):
    """The provider is at fault."""

    status = 502
    code = "upstream_error"
    blame = Blame.UPSTREAM


class ConnectFailed(UpstreamError):
    """No connection: nothing was sent."""

    code = "upstream_unreachable"
    retryable = True


class ConnectTimedOut(ConnectFailed):
    """No connection within the deadline for it: nothing was sent."""

    status = 504
    code = "upstream_timeout"


class UpstreamRefused(UpstreamError):
    """The provider answered with an error status, before any content."""

    code = "upstream_error"
    retryable = True

    def __init__(self, message: str, *, upstream_status: int, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after, detail=f"upstream status {upstream_status}")
        self.upstream_status = upstream_status


class UpstreamAuth(UpstreamRefused):
    """The provider refused our operator's credential or account."""

    code = "upstream_auth"


class UpstreamLimited(UpstreamRefused):
    """The provider's rate limit."""

    status = 429
    code = "upstream_rate_limited"


class UpstreamBusy(UpstreamRefused):
    """The provider is overloaded, or not ready yet."""

    status = 503
    code = "upstream_unavailable"


class UpstreamTimedOut(UpstreamError):
    """A deadline passed once the request was on its way; `phase` says which: first byte, idle, total."""

    status = 504
    code = "upstream_timeout"

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message, detail=phase)
        self.phase = phase


class Garbled(UpstreamError):
    """The provider's bytes are not what the format says."""

    code = "upstream_garbled"


class CutMidStream(UpstreamError):
    """The answer broke off after its first byte; it must not pass as a whole one."""

    code = "upstream_cut"


class GatewayError(KomeetError):
    """We are at fault."""

    status = 500
    code = "internal_error"
    blame = Blame.GATEWAY


class InternalError(GatewayError):
    """The last resort: the message is constant, the detail is in the log."""


class Overloaded(GatewayError):
    """As much is under way as may be; nothing was sent."""

    status = 503
    code = "overloaded"
    retryable = True


class Unavailable(GatewayError):
    """A store that money or identity needs is out of reach; the call is refused rather than guessed."""

    status = 503
    code = "unavailable"
    retryable = True
