"""`model_list` of LiteLLM: each entry a deployment, or the reason why it is none."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from komeet.lab.imports.addresses import checked, completed, is_at_row, is_rows_own, name_of, writable
from komeet.lab.imports.costs import price_in
from komeet.lab.imports.deployment import Deployment, Place
from komeet.lab.imports.found import ImportFailed, Notes, is_written
from komeet.lab.imports.litellm_tables import INFO, PARAMETERS, Table
from komeet.lab.imports.node import Node
from komeet.lab.imports.variables import Variables, is_reference, referred
from komeet.providers.registry import Row

_LIKE_OPENAI: Final = ("custom_openai", "openai_like", "aiohttp_openai", "xinference", "lemonade", "llamafile")
"""Prefixes of whatever speaks Chat Completions at an address that the entry names."""
_HARMLESS: Final = ("accept", "content-type", "user-agent", "anthropic-beta", "anthropic-version", "x-title")
_AWS: Final = (
    ("aws_access_key_id", "access_key_id"),
    ("aws_secret_access_key", "secret_access_key"),
    ("aws_session_token", "session_token"),
    ("aws_region_name", "region"),
)
_KEY_FILE: Final = "the path of the key file of a service account"
_MOST_SECONDS: Final = 86_400
_MOST_AMOUNT: Final = 10**12


class Reading(Struct, frozen=True, kw_only=True):
    """What reading entries needs."""

    rows: Mapping[str, Row]
    owner: Callable[[str], Row | None]
    """Who makes a model that is named without a provider."""
    variables: Variables
    notes: Notes


def deployment_of(entry: object, path: str, reading: Reading) -> Deployment | None:
    """Return what an entry of the list is; None where Komeet cannot ask it, which is noted.

    Raises:
        ImportFailed: it has another shape than such an entry has.
    """
    node = Node(entry, path)
    alias = node.text("model_name")
    if alias is None:
        raise ImportFailed(f"{node.at('model_name')}: needed")
    parameters, info = node.node("litellm_params"), node.node("model_info")
    model = parameters.text("model")
    if model is None:
        reading.notes.missing(parameters.at("model"), "names no model: the entry is left out")
    made = None if model is None else _made(alias, model, parameters, info, reading)
    note_left(parameters, PARAMETERS, reading.notes)
    note_left(info, INFO, reading.notes)
    note_left(node, (), reading.notes)
    return made


def note_left(node: Node, table: Table, notes: Notes) -> None:
    """Note what nobody took from a mapping, with what a table says of it."""
    for key, path in list(node.left()):
        node.take(key)
        found = next((line for line in table if line[0] == key), None)
        if found is None:
            notes.unknown(path)
        else:
            notes.add(found[1], path, found[2])


def _made(alias: str, model: str, parameters: Node, info: Node, reading: Reading) -> Deployment | None:
    notes, path = reading.notes, parameters.at("model")
    wanted = parameters.text("custom_llm_provider")
    row, name, is_known = _whose(model, wanted, reading)
    base = parameters.text("api_base") if parameters.has("api_base") else parameters.text("base_url")
    parameters.take("base_url")
    common = _common(parameters, info, notes)
    is_others = row is not None and row.auth == "service_account" and _is_others(name, row, reading)
    place = _place(row, base, parameters, reading) if is_known and not is_others else None
    if not is_known:
        notes.missing(path, _nobody(model, wanted))
    elif is_others:
        notes.missing(path, "a model of another publisher, in a format that Komeet does not speak there")
    elif place is not None and not (is_written(name) and is_written(alias) and len(name) <= 190):
        notes.missing(path, "the name of the model, or of what callers write, cannot be written as it is")
        place = None
    keys = _keys(parameters, place, reading)
    if place is None:
        return None
    return Deployment(path=path, alias=alias, place=place, model=name, keys=keys, **common)


def _whose(model: str, wanted: str | None, reading: Reading) -> tuple[Row | None, str, bool]:
    """Return the row (None: an address of somebody's own), the model's name there, and whether anybody is known."""
    full = model if wanted is None or model.startswith(f"{wanted}/") else f"{wanted}/{model}"
    found = max(
        ((prefix, row) for row in reading.rows.values() for prefix in row.litellm if full.startswith(f"{prefix}/")),
        key=lambda each: len(each[0]),
        default=None,
    )
    if found is not None:
        return found[1], full[len(found[0]) + 1 :], True
    like = next((prefix for prefix in _LIKE_OPENAI if full.startswith(f"{prefix}/")), None)
    if like is not None:
        return None, full[len(like) + 1 :], True
    owner = reading.owner(full) if "/" not in full else None
    return owner, full, owner is not None


def _is_others(name: str, row: Row, reading: Reading) -> bool:
    owner = reading.owner(name.partition("@")[0])
    return owner is not None and owner.family != row.family


def _nobody(model: str, wanted: str | None) -> str:
    prefix = wanted or model.partition("/")[0]
    if "/" in model or wanted:
        return f"no provider that Komeet knows is called `{prefix}`; one that speaks a known format needs a `base_url`"
    return "nobody is known to make this model; write `provider/model`"


def _place(row: Row | None, base: str | None, parameters: Node, reading: Reading) -> Place | None:
    """Return where it is asked; None where that cannot be said, which is noted."""
    notes, path = reading.notes, parameters.at("api_base")
    if base is None:
        if row is None or not row.placed:
            notes.missing(path, "needed here: every customer has an address of their own")
            return None
        return _at(row, None, parameters, reading)
    if is_reference(base):
        variable = referred(base)
        if variable is None:
            notes.missing(path, "names no variable that Komeet could read")
            return None
        url = reading.variables.named(variable, "the address of a provider, with https:// and its path")
        return _at(None if _is_copied(row) else row, url, parameters, reading)
    try:
        url = writable(checked(base))
    except ValueError as error:
        notes.missing(path, f"not an address that Komeet can ask: {error}")
        return None
    if row is None:
        return _at(None, url, parameters, reading)
    if is_rows_own(url, row):
        return _at(row, None, parameters, reading)
    if _is_copied(row) and not is_at_row(url, row):
        notes.differs(path, "an address of your own: asked in Chat Completions, and without a price (`prices`)")
        return _at(None, url, parameters, reading)
    leaves_out = row.auth == "optional" or not row.placed or not row.formats[0].startswith("openai_")
    full = completed(url, row) if leaves_out else url
    if full != url:
        notes.differs(path, "the API's path is part of a `base_url` here, and is added")
    return _at(row, full, parameters, reading)


def _is_copied(row: Row | None) -> bool:
    """Whether it is the one whose format all others copy: its name before an address means the format alone."""
    return row is not None and row.placed and row.formats[0] == "openai_responses"


def _at(row: Row | None, url: str | None, parameters: Node, reading: Reading) -> Place | None:
    version = parameters.text("api_version")
    if version is not None and (row is None or not row.version_env):
        reading.notes.missing(parameters.at("api_version"), "this provider has no dated API")
        version = None
    elif version is not None:
        version = _version(version, parameters.at("api_version"), reading)
    return Place(
        row=row,
        base_url=url,
        api_version=version,
        headers=_headers(parameters, reading),
        aws=_aws(parameters, reading) if row is not None and row.auth == "aws" else (),
        google=_google(parameters, reading) if row is not None and row.auth == "service_account" else (),
    )


def _version(version: str, path: str, reading: Reading) -> str | None:
    if is_reference(version):
        name = referred(version)
        return None if name is None else reading.variables.named(name, "the version of a dated API: 2024-10-21")
    if is_written(version):
        return version
    reading.notes.missing(path, "it cannot be written as it is")
    return None


def _keys(parameters: Node, place: Place | None, reading: Reading) -> tuple[str, ...]:
    key = parameters.text("api_key")
    if place is None:
        return ()
    if key is None or key.lower() in {"none", "null"}:
        return _keys_by_default(parameters, place, reading)
    if place.row is not None and place.row.auth == "service_account":
        reading.notes.missing(parameters.at("api_key"), "this provider takes a service account, and no key")
        return ()
    if is_reference(key) and referred(key) is None:
        reading.notes.missing(parameters.at("api_key"), "names no variable that Komeet could read")
        return _keys_by_default(parameters, place, reading)
    name = "" if place.base_url is None or place.base_url.startswith("$") else name_of(place.base_url)
    wanted = f"IMPORTED_{name if place.row is None else place.row.name}_KEY"
    return (reading.variables.secret(key, wanted, f"a key, at {parameters.at('api_key')}"),)


def _keys_by_default(parameters: Node, place: Place, reading: Reading) -> tuple[str, ...]:
    """Return the key that the environment has for a row; an address of somebody's own gets none."""
    row = place.row
    if row is None:
        reading.notes.differs(parameters.at("model"), "no key is sent to this address, since none is given")
    elif row.auth == "bearer" and row.key_env:
        return (reading.variables.named(row.key_env[0], f"the key of {row.title}"),)
    return ()


def _headers(parameters: Node, reading: Reading) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for below in ("extra_headers", "headers"):
        node = parameters.node(below)
        for key, path in list(node.left()):
            value = node.text(key)
            if value is None:
                continue
            harmless = key.lower() in _HARMLESS and is_written(value) and not is_reference(value)
            written = value if harmless else reading.variables.secret(value, f"HEADER_{key}", f"a header, at {path}")
            found[key] = written
    organization = parameters.text("organization")
    if organization is not None:
        path = parameters.at("organization")
        found["OpenAI-Organization"] = reading.variables.secret(organization, "OPENAI_ORGANIZATION", f"at {path}")
    return tuple(found.items())


def _aws(parameters: Node, reading: Reading) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for key, name in _AWS:
        value = parameters.text(key)
        if value is None:
            continue
        if name == "region" and not is_reference(value):
            found[name] = value
        else:
            found[name] = reading.variables.secret(value, key.upper(), f"at {parameters.at(key)}")
    return tuple(found.items())


def _google(parameters: Node, reading: Reading) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for key, name in (("vertex_project", "project"), ("vertex_location", "location")):
        value = parameters.text(key)
        if value is not None and is_reference(value):
            found[name] = reading.variables.secret(value, key.upper(), f"at {parameters.at(key)}")
        elif value is not None:
            found[name] = value
    given = parameters.take("vertex_credentials")
    path = parameters.at("vertex_credentials")
    if given is None:
        found["credentials_file"] = reading.variables.named("GOOGLE_APPLICATION_CREDENTIALS", _KEY_FILE)
    elif not (isinstance(given, str) and is_reference(given)):
        reading.notes.differs(path, "not repeated: save the service account as a file, and name it in the variable")
        found["credentials_file"] = reading.variables.named("GOOGLE_APPLICATION_CREDENTIALS", _KEY_FILE)
    else:
        found["credentials_file"] = reading.variables.secret(
            given, "GOOGLE_APPLICATION_CREDENTIALS", f"{_KEY_FILE}, at {path}"
        )
    return tuple(found.items())


def _common(parameters: Node, info: Node, notes: Notes) -> dict[str, Any]:
    """Return what has nothing to do with where it is asked."""
    weight, tier = parameters.number("weight"), parameters.whole("order")
    rpm, tpm = _amount(parameters, "rpm", notes), _amount(parameters, "tpm", notes)
    if rpm or tpm:
        key = "rpm" if rpm else "tpm"
        notes.differs(
            parameters.at(key),
            "a limit that is kept (429 above it, docs/limits.md); it weighs where no weight is given",
        )
    seconds = None if is_reference(parameters.take("timeout")) else parameters.number("timeout")
    if seconds is None and parameters.has("timeout"):
        notes.missing(parameters.at("timeout"), "deadlines are numbers: `providers[].deadlines`")
    return {
        "weight": Decimal(-1) if weight is None else weight,
        "tier": 1_000_000 if tier is None else min(tier, 999_999),
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "seconds": min(seconds, Decimal(_MOST_SECONDS)) if seconds else None,
        "price": price_in((parameters, info), notes),
    }


def _amount(parameters: Node, key: str, notes: Notes) -> int | None:
    if is_reference(parameters.take(key)):
        notes.missing(parameters.at(key), "limits are numbers: `limits`")
        return None
    found = parameters.whole(key)
    return min(found, _MOST_AMOUNT) if found else None
