"""JSON Schemas as constrained decoding of Anthropic and Bedrock takes them: a subset, to which others are made to fit.

What the subset lacks is said to the model in the `description` instead, as Anthropic's own library does. See
https://platform.claude.com/docs/en/build-with-claude/structured-outputs.
"""

from typing import Final, TypeAlias

import msgspec

from komeet.canonical.loss import Loss
from komeet.wire.members import OBJECT

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_UNSUPPORTED: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "not",
    "format",
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_LISTS: Final = ("anyOf", "allOf")
_MAPS: Final = ("properties", "$defs", "definitions")

_schema: Final[msgspec.json.Decoder[Json]] = msgspec.json.Decoder()
_EMPTY_OBJECT: Final = b'{"type":"object","properties":{}}'


def fit_schema(schema: bytes, path: str, losses: list[Loss]) -> bytes:
    """Return `schema` as the subset has it; one that fits keeps its bytes. What was moved is added to `losses`."""
    try:
        value = _schema.decode(schema)
        fitted = _fit(value, path, losses)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return schema  # the provider says what is wrong with it
    return schema if fitted == value else msgspec.json.encode(fitted)


def input_schema(schema: bytes | None) -> bytes:
    """Return the schema of a tool's input, which must say that it is an object's."""
    if schema is None:
        return _EMPTY_OBJECT
    try:
        members = OBJECT.decode(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return schema  # the provider says what is wrong with it
    if members is None or not members:
        return _EMPTY_OBJECT
    if "type" in members:
        return schema
    return msgspec.json.encode({"type": "object", **members})


def _fit(value: Json, path: str, losses: list[Loss]) -> Json:
    if not isinstance(value, dict):
        return value
    told = {("anyOf" if name == "oneOf" and "anyOf" not in value else name): inner for name, inner in value.items()}
    moved: list[str] = []
    for name in _UNSUPPORTED:
        if name in told and not _takes(name, told[name]):
            moved.append(f"{name}: {_shown(told.pop(name))}")
            losses.append(Loss(f"{path}.{name}", "the schema cannot demand it; it is told in the description"))
    for name in _LISTS:
        inner = told.get(name)
        if isinstance(inner, list):
            told[name] = [_fit(each, f"{path}.{name}[{i}]", losses) for i, each in enumerate(inner)]
    for name in _MAPS:
        inner = told.get(name)
        if isinstance(inner, dict):
            told[name] = {key: _fit(each, f"{path}.{name}.{key}", losses) for key, each in inner.items()}
    if "items" in told:
        told["items"] = _fit(told["items"], f"{path}.items", losses)
    if _is_object(told):
        if told.get("additionalProperties", False) not in (False, None):
            losses.append(Loss(f"{path}.additionalProperties", "only the properties that are named are allowed"))
        told["additionalProperties"] = False
    if moved:
        before = told.get("description")
        note = "{" + ", ".join(moved) + "}"
        told["description"] = f"{before}\n\n{note}" if isinstance(before, str) and before else note
    return told


def _takes(name: str, value: Json) -> bool:
    match name:
        case "format":
            return isinstance(value, str) and value in _FORMATS
        case "minItems":
            return value in (0, 1)
        case _:
            return False


def _is_object(schema: dict[str, Json]) -> bool:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "object" in kind
    return kind == "object" or (kind is None and "properties" in schema)


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
