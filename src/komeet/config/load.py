"""Reads the configuration file; every mistake is named by its path."""

import difflib
import os
import re
from collections.abc import Hashable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from komeet.access.signature import LEAST
from komeet.catalog.lifecycle import Lifecycle
from komeet.config.exact import Exact, Moment, exact_of, moment_of
from komeet.config.limits import mistake
from komeet.config.models import leading, lifecycle_of
from komeet.config.placement import misplaced
from komeet.config.schema import Config
from komeet.core.hosts import is_this_machine
from komeet.core.secrets import Secret
from komeet.providers.address import parse_base_url

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_POSTGRESQL = ("postgresql://", "postgres://")
_AT = re.compile(r" - at `(?P<in_key>key in )?\$?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")


class ConfigError(Exception):
    """The file cannot be used; the message says where and why, and holds no secret."""


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read, interpolate and check the file at `path`.

    Raises:
        ConfigError: it cannot be read, is not YAML, or says something that Komeet does not understand.
    """
    return parse_file(path, text_of(path), environment)


def text_of(path: Path) -> str:
    """Return what is in the file at `path`; raises ConfigError where it cannot be read."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None


def parse_file(path: Path, text: str, environment: Mapping[str, str]) -> Config:
    """Return the configuration that `text`, from the file at `path`, describes.

    Raises:
        ConfigError: with the file and the path of the first mistake.
    """
    try:
        return parse(text, environment)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(text: str, environment: Mapping[str, str]) -> Config:
    """Return the configuration that `text` describes; raises ConfigError with the path of the first mistake."""
    try:
        document: object = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{where}{error.problem or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from None
    if document is None:
        document = {}
    try:
        config = msgspec.convert(
            _interpolate(document, environment, ""), Config, strict=False, dec_hook=_decode, str_keys=True
        )
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error))) from None
    _check(config)
    return config


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    return msgspec.json.schema(Config, schema_hook=_schema_of)


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key silently replace an earlier one; a configuration must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = cast("object", self.construct_object(key_node, deep=True))  # pyright: ignore[reportUnknownMemberType]
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"`{key}` is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _interpolate(value: object, environment: Mapping[str, str], path: str) -> object:
    """Replace `${NAME}` and `${NAME:-default}` in every string."""
    match value:
        case str():

            def replace(match: re.Match[str]) -> str:
                name, default = match["name"], cast("str | None", match["default"])
                found = environment.get(name, default)
                if found is None:
                    raise ConfigError(
                        f"{path}: the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                    )
                return found

            return _VARIABLE.sub(replace, value)
        case dict():
            items = cast("dict[object, object]", value).items()
            return {key: _interpolate(item, environment, f"{path}.{key}".lstrip(".")) for key, item in items}
        case list():
            entries = cast("list[object]", value)
            return [_interpolate(item, environment, f"{path}[{index}]") for index, item in enumerate(entries)]
        case _:
            return value


def _decode(kind: type, value: object) -> object:
    if kind is Exact:
        return exact_of(value)
    if kind is Moment:
        return moment_of(value)
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("expected a string")


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "format": "password"}
    if kind is Exact:
        return {"type": "number", "minimum": 0}
    if kind is Moment:
        return {"type": "string", "format": "date"}
    raise NotImplementedError(kind)


