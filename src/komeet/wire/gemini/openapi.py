"""Schemas in the subset of OpenAPI 3.0 that Gemini took first, as JSON Schema, which every other format has."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from komeet.wire.gemini.members import snake

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_CAMEL: Final[Mapping[str, str]] = {
    snake(name): name
    for name in (
        "anyOf",
        "additionalProperties",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minItems",
        "minLength",
        "minProperties",
    )
}
_COUNTS: Final = frozenset({"maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"})
_NOT_SAID: Final = frozenset({"nullable", "propertyOrdering", "property_ordering"})
_LISTS: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "defs")

_schema: Final[msgspec.json.Decoder[Json]] = msgspec.json.Decoder()


def to_json_schema(raw: Raw) -> bytes:
    """Return a schema of `parameters` or `responseSchema` as JSON Schema; one that is that already keeps its bytes."""
    try:
        value = _schema.decode(raw)
        made = _converted(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(raw)  # the provider says what is wrong with it
    return bytes(raw) if made == value else msgspec.json.encode(made)


def _converted(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    told: dict[str, Json] = {}
    for written, inner in value.items():
        name = _CAMEL.get(written, written)
        if name not in _NOT_SAID:
            told[name] = _member(name, inner)
    if told.get("format") == "enum":
        del told["format"]
    return _or_null(told) if value.get("nullable") is True else told


def _member(name: str, inner: Json) -> Json:
    match inner:
        case str() if name == "type" and inner in _TYPES:
            return inner.lower()
        case str() if name in _COUNTS and inner.isdecimal() and inner.isascii():
            return int(inner)  # protobuf writes 64-bit numbers as strings
        case list() if name in _LISTS:
            return [_converted(each) for each in inner]
        case dict() if name in _MAPS:
            return {key: _converted(each) for key, each in inner.items()}
        case dict() if name in ("items", "additionalProperties"):
            return _converted(inner)
        case _:
            return inner


def _or_null(told: dict[str, Json]) -> Json:
    kind, values, choices = told.get("type"), told.get("enum"), told.get("anyOf")
    if isinstance(choices, list):
        told["anyOf"] = [*choices, {"type": "null"}]
    elif isinstance(kind, str):
        told["type"] = [kind, "null"]
    if isinstance(values, list) and None not in values:
        told["enum"] = [*values, None]
    return told
