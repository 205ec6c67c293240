"""AWS's signature (Signature Version 4) and the credentials that make it; botocore does the computing.

botocore is not a dependency of Komeet but of its extra `aws`, and is imported when it is first needed: it takes some
0.2 s. `require` does that at a time that suits, and says what to do where it is not installed.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Final, Protocol, cast

from msgspec import Struct

from komeet.core.http import Headers, Origin, Outgoing
from komeet.core.secrets import Secret

REGION_MARK: Final = "{region}"
"""What stands for the region in a base URL."""

_REGION: Final = re.compile(r"[a-z]{2,8}(-[a-z]{2,16}){1,3}-[0-9]{1,2}")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9]{4,128}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_SIGNED_TOO: Final = (b"content-type",)
"""Headers of a call that the signature covers, besides those that it adds; others may change on the way."""
_NOT_INSTALLED: Final = (
    "AWS's signatures need botocore, which is not installed: pip install 'komeet[aws]', or use a Bedrock API key"
)


class AwsCredentials(Struct, frozen=True, kw_only=True):
    """A static key of AWS, or that of a session. Its representation holds no secret."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    """Only with keys that are good for a session."""


class Signing(Struct, frozen=True, kw_only=True):
    """Who signs the calls to a service of AWS, and for which region."""

    credentials: AwsCredentials
    service: str
    region: str

    def sign(self, outgoing: Outgoing, *, at_ms: int) -> Headers:
        """Return the headers that prove who sends `outgoing`; see `sign`."""
        return sign(outgoing, self.credentials, service=self.service, region=self.region, at_ms=at_ms)


class _Keys(Struct, frozen=True):
    """Credentials as botocore names them."""

    access_key: str
    secret_key: str
    token: str | None


class _Request(Protocol):
    context: dict[str, str]


class _Algorithm(Protocol):
    def canonical_request(self, request: _Request) -> str: ...

    def string_to_sign(self, request: _Request, canonical_request: str) -> str: ...

    def signature(self, string_to_sign: str, request: _Request) -> str: ...

    def scope(self, request: _Request) -> str: ...


class _MakesRequest(Protocol):
    def __call__(self, *, method: str, url: str, headers: dict[str, str], data: bytes) -> _Request: ...


class _Library(Struct, frozen=True):
    algorithm: Callable[[_Keys, str, str], _Algorithm]
    request: _MakesRequest


def require() -> None:
    """Load what signing needs.

    Raises:
        ValueError: it is not installed.
    """
    _library()


def sign(outgoing: Outgoing, credentials: AwsCredentials, *, service: str, region: str, at_ms: int) -> Headers:
    """Return the headers that prove who sends `outgoing`: they are added to it, and nothing of it may change then.

    Args:
        outgoing: the request; its target is encoded, and its headers hold no `host`.
        credentials: whose call it is.
        service: what AWS calls the service that is asked, such as `bedrock`.
        region: where it is asked.
        at_ms: the time, in Unix milliseconds; AWS takes a signature for five minutes.

    Raises:
        ValueError: botocore is not installed.
    """
    library = _library()
    when = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    token = None if credentials.session_token is None else credentials.session_token.reveal()
    added: list[tuple[bytes, bytes]] = [(b"x-amz-date", when.encode("ascii"))]
    if token is not None:
        added.append((b"x-amz-security-token", token.encode("ascii")))
    covered = [header for header in outgoing.headers if header[0] in _SIGNED_TOO] + added
    host = _host(outgoing.origin)
    request = library.request(
        method=outgoing.method,
        url=f"{outgoing.origin.scheme}://{host}{outgoing.target}",
        headers={"host": host, **{name.decode("ascii"): value.decode("ascii") for name, value in covered}},
        data=outgoing.body,
    )
    request.context["timestamp"] = when
    keys = _Keys(credentials.access_key_id, credentials.secret_access_key.reveal(), token)
    algorithm = library.algorithm(keys, service, region)
    told = algorithm.string_to_sign(request, algorithm.canonical_request(request))
    names = ";".join(sorted(["host", *[name.decode("ascii") for name, _ in covered]]))
    proof = (
        f"AWS4-HMAC-SHA256 Credential={algorithm.scope(request)}, SignedHeaders={names},"
        f" Signature={algorithm.signature(told, request)}"
    )
    return (*added, (b"authorization", proof.encode("ascii")))


def credentials_in(environment: Mapping[str, str]) -> AwsCredentials | None:
    """Return the credentials of AWS's own variables; None where there are none.

    Raises:
        ValueError: half of them is there, or one cannot be sent; the message holds no secret.
    """
    key_id, secret = (_set(environment, name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if key_id is None and secret is None:
        return None
    if key_id is None or secret is None:
        raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: one of them is not set")
    token = _set(environment, "AWS_SESSION_TOKEN")
    return checked(key_id, Secret(secret), None if token is None else Secret(token))


def checked(access_key_id: str, secret_access_key: Secret, session_token: Secret | None) -> AwsCredentials:
    """Return credentials that can be sent.

    Raises:
        ValueError: they cannot; the message holds no secret.
    """
    if not _KEY_ID.fullmatch(access_key_id):
        raise ValueError("an access key id of AWS is letters and digits: AKIA…, or ASIA… with a session token")
    for secret, name in ((secret_access_key, "secret access key"), (session_token, "session token")):
        if secret is not None and not _TOKEN.fullmatch(secret.reveal()):
            raise ValueError(f"a {name} of AWS is printable ASCII without spaces; check for a line break or a quote")
    return AwsCredentials(access_key_id=access_key_id, secret_access_key=secret_access_key, session_token=session_token)


def region_in(environment: Mapping[str, str]) -> str | None:
    """Return the region that AWS's own variables name; raises ValueError where it is none."""
    named = _set(environment, "AWS_REGION") or _set(environment, "AWS_DEFAULT_REGION")
    return None if named is None else checked_region(named)


def checked_region(region: str) -> str:
    """Return `region`; raises ValueError where it is none, since it becomes a part of a host's name."""
    if not _REGION.fullmatch(region):
        raise ValueError(f"{region!r} is not a region of AWS, such as us-east-1")
    return region


def in_region(base_url: str, region: str) -> str:
    """Return the base URL of a service in a region."""
    return base_url.replace(REGION_MARK, checked_region(region))


def _library() -> _Library:
    try:
        auth, awsrequest = import_module("botocore.auth"), import_module("botocore.awsrequest")
    except ModuleNotFoundError:
        raise ValueError(_NOT_INSTALLED) from None
    return _Library(
        cast("Callable[[_Keys, str, str], _Algorithm]", auth.SigV4Auth),
        cast("_MakesRequest", awsrequest.AWSRequest),
    )


def _host(origin: Origin) -> str:
    """Return the `host` header that the client sends to `origin`."""
    name = f"[{origin.host}]" if ":" in origin.host else origin.host
    return name if _DEFAULT_PORTS.get(origin.scheme) == origin.port else f"{name}:{origin.port}"


def _set(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None