def _explain(message: str) -> str:
    """Turn msgspec's `Expected `int`, got `str` - at `$.server.port`` into `server.port: expected int, got str`."""
    found = _AT.search(message)
    path = found["path"].lstrip(".") if found else ""
    text = _AT.sub("", message)
    unknown = _UNKNOWN.search(text)
    if unknown:
        field = unknown["field"]
        known = _known_fields() if path else Config.__struct_fields__
        close = difflib.get_close_matches(field, known, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return f"{f'{path}.{field}' if path else field}: there is no such option{hint}"
    text = text[:1].lower() + text[1:].replace("`", "")
    return f"{path}: {text}" if path else f"the file: {text}"


def _known_fields() -> list[str]:
    found: list[str] = []
    definitions = cast("dict[str, dict[str, Any]]", schema().get("$defs", {}))
    for definition in definitions.values():
        found.extend(cast("dict[str, Any]", definition.get("properties", {})))
    return found


def _check(config: Config) -> None:
    """What types cannot say."""
    for index, network in enumerate(config.server.trusted_proxies):
        try:
            ip_network(network)
        except ValueError as error:
            raise ConfigError(f"server.trusted_proxies[{index}]: {error}") from None
    _check_databases(config)
    _check_webhooks(config)
    if (wrong := mistake(config.limits)) is not None:
        raise ConfigError(wrong)
    if config.console.enabled and not is_this_machine(config.console.host):
        raise ConfigError(
            "console.host: the console has no sign-in yet, so it is for this machine alone: 127.0.0.1, ::1 or localhost"
        )
    _check_routes(config)
    seen: dict[str, int] = {}
    for index, provider in enumerate(config.providers or ()):
        path = f"providers[{index}]"
        if provider.name in seen:
            raise ConfigError(f"{path}.name: {provider.name} is already providers[{seen[provider.name]}]")
        seen[provider.name] = index
        if provider.api_key is not None and provider.api_key_file is not None:
            raise ConfigError(f"{path}.api_key_file: give api_key or api_key_file, not both")
        if provider.credentials and (provider.api_key is not None or provider.api_key_file is not None):
            raise ConfigError(f"{path}.credentials: give one key (api_key, api_key_file) or several, not both")
        if provider.base_url is not None:
            _check_url(provider.base_url, f"{path}.base_url", allow_http=provider.allow_http)
        for name, value in provider.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(r"[\r\n\0]", value):
                raise ConfigError(f"{path}.headers: {name!r} is not a header")


def _check_routes(config: Config) -> None:
    """A route leads to models, not to routes; an alias leads to either, and never back to itself."""
    try:
        aliases = leading(config.aliases)
        lifecycle_of(config.models, Lifecycle())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if (wrong := misplaced(config.placement, [tag for one in config.providers or () for tag in one.tags])) is not None:
        raise ConfigError(wrong)
    names = [route.name for route in config.routes]
    for index, route in enumerate(config.routes):
        if route.name in aliases:
            raise ConfigError(f"aliases.{route.name}: {route.name} is already routes[{index}]")
        if route.name in names[:index]:
            raise ConfigError(f"routes[{index}].name: {route.name} is already routes[{names.index(route.name)}]")
        for place, group in enumerate(route.groups):
            for number, candidate in enumerate(group.candidates):
                if aliases.get(candidate.model, candidate.model) in names:
                    what = "leads to a route" if candidate.model in aliases else "is a route"
                    raise ConfigError(
                        f"routes[{index}].groups[{place}].candidates[{number}].model: {candidate.model} {what};"
                        " a route leads to models"
                    )


def _check_databases(config: Config) -> None:
    """The addresses are not repeated: they may hold a password."""
    ledger, requests = config.ledger.database, config.request_log.database
    if ledger and not ledger.reveal().startswith(_POSTGRESQL):
        raise ConfigError("ledger.database: expected postgresql://user@host/database, or nothing for SQLite")
    if requests and not requests.reveal().startswith((*_POSTGRESQL, "local")):
        raise ConfigError("request_log.database: expected postgresql://user@host/database, `local`, or nothing")


def _check_webhooks(config: Config) -> None:
    webhook, payments = config.budgets.webhook, config.payments.webhook_secret
    if webhook is not None:
        _check_secret(webhook.secret, "budgets.webhook.secret")
        _check_url(webhook.url.partition("?")[0], "budgets.webhook.url", allow_http=False)
    if payments is not None:
        _check_secret(payments, "payments.webhook_secret")


def _check_secret(secret: Secret, path: str) -> None:
    if len(secret.reveal()) < LEAST:
        raise ConfigError(f"{path}: needs {LEAST} characters or more, of chance: `openssl rand -hex 32` makes some")


def _check_url(url: str, path: str, *, allow_http: bool) -> None:
    try:
        origin, _ = parse_base_url(url)
    except ValueError as error:
        raise ConfigError(f"{path}: expected https URL: {error}") from None
    if origin.scheme == "http" and not allow_http and not is_this_machine(origin.host):
        raise ConfigError(f"{path}: expected https URL (http is for this machine; allow_http: true lifts this)")


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Return where data is kept when nobody says: the XDG data directory."""
    base = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME") or "~", ".local", "share")  # noqa: PTH118
    return Path(base).expanduser() / "komeet"
