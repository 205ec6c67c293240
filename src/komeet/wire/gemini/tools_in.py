"""From the tools of a Gemini request, and the choice among them, to the neutral model."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque
from komeet.canonical.tool import FunctionTool, HostedTool, Tool, ToolChoice, ToolMode
from komeet.wire.gemini.members import ORIGIN, Members, object_of, place, signed
from komeet.wire.gemini.openapi import to_json_schema
from komeet.wire.members import ARRAY, NULL, OBJECT, STRINGS, merged

WEB_SEARCH: Final = "web_search"
SEARCH: Final = "googleSearch"
PARAMETERS: Final = "parameters"
"""The sign of a schema that was written as `parameters`, though it is plain JSON Schema."""
CALLING: Final = "functionCallingConfig"
MIXED: Final = "includeServerSideToolInvocations"
"""What `toolConfig` must say where functions stand beside tools that Google runs; a sign, since it asks for nothing."""

_SEARCHES: Final = frozenset({"googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval"})
_MODES: Final = {"AUTO": ToolMode.AUTO, "ANY": ToolMode.REQUIRED, "NONE": ToolMode.NONE}


def parse_tools(raw: Raw | None) -> tuple[Tool, ...]:
    """Return the tools one by one: the functions of a list, and each tool that the provider runs.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    members = Members({} if raw is None else {"tools": raw})
    one = members.fitting("tools", OBJECT)
    found = [raw] if raw is not None and one is not None else members.take("tools", ARRAY, "an array") or []
    told: list[Tool] = []
    for index, each in enumerate(found):
        tool = object_of(each, f"tools[{index}]")
        declared = tool.take("functionDeclarations", ARRAY, "an array") or []
        told += [_function(one, f"tools[{index}].functionDeclarations[{i}]") for i, one in enumerate(declared)]
        told += [_hosted(name, tool.peek(name)) for name in tool.names]
    return tuple(told)


def _function(raw: Raw, path: str) -> FunctionTool:
    members = object_of(raw, path)
    name, description = members.need("name"), members.text("description")
    schema, openapi = members.raw("parametersJsonSchema"), members.raw("parameters")
    sign: Extras = {}
    told = None if schema is None else bytes(schema)
    if told is None and openapi is not None:
        told = to_json_schema(openapi)
        sign = signed(PARAMETERS) if told == bytes(openapi) else {}
    return FunctionTool(name=name, description=description, schema=told, extras=merged(members.left(), sign))


def _hosted(name: str, raw: Raw | None) -> HostedTool:
    value = NULL if raw is None else raw
    inside = Members({"told": value}).fitting("told", OBJECT)
    members = Members(inside or {})
    kind = WEB_SEARCH if name in _SEARCHES else name
    return HostedTool(
        origin=ORIGIN,
        kind=kind,
        value=Raw(msgspec.json.encode({name: value})),
        blocked_domains=tuple(members.fitting("excludeDomains", STRINGS) or ()) if kind == WEB_SEARCH else (),
    )


def parse_choice(config: Members) -> tuple[ToolChoice | Opaque | None, Extras]:
    """Return the choice that `toolConfig` makes, and what else it says; Opaque where no other format has one like it.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    raw = config.peek(CALLING)
    members = config.within(CALLING)
    sign: Extras = {}
    if config.peek(MIXED) == Raw(b"true"):
        config.raw(MIXED)
        sign = {place("mixed"): {MIXED: NULL}}
    if raw is None or members is None:
        return None, merged(config.left("toolConfig"), sign)
    mode = members.text("mode")
    allowed = tuple(members.take("allowedFunctionNames", STRINGS, "an array of strings") or ())
    left = merged(config.left("toolConfig"), members.left(CALLING), sign)
    match mode and mode.upper():
        case None | "" | "MODE_UNSPECIFIED":
            return (None if not allowed else ToolChoice(mode=ToolMode.AUTO, allowed=allowed)), left
        case "ANY" if len(allowed) == 1:
            return ToolChoice(mode=ToolMode.NAMED, name=allowed[0]), left
        case "AUTO" | "ANY" | "NONE" as known:
            return ToolChoice(mode=_MODES[known], allowed=allowed), left
        case _:
            return Opaque(origin=ORIGIN, value=raw), merged(config.left("toolConfig"), sign)
