"""Channels of New API and One API: each a provider with its models, or the reason why it is none."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from komeet.lab.imports.addresses import checked, completed, is_at_row, is_rows_own, name_of, writable
from komeet.lab.imports.deployment import Deployment, Place
from komeet.lab.imports.found import ImportFailed, Notes, is_written
from komeet.lab.imports.node import Node
from komeet.lab.imports.source import read_json
from komeet.lab.imports.variables import Variables
from komeet.providers.registry import Row

Family: TypeAlias = Literal["new", "one"]
"""Which of the two it is: their numbers of types differ."""

_ENABLED: Final = 1
_LIKE_OPENAI: Final[Mapping[Family, tuple[int, ...]]] = {
    "new": (6, 7, 8, 9, 10, 12, 13, 22, 31, 47, 53),
    "one": (4, 5, 6, 7, 8, 9, 10, 12, 13, 26, 31, 50),
}
"""Types of whatever speaks Chat Completions at the channel's own address."""
_COMPLETIONS: Final = "/chat/completions"
_PLAIN: Final = re.compile(r"[a-z0-9-]{1,40}")
_STATISTICS: Final = (
    *("name", "created_time", "test_time", "response_time", "balance", "balance_updated_time", "used_quota"),
    *("test_model", "remark", "tag", "need_reconcile", "other_info"),
)
_SAID: Final = (
    ("param_override", "requests are not changed by rules; what models take is in the catalog"),
    ("header_override", "headers of a provider are `headers`; write them there"),
    ("status_code_mapping", "statuses are what they are (docs/routing.md says what is tried again)"),
    ("openai_organization", "a header of the provider: `headers: {OpenAI-Organization: …}`"),
    ("setting", "settings of a channel (proxy, system prompt, pass-through …) have no place here"),
    ("settings", "settings of a channel (proxy, system prompt, pass-through …) have no place here"),
    ("config", "settings of a channel (region, plugin …) have no place here"),
    ("system_prompt", "no prompts are added to calls"),
    ("auto_ban", "a provider that fails is left alone for seconds, never switched off (`failover.breaker`)"),
)


class Reading(Struct, frozen=True, kw_only=True):
    """What reading channels needs."""

    family: Family
    types: Mapping[int, tuple[Row, str]]
    """By number of a type: the row, and where channels without an address ask it ("": where the row says)."""
    variables: Variables
    notes: Notes


def types_of(rows: Mapping[str, Row], family: Family) -> dict[int, tuple[Row, str]]:
    """Return the types of channel that rows of the registry are."""
    return {
        number: (row, address)
        for row in rows.values()
        for number, address in (row.new_api if family == "new" else row.one_api).items()
    }


def deployments_of(channel: object, index: int, reading: Reading) -> tuple[list[Deployment], tuple[str, ...]]:
    """Return the models of a channel, and the groups of callers that it is for.

    Raises:
        ImportFailed: it has another shape; with the path.
    """
    node = Node(channel, f"channels[{index}]")
    number = node.whole("id")
    node.path = node.path if number is None else f"channels[id={number}]"
    named = _listed(node.text("group"))
    groups = tuple(dict.fromkeys(group for group in named if is_written(group)))
    found = _made(node, reading)
    _say_rest(node, reading.notes)
    if named and not groups:
        reading.notes.missing(node.at("group"), "the name of a group cannot be written as it is: it is left out")
        return [], ()
    return found, groups or ("default",)


