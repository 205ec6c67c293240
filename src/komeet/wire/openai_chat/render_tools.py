"""From tools and the choice among them to the members of a Chat Completions request."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode, flat_name
from komeet.core.errors import Unrepresentable
from komeet.wire.members import OBJECT
from komeet.wire.openai_chat.cache import lose_mark, own_mark
from komeet.wire.openai_chat.members import ORIGIN, Members, foreign, own
from komeet.wire.openai_chat.parse_tools import WEB_SEARCH
from komeet.wire.openai_chat.render_content import Json, Target


def render_tools(tools: Sequence[Tool], choice: ToolChoice | Opaque | None, target: Target) -> Json:
    """Return the members that say the tools and the choice among them; those that say nothing are None.

    Raises:
        Unrepresentable: 422, a tool of a kind that only another format knows.
    """
    told = [each for i, tool in enumerate(tools) for each in _tool(tool, f"tools[{i}]", target)]
    search = next((tool.value for tool in tools if isinstance(tool, HostedTool) and tool.origin == ORIGIN), None)
    chosen = _tool_choice(choice, target)
    if tools and not told and search is None and chosen is not None:
        if chosen != "none":
            target.lose("tool_choice", "none of the tools is left")
        chosen = None
    return {"tools": told or None, WEB_SEARCH: search, "tool_choice": chosen}


def _tool(tool: Tool, path: str, target: Target) -> Iterator[object]:
    match tool:
        case FunctionTool() | CustomTool():
            yield _named(tool, tool.name, path, target)
        case Namespace(name=group, tools=tools):
            target.losses.extend(foreign(tool.extras, path))
            if tool.description:
                target.lose(f"{path}.description", "Chat Completions has no groups of tools; the tools are kept")
            for index, inside in enumerate(tools):
                yield _named(inside, flat_name(group, inside.name), f"{path}.tools[{index}]", target)
        case HostedTool(origin=origin, kind=kind):
            if origin != ORIGIN:
                target.lose(path, f"Chat Completions has no {kind} that the provider runs")
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise Unrepresentable(
                    f"{path} is a tool that only the format {origin} knows; Chat Completions has none like it.",
                    param=path,
                )
            yield value


def _named(tool: FunctionTool | CustomTool, name: str, path: str, target: Target) -> Json:
    outside: Json = {}
    match tool:
        case FunctionTool(cache=cache):
            kind = "function"
            lose_mark(cache, path, target.losses)
            outside = own_mark(cache)
            inside: Json = {
                "name": name,
                "description": tool.description,
                "parameters": None if tool.schema is None else Raw(tool.schema),
                "strict": tool.strict,
                **own_mark(cache, "function"),
            }
        case CustomTool():
            kind = "custom"
            grammar = None if tool.grammar is None else _grammar(tool.grammar)
            inside = {"name": name, "description": tool.description, "format": grammar}
    target.losses.extend(foreign(tool.extras, path))
    told = {member: value for member, value in inside.items() if value is not None}
    return {"type": kind, kind: {**told, **own(tool.extras, kind)}, **outside, **own(tool.extras)}


def _grammar(raw: Raw) -> Raw:
    """Return what a custom tool's text must look like: Responses has the members of the grammar one level higher."""
    members = Members({"format": raw}).fitting("format", OBJECT) or {}
    if members.get("type") != Raw(b'"grammar"') or "grammar" in members:
        return raw
    inside = {name: value for name, value in members.items() if name != "type"}
    return Raw(msgspec.json.encode({"type": "grammar", "grammar": inside}))


def _tool_choice(choice: ToolChoice | Opaque | None, target: Target) -> object:
    match choice:
        case None:
            return None
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return value
            target.lose("tool_choice", f"only the format {origin} has it")
            return None
        case ToolChoice(mode=ToolMode.NAMED, custom=custom):
            kind = "custom" if custom else "function"
            return {"type": kind, kind: {"name": flat_name(choice.namespace, choice.name)}}
        case ToolChoice(mode=ToolMode.AUTO | ToolMode.REQUIRED as mode, allowed=(_, *_) as names):
            tools = [{"type": "function", "function": {"name": name}} for name in names]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode.value, "tools": tools}}
        case ToolChoice(mode=mode):
            return mode.value
