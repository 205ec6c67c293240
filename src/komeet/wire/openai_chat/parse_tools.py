"""From the tools of a Chat Completions request, and the choice among them, to the neutral model."""

from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Tool, ToolChoice, ToolMode
from komeet.wire.json import encode_object
from komeet.wire.members import BOOL, OBJECT, OBJECTS, STRING, merged
from komeet.wire.openai_chat.cache import take_mark
from komeet.wire.openai_chat.members import ORIGIN, Members

WEB_SEARCH: Final = "web_search_options"
"""The member that asks for the provider's search: this format has no tool for it."""

_MODES: Final = {mode.value: mode for mode in (ToolMode.AUTO, ToolMode.NONE, ToolMode.REQUIRED)}


def parse_tool(tool: dict[str, Raw], path: str) -> Tool:
    """Return one of the tools; Opaque where it is of a kind that the format does not have.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    members = Members(tool, path)
    match members.text("type"):
        case "function" | None:
            inside = members.inside("function")
            schema = inside.raw("parameters")
            return FunctionTool(
                name=inside.need("name"),
                description=inside.text("description"),
                schema=None if schema is None else bytes(schema),
                strict=inside.take("strict", BOOL, "a boolean"),
                cache=take_mark(members) or take_mark(inside, "function"),
                extras=merged(members.left(), inside.left("function")),
            )
        case "custom":
            inside = members.inside("custom")
            return CustomTool(
                name=inside.need("name"),
                description=inside.text("description"),
                grammar=inside.raw("format"),
                extras=merged(members.left(), inside.left("custom")),
            )
        case _:
            return Opaque(origin=ORIGIN, value=Raw(encode_object(tool)))


def take_web_search(members: Members) -> Iterator[HostedTool]:
    """Take the provider's search out of the members of a request, as the tool that it is elsewhere."""
    raw = members.peek(WEB_SEARCH)
    options = members.fitting(WEB_SEARCH, OBJECT)
    if raw is None or options is None:
        return
    where = Members(Members(options).fitting("user_location", OBJECT) or {})
    yield HostedTool(origin=ORIGIN, kind="web_search", value=raw, location=where.raw("approximate"))


def parse_tool_choice(raw: Raw | None) -> ToolChoice | Opaque | None:
    """Return the choice; Opaque where it is none of this format's."""
    if raw is None:
        return None
    members = Members({"tool_choice": raw})
    mode = members.fitting("tool_choice", STRING)
    if mode in _MODES:
        return ToolChoice(mode=_MODES[mode])
    outside = Members(members.fitting("tool_choice", OBJECT) or {})
    kind = outside.fitting("type", STRING) or "function"
    inside = Members(outside.fitting(kind, OBJECT) or {})
    if kind == "allowed_tools":
        return _allowed(inside) or Opaque(origin=ORIGIN, value=raw)
    name = inside.fitting("name", STRING)
    if name is None or kind not in ("function", "custom") or outside.left() or inside.left():
        return Opaque(origin=ORIGIN, value=raw)
    return ToolChoice(mode=ToolMode.NAMED, name=name, custom=kind == "custom")


def _allowed(members: Members) -> ToolChoice | None:
    """Return a choice among functions; None where it is more than that."""
    mode = _MODES.get(members.fitting_text("mode"))
    tools = members.fitting("tools", OBJECTS) or []
    names = [_function_name(Members(tool)) for tool in tools]
    allowed = tuple([name for name in names if name])
    if mode is None or mode is ToolMode.NONE or not allowed or len(allowed) < len(tools) or members.left():
        return None
    return ToolChoice(mode=mode, allowed=allowed)


def _function_name(tool: Members) -> str:
    inside = Members(tool.fitting("function", OBJECT) or {})
    name = inside.fitting_text("name")
    return name if tool.fitting_text("type") == "function" and not (tool.left() or inside.left()) else ""