def _made(node: Node, reading: Reading) -> list[Deployment]:
    notes = reading.notes
    kind, status = node.whole("type"), node.number("status")
    given, key = node.text("base_url"), node.text("key")
    other = node.text("other")
    models, mapping = _listed(node.text("models")), _mapping(node)
    weight, priority = node.number("weight"), _priority(node)
    info = _info(node)
    if kind is None:
        raise ImportFailed(f"{node.at('type')}: needed")
    if status is not None and int(status) != _ENABLED:
        notes.missing(node.path, "switched off there, and left out")
        return []
    place = _place(node, kind, given, other, reading)
    if place is None:
        return []
    place, keys = _opened(node, place, key, info, reading)
    found: list[Deployment] = []
    for model in dict.fromkeys(models):
        real = mapping.get(model, model)
        if not is_written(model) or not is_written(real) or len(real) > 190:
            notes.missing(node.at("models"), "a name in it cannot be written as it is, and is left out")
            continue
        found.append(
            Deployment(
                path=node.path,
                alias=model,
                place=place,
                model=real,
                keys=keys,
                weight=Decimal(1) if reading.family == "one" else (weight or Decimal(0)),
                tier=-priority,
            )
        )
    if not found:
        notes.missing(node.at("models"), "it offers no models")
    if reading.family == "one" and weight:
        notes.maps(node.at("weight"), "not used there either: channels of one priority take turns")
    return found


