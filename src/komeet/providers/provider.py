"""A provider made concrete: where calls go, and with which headers."""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from komeet import __version__
from komeet.catalog.dialect import Dialect
from komeet.core.errors import InternalError
from komeet.core.http import Deadlines, Headers, Origin, Outgoing
from komeet.core.secrets import Secret
from komeet.providers.address import parse_base_url
from komeet.providers.credential import Credential, checked
from komeet.providers.signing import Signing
from komeet.wire.format import KeyHeader

StreamUsage: TypeAlias = Literal["ask", "always", "never"]

Cancelled: TypeAlias = Literal["billed", "free", "unknown"]
"""What becomes of a stream that is broken off: it is billed to the end that nobody saw, or what would have followed is
not, or nobody says."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_LEAST_SECRET: Final = 8
"""Letters of a configured header that may be a key; what is shorter stands in other words, too."""

_OURS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""Headers that Komeet sets, or that would change how the message is framed."""

_COMMON: Final = (
    (b"accept-encoding", b"identity"),
    (b"user-agent", f"komeet/{__version__}".encode()),
)
JSON_TYPE: Final = b"application/json"
_MODEL_MARK: Final = "{model}"
"""What stands for the model in a path."""


class Provider(Struct, frozen=True, kw_only=True):
    """Everything that a call to a provider needs. Its representation holds no secret."""

    name: str
    title: str
    origin: Origin
    prefix: str
    """The path that precedes every path of the API: `/v1`, or nothing."""
    formats: tuple[str, ...]
    """The wire formats that it speaks at this address; where the caller's is not among them, the first is used."""
    family: str
    credential: Secret | None = None
    """Its key, where it has one that is known from the start: that of the first of `credentials`."""
    credentials: tuple[Credential, ...] = ()
    """Its keys: calls take turns among them, by weight (`credential.next_turn`). None of them: calls carry no key."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further headers of every call."""
    deadlines: Deadlines = Deadlines()
    models: tuple[str, ...] | None = None
    """Patterns of the models that it offers by bare name; None: those of the price book, or any."""
    stream_usage: StreamUsage = "ask"
    losses: Literal["adapt", "refuse"] | None = None
    """Whether a call of which something would be lost is made all the same; None: as the gateway's policy says."""
    price_id: str | None = None
    """Its name in the price book; None: its prices are configured, or not known."""
    free: bool = False
    """Whether its tokens cost nothing: a price of zero that is known."""
    free_models: tuple[str, ...] = ()
    """Patterns of the models of which that is so, where it is not so of all."""
    tags: tuple[str, ...] = ()
    """What the operator says of it: where it is, what it does with prompts."""
    rank: int = 30
    """Who answers first where several offer a model: the lowest."""
    prefixed: bool = False
    """Whether its model ids are `vendor/model`."""
    embedded: bool = False
    """Whether it is the process of the embedded model, whose address and key are made when it starts."""
    under: Mapping[str, str] = {}
    """By format: the path between `prefix` and the path of the format, where a provider keeps them apart."""
    key_header: KeyHeader | None = None
    """How it is shown the key, where it is not as its format says."""
    dialect: Dialect = Dialect()
    """Where it departs from the format that it speaks."""
    signing: Signing | None = None
    """How its calls are signed, where it is shown no key."""
    query: str = ""
    """What follows every path, encoded: `api-version=2024-10-21`."""
    health: str | None = None
    """The path at `prefix` of which a GET costs nothing and says that it is there; None: none is known."""
    cancelled: Cancelled = "unknown"
    """How it bills a stream that is broken off."""
    known_as: str | None = None
    """Its name in the registry, whose facts hold for its models; None: none do, as at an address of one's own."""

    def without_secrets(self, said: bytes, used: Credential | None = None) -> bytes:
        """Return what the provider said without what calls show it: some repeat that in their refusals.

        Args:
            said: by the provider.
            used: the credential of the call, where its key is not known from the start.
        """
        shown = [value for _, value in self.headers if len(value) >= _LEAST_SECRET]
        secrets = [self.credential, *(one.secret for one in self.credentials), None if used is None else used.secret]
        shown += [secret.reveal().encode("ascii") for secret in secrets if secret]
        for secret in shown:
            said = said.replace(secret, b"***")
        return said

    def at(self, origin: Origin, credential: Secret | None) -> "Provider":
        """Return the same provider at another address, with another key."""
        only = () if credential is None else (Credential(secret=checked(credential)),)
        return replace(self, origin=origin, credential=credential, credentials=only)

    def holding(self, credentials: tuple[Credential, ...]) -> "Provider":
        """Return the same provider with these keys; raises ValueError, without the key, where one cannot be sent."""
        for one in credentials:
            if one.secret is not None:
                checked(one.secret)
        return replace(self, credentials=credentials, credential=credentials[0].secret if credentials else None)


