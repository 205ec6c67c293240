"""The providers that Komeet knows, as rows of data."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from komeet.catalog.dialect import Dialect
from komeet.core.http import Deadlines
from komeet.core.secrets import Secret
from komeet.providers.address import at_host, parse_base_url
from komeet.providers.azure.deployments import dated
from komeet.providers.google.place import GLOBAL, in_project
from komeet.providers.provider import Cancelled, Provider, StreamUsage, make
from komeet.providers.signing import AwsCredentials, Signing, credentials_in, in_region, region_in, require
from komeet.wire.format import KeyHeader

Name: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]
FormatName: TypeAlias = Literal[
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "bedrock_converse",
    "cohere_chat",
    "openai_embeddings",
    "mistral_embeddings",
    "gemini_embeddings",
    "cohere_embeddings",
    "titan_embeddings",
    "bedrock_cohere_embeddings",
    "openai_moderations",
    "mistral_moderations",
    "jina_rerank",
    "cohere_rerank",
    "openai_images",
    "openai_image_edits",
    "openai_speech",
    "openai_transcriptions",
    "openai_translations",
]
"""What providers may speak: the names of `wire.formats.FORMATS`."""
ANY_PROJECT: Final = "project"
ANY_REGION: Final = "us-east-1"
"""Where the address of a row is made up that is in no region, or in none that matters."""
_SERVICE: Final = "bedrock"
_Variable: TypeAlias = Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider, as published; the fields are explained at the top of `registry.toml`."""

    name: Name
    title: str
    base_url: str
    formats: Annotated[tuple[FormatName, ...], Meta(min_length=1)]
    family: Name
    auth: Literal["bearer", "optional", "aws", "service_account"] = "bearer"
    key_env: tuple[_Variable, ...]
    base_url_env: tuple[_Variable, ...] = ()
    host_env: tuple[_Variable, ...] = ()
    version_env: tuple[_Variable, ...] = ()
    price_id: str | None = None
    free: bool = False
    free_models: tuple[str, ...] = ()
    stream_usage: StreamUsage
    rank: Annotated[int, Meta(ge=0, le=100)]
    prefixed: bool = False
    embedded: bool = False
    models: tuple[str, ...] | None = None
    headers: dict[str, str] = {}
    under: dict[str, str] = {}
    key_header: KeyHeader | None = None
    dialect: Dialect = Dialect()
    statements: tuple[str, ...] = ()
    litellm: tuple[str, ...] = ()
    new_api: dict[int, str] = {}
    one_api: dict[int, str] = {}
    health: Annotated[str, Meta(pattern="^/[a-z0-9/_-]+$")] | None = None
    cancelled: Cancelled = "unknown"
    docs: Annotated[str, Meta(pattern="^https://")]

    @property
    def placed(self) -> bool:
        """Whether it has an address of its own, and not one for each of its customers."""
        return not parse_base_url(_somewhere(self.base_url))[0].host.endswith(".invalid")


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    provider: tuple[Row, ...]


def load() -> dict[str, Row]:
    """Read the packaged `registry.toml`: rows by name, in the file's order.

    Raises:
        ValueError: the file is damaged.
    """
    return parse(files("komeet.providers").joinpath("registry.toml").read_bytes())


def biller(statement: str) -> str | None:
    """Return the provider whose reports of usage and costs have this format; None: nobody's, or several providers'."""
    found = [row.name for row in load().values() if statement in row.statements]
    return found[0] if len(found) == 1 else None


def parse(text: bytes) -> dict[str, Row]:
    """Read rows from TOML; raises ValueError with the path or the name of the first mistake."""
    try:
        rows = msgspec.toml.decode(text, type=_File).provider
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    by_name: dict[str, Row] = {}
    for row in rows:
        if row.name in by_name:
            raise ValueError(f"{row.name}: there are two rows of this name")
        if row.price_id is not None and row.free:
            raise ValueError(f"{row.name}: a provider that is free has no price_id")
        if not row.under.keys() <= set(row.formats):
            raise ValueError(f"{row.name}: `under` names a format that is not among its formats")
        try:
            provider_of(row)
        except ValueError as error:
            raise ValueError(f"{row.name}: {error}") from None
        by_name[row.name] = row
    return by_name


