"""From the file, or the environment where there is none, to the providers that can be asked."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from komeet.config import credentials
from komeet.config.credentials import Google
from komeet.config.google import Asker, asker, is_meant
from komeet.config.load import ConfigError
from komeet.config.own import own_prices
from komeet.config.sales import sales_of
from komeet.config.schema import Aws, Config
from komeet.config.schema import Provider as Wanted
from komeet.config.tls import tls_files
from komeet.core.hosts import is_this_machine
from komeet.core.http import Deadlines
from komeet.providers import registry
from komeet.providers.azure.deployments import dated
from komeet.providers.credential import Credential
from komeet.providers.provider import Provider, make
from komeet.providers.registry import FormatName, Row
from komeet.providers.signing import AwsCredentials, checked, checked_region, credentials_in, region_in, require

_OPENAI: Final[tuple[FormatName, ...]] = (
    "openai_chat",
    "openai_embeddings",
    "openai_moderations",
    "openai_images",
    "openai_image_edits",
    "openai_speech",
    "openai_transcriptions",
    "openai_translations",
    "jina_rerank",
)
"""What a server is taken to speak that is somebody's own."""


class Found(Struct, frozen=True, kw_only=True):
    """The providers that there are, and why the others are not."""

    providers: tuple[Provider, ...]
    missing: dict[str, str]
    """By name of a provider that cannot be asked: what it lacks."""


def find(config: Config, environment: Mapping[str, str]) -> Found:
    """Make the configured providers concrete, or those that the environment has keys for; and the embedded model.

    Raises:
        ConfigError: a provider or a price of the file, or a variable of the environment, cannot be used.
    """
    own_prices(config)
    sales_of(config.sales)
    rows = registry.load()
    found: list[Provider] = []
    missing: dict[str, str] = {}
    if config.providers is None:
        for row in rows.values():
            try:
                provider = _in_environment(row, environment)
            except ValueError as error:
                raise ConfigError(f"{row.name}: {error}") from None
            if provider is not None:
                _refuse_key_in_the_clear(provider)
                found.append(provider)
            elif not row.embedded and row.key_env:
                missing[row.name] = registry.lacking(row)
    else:
        for index, wanted in enumerate(config.providers):
            row = rows.get(wanted.name)
            try:
                found.append(_named(wanted, row, environment))
            except ConfigError as error:
                raise ConfigError(f"providers[{index}]{error}") from None
            except ValueError as error:
                raise ConfigError(f"providers[{index}]: {error}") from None
    if config.embedded.enabled:
        found += [registry.provider_of(row) for row in rows.values() if row.embedded]
    return Found(providers=tuple(found), missing=missing)


def _in_environment(row: Row, environment: Mapping[str, str]) -> Provider | None:
    if row.auth != "service_account":
        return registry.found_in(row, environment)
    who = asker(Google(), environment) if is_meant(environment) else None
    return None if who is None else _asked_by(who, row, None, Deadlines())


def _asked_by(who: Asker, row: Row, base_url: str | None, deadlines: Deadlines) -> Provider:
    made = registry.provider_of(row, base_url=base_url, deadlines=deadlines, region=who.location, project=who.project)
    return made.holding((who.credential,))


def _refuse_key_in_the_clear(provider: Provider) -> None:
    if provider.credentials and provider.origin.scheme == "http" and not is_this_machine(provider.origin.host):
        raise ConfigError(
            f"{provider.name}: its key would go to {provider.origin.host} over http, in the clear; use https, or a"
            " configuration file with allow_http: true"
        )


def _named(wanted: Wanted, row: Row | None, environment: Mapping[str, str]) -> Provider:
    """Make one provider of the file; raises ConfigError with the rest of its path."""
    deadlines = Deadlines(
        connect=wanted.deadlines.connect,
        first_byte=wanted.deadlines.first_byte,
        idle=wanted.deadlines.idle,
        total=wanted.deadlines.total,
    )
    made = _of_your_own(wanted, environment, deadlines) if row is None else _known(wanted, row, environment, deadlines)
    if wanted.aws is not None and (row is None or row.auth != "aws"):
        raise ConfigError(f".aws: {wanted.name} is not a service of AWS")
    if wanted.google is not None and (row is None or row.auth != "service_account"):
        raise ConfigError(f".google: {wanted.name} takes no service account of Google")
    headers = make(name=made.name, base_url="https://localhost", headers=wanted.headers).headers
    tls = tls_files(wanted.tls, ".tls")
    if tls is not None and made.origin.scheme == "http":
        raise ConfigError(".tls: its address is http, where there is no TLS")
    made = replace(
        made,
        origin=replace(made.origin, tls=tls),
        headers=(*made.headers, *headers),
        models=made.models if wanted.models is None else wanted.models,
        stream_usage=wanted.stream_usage or made.stream_usage,
        formats=wanted.formats or made.formats,
        losses=wanted.losses,
        tags=wanted.tags,
        price_id=wanted.prices_of or made.price_id,
    )
    return _of_version(wanted, row, made, environment)