def _priority(node: Node) -> int:
    value = node.take("priority")
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**12:
        raise ImportFailed(f"{node.at('priority')}: expected a whole number")
    return value


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _json(node: Node, key: str) -> Mapping[str, object]:
    """Return a mapping that the source has as JSON in a text, or as it is."""
    value = node.take(key)
    if isinstance(value, str):
        try:
            value = read_json(value) if value.strip() else None
        except ImportFailed as error:
            raise ImportFailed(f"{node.at(key)}: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ImportFailed(f"{node.at(key)}: expected a mapping")
    return cast("Mapping[str, object]", value)


def _mapping(node: Node) -> dict[str, str]:
    found = _json(node, "model_mapping")
    if not all(isinstance(real, str) for real in found.values()):
        raise ImportFailed(f"{node.at('model_mapping')}: expected names of models")
    return {name: str(real).strip() for name, real in found.items()}


def _info(node: Node) -> frozenset[int]:
    """Return the places of the keys that are switched off."""
    states = _json(node, "channel_info").get("multi_key_status_list")
    if not isinstance(states, dict):
        return frozenset()
    entries = cast("Mapping[str, object]", states).items()
    return frozenset(int(place) for place, state in entries if place.isdigit() and state != _ENABLED)


def _place(node: Node, kind: int, given: str | None, other: str | None, reading: Reading) -> Place | None:
    """Return where a channel asks; None where Komeet cannot, which is noted."""
    notes = reading.notes
    row, default = reading.types.get(kind, (None, ""))
    if row is None and kind not in _LIKE_OPENAI[reading.family]:
        notes.missing(node.at("type"), f"channels of type {kind} are of a service that Komeet does not ask")
        return None
    if row is None and given is None:
        notes.missing(node.at("base_url"), f"channels of type {kind} need an address of their own")
        return None
    try:
        url = _url(given, default, row, node, notes)
    except ValueError as error:
        notes.missing(node.at("base_url"), f"not an address that Komeet can ask: {error}")
        return None
    if row is not None and url is None and not row.placed:
        notes.missing(node.at("base_url"), "needed here: every customer has an address of their own")
        return None
    if row is not None and url is not None and _is_copied(row) and not is_at_row(url, row):
        notes.differs(node.at("base_url"), "an address of your own: asked in Chat Completions, without known prices")
        row = None
    return _with_other(node, Place(row=row, base_url=url), other, notes)


def _url(given: str | None, default: str, row: Row | None, node: Node, notes: Notes) -> str | None:
    if given is None:
        return default or None
    url = writable(checked(given.strip()))
    if row is None or (_is_copied(row) and not is_at_row(url, row)):
        full = url.removesuffix(_COMPLETIONS)
        full = full if re.search(r"/v\d+$", full) else f"{full}/v1"
    else:
        full = completed(url, row)
    if row is not None and is_rows_own(full, row):
        return None
    if full != url:
        notes.differs(node.at("base_url"), "the API's path is part of a `base_url` here, and is added")
    return full


def _is_copied(row: Row) -> bool:
    """Whether it is the one whose format all others copy: before another address, it means the format alone."""
    return row.placed and row.formats[0] == "openai_responses"


def _with_other(node: Node, place: Place, other: str | None, notes: Notes) -> Place:
    """`other` is a version, a region or something else, by the type of the channel."""
    row = place.row
    if other is None:
        return place
    if row is not None and row.version_env and is_written(other):
        return replace(place, api_version=other)
    if row is not None and row.auth == "service_account" and _PLAIN.fullmatch(other):
        return replace(place, google=(("location", other),))
    notes.missing(node.at("other"), "means nothing to this provider here")
    return place


def _opened(
    node: Node, place: Place, key: str | None, off: frozenset[int], reading: Reading
) -> tuple[Place, tuple[str, ...]]:
    """Return the place with what opens it, and its keys."""
    row, variables, why = place.row, reading.variables, f"at {node.at('key')}"
    if row is not None and row.auth == "service_account":
        name = variables.named("GOOGLE_APPLICATION_CREDENTIALS", f"a file with the service account that is {why}")
        return replace(place, google=(("credentials_file", name), *place.google)), ()
    found = [each for index, each in enumerate(_keys(key)) if index not in off]
    if off:
        reading.notes.missing(node.at("channel_info"), "keys that are switched off there are left out")
    if row is not None and row.auth == "aws":
        return _signed(node, place, found, reading)
    if not found and row is not None and row.auth == "bearer" and row.key_env:
        reading.notes.differs(node.at("key"), f"not in this export: {row.key_env[0]} is used")
        return place, (variables.named(row.key_env[0], f"the key of {row.title}"),)
    if not found and row is None:
        reading.notes.differs(node.at("key"), "no key is sent to this address, since none is given")
    name = name_of(place.base_url or "") if row is None else row.name
    said = {key: why if len(found) == 1 else f"number {number} {why}" for number, key in enumerate(found, 1)}
    return place, tuple(variables.literal(key, f"IMPORTED_{name}_KEY", said[key]) for key in said)


def _signed(node: Node, place: Place, keys: Sequence[str], reading: Reading) -> tuple[Place, tuple[str, ...]]:
    """A key of AWS is `id|secret|region` there, or `key|region`."""
    parts = [part.strip() for part in (keys[0] if keys else "").split("|")]
    if len(keys) > 1:
        reading.notes.missing(node.at("key"), "only the first of its keys is used")
    variables, why = reading.variables, f"a part of {node.at('key')}"
    if len(parts) == 3:
        said = zip(("access_key_id", "secret_access_key", "region"), parts, strict=True)
        aws = tuple((name, variables.literal(part, f"IMPORTED_AWS_{name}", why)) for name, part in said)
        return replace(place, aws=aws), ()
    if len(parts) == 2:
        region = variables.literal(parts[1], "IMPORTED_AWS_region", why)
        return replace(place, aws=(("region", region),)), (variables.literal(parts[0], "IMPORTED_AWS_KEY", why),)
    reading.notes.differs(node.at("key"), "not in this export, or of another form: AWS's own variables are used")
    return place, ()


def _keys(key: str | None) -> list[str]:
    """Return the keys of a channel: one a line, or a list in JSON."""
    text = (key or "").strip()
    if text.startswith("["):
        try:
            entries = read_json(text)
        except ImportFailed:
            entries = None
        if isinstance(entries, list):
            return [str(entry) for entry in cast("list[object]", entries)]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _say_rest(node: Node, notes: Notes) -> None:
    for key, _ in list(node.left()):
        value = node.take(key)
        if value in (None, "", 0, "{}", "[]", "null") or (key == "auto_ban" and value == 1):
            continue
        if key in _STATISTICS:
            notes.missing(f"channels[].{key}", "what was noted and measured there stays there")
            continue
        says = next((says for name, says in _SAID if name == key), None)
        if says is None:
            notes.unknown(node.at(key))
        else:
            notes.missing(node.at(key), says)