def provider_of(
    row: Row,
    *,
    base_url: str | None = None,
    credential: Secret | None = None,
    deadlines: Deadlines | None = None,
    region: str | None = None,
    signer: AwsCredentials | None = None,
    project: str = ANY_PROJECT,
) -> Provider:
    """Make a row concrete.

    Args:
        row: the provider, as published.
        base_url: its address, where it is another one.
        credential: its key.
        deadlines: how long each phase of a call may take.
        region: of AWS, or the location of Google, for a row whose address names one; None: any.
        signer: who signs its calls, where they are signed.
        project: of Google, for a row whose address names one.

    Raises:
        ValueError: the address, the key or a header cannot be sent; the message does not hold the key.
    """
    made = make(
        name=row.name,
        title=row.title,
        base_url=_at(row, base_url or row.base_url, region, project),
        formats=row.formats,
        family=row.family,
        credential=credential,
        headers=row.headers,
        deadlines=deadlines or Deadlines(),
        models=row.models,
        stream_usage=row.stream_usage,
        price_id=row.price_id,
        free=row.free,
        free_models=row.free_models,
        rank=row.rank,
        prefixed=row.prefixed,
        embedded=row.embedded,
        under=row.under,
        key_header=row.key_header,
        dialect=row.dialect,
        signing=None if signer is None else Signing(credentials=signer, service=_SERVICE, region=region or ANY_REGION),
        health=row.health,
        cancelled=row.cancelled,
    )
    usual = parse_base_url(_at(row, row.base_url, region, project))[0]
    is_its_own = base_url is None or not row.placed or made.origin == usual
    return msgspec.structs.replace(made, known_as=row.name) if is_its_own else made


def key_in(row: Row, environment: Mapping[str, str]) -> Secret | None:
    """Return the provider's key from the first of its variables that is set and not empty."""
    value = next((environment[name].strip() for name in row.key_env if environment.get(name, "").strip()), None)
    return Secret(value) if value is not None else None


def base_url_in(row: Row, environment: Mapping[str, str]) -> str | None:
    """Return the provider's address where a variable moves it; raises ValueError naming the variable."""
    for name in (*row.base_url_env, *row.host_env):
        value = environment.get(name, "").strip()
        if value:
            try:
                moved = at_host(row.base_url, value) if name in row.host_env else value
                parse_base_url(moved)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            return moved
    return None


def found_in(row: Row, environment: Mapping[str, str]) -> Provider | None:
    """Return the provider if the environment configures it: by its key, or by an address where it may go without one.

    A provider whose address was moved to another origin keeps its profiles but not its prices: what is charged there is
    not known from the price book, and has to be configured.

    Raises:
        ValueError: a variable is set to something that cannot be used; the message names the variable or the reason.
    """
    credential = key_in(row, environment)
    base_url = base_url_in(row, environment)
    if base_url is None and not row.placed:
        return None
    if row.auth == "aws":
        return _signed(row, environment, credential)
    if row.auth == "service_account":
        return None  # its key is a file, which is not read here
    if row.embedded or (credential is None and base_url is None):
        return None
    provider = provider_of(row, base_url=base_url, credential=credential)
    version = version_in(row, environment)
    if version is not None:
        provider = dated(provider, version)
    moved = row.placed and provider.origin != provider_of(row).origin
    if provider.price_id is not None and moved:
        return msgspec.structs.replace(provider, price_id=None)
    return provider


def version_in(row: Row, environment: Mapping[str, str]) -> str | None:
    """Return the version of a dated API that a variable names; None: the provider is asked as its row says."""
    return next((environment[name].strip() for name in row.version_env if environment.get(name, "").strip()), None)


def lacking(row: Row) -> str:
    """Return what the environment has to say before a provider that it does not configure is there."""
    key = f"{' or '.join(row.key_env)} is not set"
    if row.auth == "aws":
        return f"{key}, or AWS_REGION is not"
    if row.auth == "service_account":
        return f"{' or '.join(row.key_env)} is not set, or GOOGLE_CLOUD_LOCATION is not"
    if not row.placed:
        return f"{key}, or {' or '.join((*row.base_url_env, *row.host_env))} is not"
    return key


def _at(row: Row, base_url: str, region: str | None, project: str) -> str:
    if row.auth == "service_account":
        return in_project(base_url, project, region or GLOBAL)
    return in_region(base_url, region or ANY_REGION)


def _somewhere(base_url: str) -> str:
    """Return an address for a row's, with something in the place of each mark."""
    return in_project(in_region(base_url, ANY_REGION), ANY_PROJECT, GLOBAL)


def _signed(row: Row, environment: Mapping[str, str], credential: Secret | None) -> Provider | None:
    """Return a provider of AWS if there is a region, and a key of its own or credentials that sign."""
    region = region_in(environment)
    signer = None if credential is not None else credentials_in(environment)
    if region is None or (credential is None and signer is None):
        return None
    if signer is not None:
        require()
    return provider_of(row, credential=credential, region=region, signer=signer)
