"""From the tools of a request, and the choice among them, to the neutral model."""

from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode
from komeet.wire.json import encode_object
from komeet.wire.members import BOOL, OBJECT, OBJECTS, STRING, STRINGS
from komeet.wire.openai_responses.members import ORIGIN, OWN, Members

WEB_SEARCH: Final = "web_search"
_MODES: Final = {mode.value: mode for mode in (ToolMode.AUTO, ToolMode.NONE, ToolMode.REQUIRED)}


def tool(members: Members, item: dict[str, Raw]) -> Tool:
    """Return one tool.

    Raises:
        WireError: 400, a member is missing or of the wrong type.
    """
    match members.need("type"):
        case "function":
            return _function(members)
        case "custom":
            return _custom(members)
        case "namespace":
            return _namespace(members, item)
        case kind:
            return _hosted(kind, item)


def _function(members: Members) -> FunctionTool:
    schema = members.raw("parameters")
    return FunctionTool(
        name=members.need("name"),
        description=members.text("description"),
        schema=None if schema is None else bytes(schema),
        strict=members.take("strict", BOOL, "a boolean"),
        extras={OWN: {}, **members.left()},
    )


def _custom(members: Members) -> CustomTool:
    return CustomTool(
        name=members.need("name"),
        description=members.text("description"),
        grammar=members.raw("format"),
        extras=members.left(),
    )


def _namespace(members: Members, item: dict[str, Raw]) -> Namespace | Opaque:
    name, description = members.need("name"), members.text("description")
    tools: list[FunctionTool | CustomTool] = []
    path = members.path("tools")
    for index, inside in enumerate(members.take("tools", OBJECTS, "an array of objects") or []):
        within = Members(inside, f"{path}[{index}]")
        match within.need("type"):
            case "function":
                tools.append(_function(within))
            case "custom":
                tools.append(_custom(within))
            case _:
                return Opaque(origin=ORIGIN, value=Raw(encode_object(item)))
    return Namespace(name=name, description=description, tools=tuple(tools), extras=members.left())


def _hosted(kind: str, item: dict[str, Raw]) -> HostedTool:
    value = Raw(encode_object(item))
    if not kind.startswith(WEB_SEARCH):
        return HostedTool(origin=ORIGIN, kind=kind, value=value)
    members = Members(item)
    filters = Members(members.fitting("filters", OBJECT) or {})
    return HostedTool(
        origin=ORIGIN,
        kind=WEB_SEARCH,
        value=value,
        allowed_domains=tuple(filters.fitting("allowed_domains", STRINGS) or ()),
        blocked_domains=tuple(filters.fitting("blocked_domains", STRINGS) or ()),
        location=members.raw("user_location"),
    )


def tool_choice(raw: Raw | None) -> ToolChoice | Opaque | None:
    """Return the choice; one of an unknown kind is kept as it is."""
    if raw is None:
        return None
    members = Members({"tool_choice": raw})
    mode = members.fitting("tool_choice", STRING)
    if mode in _MODES:
        return ToolChoice(mode=_MODES[mode])
    inside = Members(members.fitting("tool_choice", OBJECT) or {})
    kind = inside.fitting_text("type")
    found: ToolChoice | None = None
    if kind == "allowed_tools":
        found = _allowed(inside)
    elif kind in ("function", "custom"):
        name, group = inside.fitting_text("name"), inside.fitting_text("namespace")
        if name:
            found = ToolChoice(mode=ToolMode.NAMED, name=name, custom=kind == "custom", namespace=group)
    return Opaque(origin=ORIGIN, value=raw) if found is None or inside.left() else found


def _allowed(members: Members) -> ToolChoice | None:
    mode = _MODES.get(members.fitting_text("mode"))
    names: list[str] = []
    for each in members.fitting("tools", OBJECTS) or []:
        inside = Members(each)
        kind, name = inside.fitting_text("type"), inside.fitting_text("name")
        if kind != "function" or not name or inside.left():
            return None
        names.append(name)
    if mode is None or mode is ToolMode.NONE or not names:
        return None
    return ToolChoice(mode=mode, allowed=tuple(names))
