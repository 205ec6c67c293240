"""From tools, and the choice among them, to `toolConfig`."""

from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque, ToolCall
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode, flat_name
from komeet.catalog.profile import Structured
from komeet.core.errors import Unrepresentable
from komeet.wire.bedrock_converse.members import Json, foreign
from komeet.wire.bedrock_converse.rendering import Rendering
from komeet.wire.schema import fit_schema, input_schema

_FREE_TEXT: Final = (
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)
_EMPTY: Final = Raw(b'{"type":"object","properties":{}}')


def render_tools(rendering: Rendering) -> list[object]:
    """Return the tools that the model may ask for.

    Bedrock cannot be told that none may be: then there are none. But it refuses a history with calls and no tools; so
    there they stay, or where the caller sent none, their names do.

    Raises:
        Unrepresentable: 422, a tool of a kind that only another format knows.
    """
    choice = rendering.request.tool_choice
    called = _called(rendering)
    if isinstance(choice, ToolChoice) and choice.mode is ToolMode.NONE:
        if not called:
            return []
        if rendering.request.tools:
            rendering.lose("tool_choice", "Bedrock cannot forbid calls where there are some in the conversation")
    allowed = choice.allowed if isinstance(choice, ToolChoice) else ()
    told: list[object] = []
    for index, tool in enumerate(rendering.request.tools):
        for name, made in _tool(tool, f"tools[{index}]", rendering):
            if not allowed or name in allowed:
                told += made
    return told or [{"toolSpec": {"name": name, "inputSchema": {"json": _EMPTY}}} for name in called]


def render_choice(rendering: Rendering) -> Json | None:
    """Return what the caller wants asked for; None where it is left to the model."""
    choice = rendering.request.tool_choice
    if not rendering.request.tools:
        return None
    if rendering.request.parallel_tool_calls is False:
        rendering.lose("parallel_tool_calls", "Bedrock cannot be told to ask for one tool at a time")
    match choice:
        case None:
            return None
        case Opaque(origin=origin):
            rendering.lose("tool_choice", f"only the format {origin} knows such a choice")
            return None
        case ToolChoice(mode=ToolMode.NAMED):
            return {"tool": {"name": flat_name(choice.namespace, choice.name)}}
        case ToolChoice(mode=mode):
            return {"any": {}} if mode is ToolMode.REQUIRED else None


def _tool(tool: Tool, path: str, rendering: Rendering) -> Iterator[tuple[str, list[object]]]:
    match tool:
        case FunctionTool() | CustomTool():
            yield tool.name, _callable(tool, "", path, rendering)
        case Namespace():
            rendering.losses.extend(foreign(tool.extras, path))
            if tool.description:
                rendering.lose(f"{path}.description", "Bedrock has no groups of tools: their names tell the group")
            for index, inside in enumerate(tool.tools):
                name = flat_name(tool.name, inside.name)
                yield name, _callable(inside, tool.name, f"{path}.tools[{index}]", rendering)
        case HostedTool(kind=kind, origin=origin):
            rendering.lose(path, f"{kind} is a tool of {origin}; Bedrock's Converse has none like it")
        case Opaque(origin=origin):
            raise Unrepresentable(
                f"{path} is a tool that only the format {origin} knows; Bedrock's Converse has none like it.",
                param=path,
            )


def _callable(tool: FunctionTool | CustomTool, namespace: str, path: str, rendering: Rendering) -> list[object]:
    rendering.losses.extend(foreign(tool.extras, path))
    told: Json = {"name": flat_name(namespace, tool.name)}
    if tool.description:
        told["description"] = tool.description
    match tool:
        case CustomTool(grammar=grammar):
            if grammar is not None and b'"text"' not in bytes(grammar):
                rendering.lose(f"{path}.format", "Bedrock cannot hold free text to a grammar")
            return [{"toolSpec": {**told, "inputSchema": {"json": Raw(_FREE_TEXT)}}}]
        case FunctionTool(schema=schema, strict=strict, cache=cache):
            fitting = input_schema(schema)
            if strict and rendering.profile.structured is Structured.FORMAT:
                fitting = fit_schema(fitting, f"{path}.parameters", rendering.losses)
                told["strict"] = True
            elif strict:
                rendering.lose(f"{path}.strict", f"{rendering.request.model} cannot be held to a schema")
            spec: Json = {**told, "inputSchema": {"json": Raw(fitting)}}
            return [{"toolSpec": spec}, *rendering.marks.point(cache, "tools", path)]


def _called(rendering: Rendering) -> list[str]:
    """Return the names of the tools that were asked for earlier."""
    calls = [part for turn in rendering.request.turns for part in turn.parts if isinstance(part, ToolCall)]
    return list({flat_name(call.namespace, call.name): None for call in calls})