def make(  # noqa: PLR0913 - a provider has that many properties
    *,
    name: str,
    base_url: str,
    title: str = "",
    formats: tuple[str, ...] = ("openai_chat",),
    family: str = "",
    credential: Secret | None = None,
    headers: Mapping[str, str] | None = None,
    deadlines: Deadlines = Deadlines(),  # noqa: B008 - frozen
    models: tuple[str, ...] | None = None,
    stream_usage: StreamUsage = "ask",
    price_id: str | None = None,
    free: bool = False,
    free_models: tuple[str, ...] = (),
    rank: int = 30,
    prefixed: bool = False,
    embedded: bool = False,
    under: Mapping[str, str] | None = None,
    key_header: KeyHeader | None = None,
    dialect: Dialect = Dialect(),  # noqa: B008 - frozen
    signing: Signing | None = None,
    health: str | None = None,
    cancelled: Cancelled = "unknown",
) -> Provider:
    """Make a provider from plain values; the defaults are those of an unknown OpenAI-compatible address.

    Raises:
        ValueError: the address, the key or a header cannot be sent; the message does not hold the key.
    """
    origin, prefix = parse_base_url(base_url)
    return Provider(
        name=name,
        title=title or name,
        origin=origin,
        prefix=prefix,
        formats=formats,
        family=family or name,
        credential=None if credential is None else checked(credential),
        credentials=() if credential is None else (Credential(secret=credential),),
        headers=tuple(_header(key, value) for key, value in (headers or {}).items()),
        deadlines=deadlines,
        models=models,
        stream_usage=stream_usage,
        price_id=price_id,
        free=free,
        free_models=free_models,
        rank=rank,
        prefixed=prefixed,
        embedded=embedded,
        under={name: _under(path) for name, path in (under or {}).items()},
        key_header=key_header,
        dialect=dialect,
        signing=signing,
        health=health,
        cancelled=cancelled,
    )


def outgoing(  # noqa: PLR0913 - a call has that many properties
    provider: Provider,
    *,
    wire: str,
    path: str,
    body: bytes,
    at_ms: int,
    accept: bytes = JSON_TYPE,
    content_type: bytes = JSON_TYPE,
    headers: Headers = (),
    key: KeyHeader = "bearer",
    model: str = "",
    credential: Credential | None = None,
) -> Outgoing:
    """Return the request that asks a provider.

    Args:
        provider: who is asked.
        wire: the name of the format in which it is asked.
        path: the path of the wire format, such as `/chat/completions`; it follows the provider's own prefix.
        body: the request.
        at_ms: the time, in Unix milliseconds, for those who want it signed.
        accept: the media type that is asked for.
        content_type: that of the request.
        headers: further headers of this call, names in lower case; one that the provider sets itself is left out.
        key: how the format shows the key, unless the provider wants it otherwise.
        model: what the provider calls the model, for those who want it in the path.
        credential: whose key it is shown, with that key; None: the first of `provider.credentials`.

    Raises:
        InternalError: the key comes from somewhere, and has not been had from there yet.
    """
    own = {name for name, _ in provider.headers}
    further = [header for header in headers if header[0] not in own] if own else headers
    secret = _secret(provider, credential)
    shown = _shown(secret, provider.key_header or key)
    under = provider.under.get(wire, "").replace(_MODEL_MARK, quote(model, safe=""))
    made = Outgoing(
        origin=provider.origin,
        target=_with_query(f"{provider.prefix}{under}{path}", provider.query),
        headers=((b"content-type", content_type), *_COMMON, (b"accept", accept), *shown, *provider.headers, *further),
        body=body,
        deadlines=provider.deadlines,
    )
    if provider.signing is None or secret is not None:
        return made
    return replace(made, headers=(*made.headers, *provider.signing.sign(made, at_ms=at_ms)))


def probe(provider: Provider, *, key: KeyHeader = "bearer", credential: Credential | None = None) -> Outgoing | None:
    """Return the request that asks whether a provider is there; None: none is known that costs nothing.

    It says that the provider answers and, where it lists what a key may see, that the key is good. Arguments are those
    of `outgoing`.
    """
    if provider.health is None or provider.signing is not None:
        return None
    shown = _shown(_secret(provider, credential), provider.key_header or key)
    return Outgoing(
        origin=provider.origin,
        method="GET",
        target=_with_query(provider.prefix + provider.health, provider.query),
        headers=(*_COMMON, (b"accept", JSON_TYPE), *shown, *provider.headers),
        body=b"",
        deadlines=provider.deadlines,
    )


def _secret(provider: Provider, credential: Credential | None) -> Secret | None:
    if credential is None and provider.credentials:
        credential = provider.credentials[0]
    if credential is None:
        return provider.credential
    if credential.secret is None and credential.source is not None:
        raise InternalError("The call was not sent.", detail=f"{provider.name}: its key has not been had yet")
    return credential.secret


def _with_query(target: str, query: str) -> str:
    if not query:
        return target
    return f"{target}{'&' if '?' in target else '?'}{query}"


def _shown(credential: Secret | None, key: KeyHeader) -> Headers:
    if credential is None:
        return ()
    text = credential.reveal().encode("ascii")
    match key:
        case "bearer" | "sigv4":
            return ((b"authorization", b"Bearer " + text),)
        case "x-api-key" | "x-goog-api-key" | "api-key":
            return ((key.encode("ascii"), text),)


def _under(path: str) -> str:
    _, plain = parse_base_url(f"https://localhost{path}")
    return plain


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    lower = name.lower()
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if lower in _OURS:
        raise ValueError(f"the header {lower} is set by Komeet")
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of the header {lower} is not printable ASCII")
    return lower.encode("ascii"), value.strip().encode("ascii")
