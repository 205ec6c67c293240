"""From tools, and the choice among them, to the members of a Messages request."""

from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque, ToolCall
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode, flat_name
from komeet.core.errors import Unrepresentable
from komeet.wire.anthropic_messages.members import ORIGIN, foreign, own
from komeet.wire.anthropic_messages.rendering import Rendering
from komeet.wire.anthropic_messages.tools_in import WEB_SEARCH
from komeet.wire.schema import fit_schema, input_schema

Json = dict[str, object]

_SEARCH_TYPE: Final = "web_search_20250305"
_FREE_TEXT: Final = (
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)
_MODES: Final = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.REQUIRED: "any"}


def render_tools(rendering: Rendering) -> list[object]:
    """Return the tools that the model may ask for; where only the history has calls, their names, as Anthropic demands.

    Raises:
        Unrepresentable: 422, a tool of a kind that only another format knows.
    """
    choice = rendering.request.tool_choice
    allowed = choice.allowed if isinstance(choice, ToolChoice) else ()
    told: list[object] = []
    for index, tool in enumerate(rendering.request.tools):
        for name, made in _tool(tool, f"tools[{index}]", rendering):
            if not allowed or name in allowed:
                told.append(made)
    return told or _from_history(rendering)


def render_choice(rendering: Rendering, tools: list[object]) -> Json | None:
    """Return what the caller wants asked for; None where it is left to the model."""
    choice, parallel = rendering.request.tool_choice, rendering.request.parallel_tool_calls
    if not tools:
        return None
    if not rendering.request.tools:
        return {"type": "none"}
    alone: Json = {} if parallel is None else {"disable_parallel_tool_use": not parallel}
    match choice:
        case None:
            return {"type": "auto", **alone} if parallel is False else None
        case Opaque(origin=origin):
            if origin == ORIGIN:
                return {"value": choice.value}
            rendering.lose("tool_choice", f"only the format {origin} knows such a choice")
            return None
        case ToolChoice(mode=ToolMode.NAMED):
            return {"type": "tool", "name": flat_name(choice.namespace, choice.name), **alone}
        case ToolChoice(mode=ToolMode.NONE):
            return {"type": "none"}
        case ToolChoice(mode=mode):
            return {"type": _MODES[mode], **alone}


def _tool(tool: Tool, path: str, rendering: Rendering) -> Iterator[tuple[str, object]]:
    match tool:
        case FunctionTool() | CustomTool():
            yield tool.name, _callable(tool, "", path, rendering)
        case Namespace():
            rendering.losses.extend(foreign(tool.extras, path))
            if tool.description:
                rendering.lose(f"{path}.description", "Messages has no groups of tools: their names tell the group")
            for index, inside in enumerate(tool.tools):
                name = flat_name(tool.name, inside.name)
                yield name, _callable(inside, tool.name, f"{path}.tools[{index}]", rendering)
        case HostedTool(origin=origin, value=value) if origin == ORIGIN:
            yield tool.kind, value
        case HostedTool(kind=kind) if kind == WEB_SEARCH:
            yield kind, {**_search(tool), **rendering.marks.render(tool.cache, path)}
        case HostedTool(kind=kind, origin=origin):
            rendering.lose(path, f"{kind} is a tool of {origin}; Messages has none like it")
        case Opaque(origin=origin):
            raise Unrepresentable(
                f"{path} is a tool that only the format {origin} knows; Messages has none like it.", param=path
            )


def _callable(tool: FunctionTool | CustomTool, namespace: str, path: str, rendering: Rendering) -> Json:
    rendering.losses.extend(foreign(tool.extras, path))
    told: Json = {"name": flat_name(namespace, tool.name)}
    if tool.description is not None:
        told["description"] = tool.description
    match tool:
        case CustomTool(grammar=grammar):
            if grammar is not None and b'"text"' not in bytes(grammar):
                rendering.lose(f"{path}.format", "Messages cannot hold free text to a grammar")
            told["input_schema"] = Raw(_FREE_TEXT)
            return told
        case FunctionTool(schema=schema, strict=strict, cache=cache):
            fitting = input_schema(schema)
            if strict and not own(tool.extras):
                fitting = fit_schema(fitting, f"{path}.parameters", rendering.losses)
            told["input_schema"] = Raw(fitting)
            if strict:
                told["strict"] = True
            return {**told, **rendering.marks.render(cache, path), **own(tool.extras)}


def _search(tool: HostedTool) -> Json:
    told: Json = {"type": _SEARCH_TYPE, "name": WEB_SEARCH}
    if tool.allowed_domains:
        told["allowed_domains"] = tool.allowed_domains
    if tool.blocked_domains:
        told["blocked_domains"] = tool.blocked_domains
    if tool.max_uses is not None:
        told["max_uses"] = tool.max_uses
    if tool.location is not None:
        told["user_location"] = tool.location
    return told


def _from_history(rendering: Rendering) -> list[object]:
    calls = [part for turn in rendering.request.turns for part in turn.parts if isinstance(part, ToolCall)]
    names = {flat_name(call.namespace, call.name): None for call in calls}
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names]