def _of_your_own(wanted: Wanted, environment: Mapping[str, str], deadlines: Deadlines) -> Provider:
    if wanted.base_url is None:
        raise ConfigError(f".base_url: {wanted.name} is not in the registry, so its address is needed")
    made = make(
        name=wanted.name,
        base_url=wanted.base_url,
        formats=wanted.formats or _OPENAI,
        deadlines=deadlines,
    )
    return made.holding(_credentials(wanted, None, environment))


def _known(wanted: Wanted, row: Row, environment: Mapping[str, str], deadlines: Deadlines) -> Provider:
    if row.auth == "service_account":
        return _of_google(wanted, row, environment, deadlines)
    found = _credentials(wanted, row, environment)
    if row.auth == "bearer" and not found:
        raise ConfigError(f".api_key: {wanted.name} needs a key; give one, or set {' or '.join(row.key_env)}")
    base_url = wanted.base_url or registry.base_url_in(row, environment)
    if base_url is None and not row.placed:
        raise ConfigError(
            f".base_url: every customer of {wanted.name} has an address of their own; give it here, or in"
            f" {' or '.join((*row.base_url_env, *row.host_env))}"
        )
    region, signer = None, None
    if row.auth == "aws":
        region, signer = _aws(wanted, environment, has_key=bool(found))
    made = registry.provider_of(row, base_url=base_url, deadlines=deadlines, region=region, signer=signer)
    return made.holding(found)


def _of_google(wanted: Wanted, row: Row, environment: Mapping[str, str], deadlines: Deadlines) -> Provider:
    if wanted.api_key is not None or wanted.api_key_file is not None or wanted.credentials:
        raise ConfigError(f".google: {wanted.name} takes a service account, and no key")
    try:
        who = asker(wanted.google or Google(), environment)
    except ValueError as error:
        raise ConfigError(f".google: {error}") from None
    if who is None:
        raise ConfigError(
            f".google.credentials_file: {wanted.name} is asked by a service account; give its key file, or set"
            f" {' or '.join(row.key_env)}"
        )
    return _asked_by(who, row, wanted.base_url, deadlines)


def _of_version(wanted: Wanted, row: Row | None, made: Provider, environment: Mapping[str, str]) -> Provider:
    dates = row is not None and bool(row.version_env)
    if wanted.api_version is not None and not dates:
        raise ConfigError(f".api_version: {wanted.name} has no dated API")
    version = wanted.api_version or (registry.version_in(row, environment) if row is not None else None)
    if version is None:
        return made
    try:
        return dated(made, version)
    except ValueError as error:
        raise ConfigError(f".api_version: {error}") from None


def _aws(wanted: Wanted, environment: Mapping[str, str], *, has_key: bool) -> tuple[str, AwsCredentials | None]:
    """Return the region, and who signs where there is no key; raises ConfigError with the rest of the path."""
    aws = wanted.aws or Aws()
    try:
        region = region_in(environment) if aws.region is None else checked_region(aws.region)
    except ValueError as error:
        raise ConfigError(f".aws.region: {error}") from None
    if region is None:
        raise ConfigError(f".aws.region: {wanted.name} is asked in a region; give one, or set AWS_REGION")
    if has_key:
        return region, None
    try:
        signer = _signer(aws, environment)
        require()
    except ValueError as error:
        raise ConfigError(f".aws: {error}") from None
    return region, signer


def _signer(aws: Aws, environment: Mapping[str, str]) -> AwsCredentials:
    if aws.access_key_id is None and aws.secret_access_key is None:
        found = credentials_in(environment)
        if found is None:
            raise ValueError(
                "no credentials; give `access_key_id` and `secret_access_key`, or a Bedrock API key as `api_key`"
            )
        return found
    if not aws.access_key_id or not aws.secret_access_key:
        raise ValueError("`access_key_id` and `secret_access_key` go together")
    return checked(aws.access_key_id, aws.secret_access_key, aws.session_token or None)


def _credentials(wanted: Wanted, row: Row | None, environment: Mapping[str, str]) -> tuple[Credential, ...]:
    """Return the keys of a provider, the environment's where the file has none."""
    if wanted.credentials:
        return _several(wanted, environment)
    if wanted.api_key is not None:
        return (Credential(secret=wanted.api_key),) if wanted.api_key else ()
    if wanted.api_key_file is not None:
        try:
            return (credentials.from_file(wanted.api_key_file),)
        except ValueError as error:
            raise ConfigError(f".api_key_file: {error}") from None
    secret = registry.key_in(row, environment) if row is not None else None
    return () if secret is None else (Credential(secret=secret),)


def _several(wanted: Wanted, environment: Mapping[str, str]) -> tuple[Credential, ...]:
    found: list[Credential] = []
    for index, one in enumerate(wanted.credentials):
        path = f".credentials[{index}]"
        try:
            made = credentials.read(one, index + 1, environment)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        if any(made.name == other.name for other in found):
            raise ConfigError(f"{path}.name: there are two of the name {made.name}")
        found.append(made)
    return tuple(found)
