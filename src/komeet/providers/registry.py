"""The providers that Komeet knows, as rows of data."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from komeet.core.http import Deadlines
from komeet.core.secrets import Secret
from komeet.providers.address import at_host, parse_base_url
from komeet.providers.provider import Provider, StreamUsage, make

Name: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]
FormatName: TypeAlias = Literal["openai_chat", "openai_responses", "anthropic_messages"]
_Variable: TypeAlias = Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$")]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider, as published; the fields are explained at the top of `registry.toml`."""

    name: Name
    title: str
    base_url: str
    formats: Annotated[tuple[FormatName, ...], Meta(min_length=1)]
    family: Name
    auth: Literal["bearer", "optional"] = "bearer"
    key_env: tuple[_Variable, ...]
    base_url_env: tuple[_Variable, ...] = ()
    host_env: tuple[_Variable, ...] = ()
    price_id: str | None = None
    free: bool = False
    stream_usage: StreamUsage
    rank: Annotated[int, Meta(ge=0, le=100)]
    prefixed: bool = False
    embedded: bool = False
    models: tuple[str, ...] | None = None
    headers: dict[str, str] = {}
    docs: Annotated[str, Meta(pattern="^https://")]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    provider: tuple[Row, ...]


def load() -> dict[str, Row]:
    """Read the packaged `registry.toml`: rows by name, in the file's order.

    Raises:
        ValueError: the file is damaged.
    """
    return parse(files("komeet.providers").joinpath("registry.toml").read_bytes())


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
        try:
            provider_of(row)
        except ValueError as error:
            raise ValueError(f"{row.name}: {error}") from None
        by_name[row.name] = row
    return by_name


def provider_of(
    row: Row, *, base_url: str | None = None, credential: Secret | None = None, deadlines: Deadlines | None = None
) -> Provider:
    """Make a row concrete.

    Args:
        row: the provider, as published.
        base_url: its address, where it is another one.
        credential: its key.
        deadlines: how long each phase of a call may take.

    Raises:
        ValueError: the address, the key or a header cannot be sent; the message does not hold the key.
    """
    return make(
        name=row.name,
        title=row.title,
        base_url=base_url or row.base_url,
        formats=row.formats,
        family=row.family,
        credential=credential,
        headers=row.headers,
        deadlines=deadlines or Deadlines(),
        models=row.models,
        stream_usage=row.stream_usage,
        price_id=row.price_id,
        free=row.free,
        rank=row.rank,
        prefixed=row.prefixed,
        embedded=row.embedded,
    )


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
    if row.embedded or (credential is None and base_url is None):
        return None
    provider = provider_of(row, base_url=base_url, credential=credential)
    published, _ = parse_base_url(row.base_url)
    if provider.price_id is not None and provider.origin != published:
        return msgspec.structs.replace(provider, price_id=None)
    return provider
