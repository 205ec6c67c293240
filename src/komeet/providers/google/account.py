"""Google's service accounts: a signed statement of who asks, exchanged for a token that is good for an hour.

The steps are those of Google's page "Using OAuth 2.0 for Server to Server Applications", the part "HTTP/REST". The
exchange is a call like any other, and made by `net.keyring`; here it is written and its answer read.

`cryptography`, which signs, is not a dependency of Komeet but of its extra `google`; reading a key file loads it, and
says what to do where it is not installed.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from komeet.core.http import Deadlines, Outgoing
from komeet.core.secrets import Secret
from komeet.providers.address import parse_base_url
from komeet.providers.token import Token

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME: Final = 3600
"""Seconds that a statement is good for: the most that Google takes."""

_NOT_INSTALLED: Final = (
    "Google's service accounts need the package cryptography, which is not installed: pip install 'komeet[google]'"
)
_EXCHANGE: Final = Deadlines(connect=10.0, first_byte=20.0, idle=20.0, total=30.0)


class ServiceAccount(Struct, frozen=True, kw_only=True):
    """Whose calls to Google Cloud they are. Its representation holds no secret."""

    email: str
    key_id: str
    private_key: Secret
    """In PEM."""
    token_uri: str
    """Where the statement is exchanged: an https URL."""
    project: str
    """The project that it belongs to; a call may be made in another."""


class _File(Struct, frozen=True):
    """The file that Google Cloud writes for a key of a service account."""

    type: Literal["service_account"]
    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str


class _Answer(Struct, frozen=True):
    access_token: Annotated[str, Meta(min_length=1)]
    expires_in: Annotated[int, Meta(ge=1)]
    token_type: str = "Bearer"  # noqa: S105 - a type, no token


class _Refusal(Struct, frozen=True):
    error: str = ""
    error_description: str = ""


class _Kind(Struct, frozen=True):
    type: str = ""


def account_of(text: bytes) -> ServiceAccount:
    """Return the service account that a key file describes.

    Raises:
        ValueError: it is none, or its key cannot be used; the message holds no secret.
    """
    try:
        kind = msgspec.json.decode(text, type=_Kind).type
    except msgspec.DecodeError:
        raise ValueError("not JSON with a `type`; a key file of a service account is expected") from None
    if kind != "service_account":
        raise ValueError(
            f"it is of the type {kind!r}, not `service_account`: make a key of a service account in Google Cloud"
        )
    try:
        file = msgspec.json.decode(text, type=_File)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a key file of a service account: {error}") from None
    origin, _ = parse_base_url(file.token_uri)
    if origin.scheme != "https":
        raise ValueError("token_uri: expected an https URL")
    account = ServiceAccount(
        email=file.client_email,
        key_id=file.private_key_id,
        private_key=Secret(file.private_key),
        token_uri=file.token_uri,
        project=file.project_id,
    )
    _signer(account)
    return account


def assertion(account: ServiceAccount, *, at_ms: int) -> bytes:
    """Return the signed statement of who asks: a JWT by RS256.

    Args:
        account: whose it is.
        at_ms: the time, in Unix milliseconds; the statement is good for an hour from then.

    Raises:
        ValueError: the key cannot be used, or cryptography is not installed.
    """
    issued = at_ms // 1000
    header = {"alg": "RS256", "typ": "JWT", "kid": account.key_id}
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": issued,
        "exp": issued + LIFETIME,
    }
    told = b".".join(_base64(msgspec.json.encode(part)) for part in (header, claims))
    return told + b"." + _base64(_signer(account)(told))


def exchange(account: ServiceAccount, *, at_ms: int) -> Outgoing:
    """Return the call that exchanges a statement for a token. Raises ValueError as `assertion` does."""
    origin, path = parse_base_url(account.token_uri)
    form = {"grant_type": GRANT, "assertion": assertion(account, at_ms=at_ms).decode("ascii")}
    return Outgoing(
        origin=origin,
        target=path or "/",
        headers=(
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
        ),
        body=urlencode(form).encode("ascii"),
        deadlines=_EXCHANGE,
    )


def token_in(status: int, body: bytes) -> Token:
    """Return the token that Google answered with.

    Raises:
        ValueError: it refused, or answered something else; the message is its own, and holds no secret.
    """
    if status != 200:
        try:
            said = msgspec.json.decode(body, type=_Refusal)
        except msgspec.DecodeError:
            said = _Refusal()
        reason = ": ".join(part for part in (said.error[:100], said.error_description[:300]) if part)
        raise ValueError(f"Google refused the service account with {status}{f' ({reason})' if reason else ''}")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        raise ValueError("Google answered the service account with something that is no token") from None
    return Token(secret=Secret(answer.access_token), seconds=answer.expires_in)


def _signer(account: ServiceAccount) -> Callable[[bytes], bytes]:
    try:
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - an extra, and slow to load
        from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ValueError(_NOT_INSTALLED) from None
    try:
        key = serialization.load_pem_private_key(account.private_key.reveal().encode("ascii"), None)
    except (ValueError, TypeError, UnicodeEncodeError):
        raise ValueError("private_key: not a key in PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("private_key: not an RSA key")  # noqa: TRY004 - a file says so, no programmer
    return lambda told: key.sign(told, padding.PKCS1v15(), hashes.SHA256())


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
