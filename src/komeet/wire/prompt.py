"""The text that a request gives a model to read, told from the neutral model: for counting tokens."""

from collections.abc import Iterable

from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool


def request_text(request: Request) -> str:
    """Return what the model is given to read, piece by piece: turns, then tools and the output's schema as JSON.

    Media are left out: this is for an estimate.
    """
    lines: list[str] = []
    for turn in request.turns:
        lines.append(turn.role.value)
        if turn.name:
            lines.append(turn.name)
        _add_parts(turn.parts, lines)
    for tool in request.tools:
        _add_tool(tool, lines)
    if isinstance(request.output, JsonOutput) and request.output.schema is not None:
        lines.append(request.output.schema.decode("utf-8", "replace"))
    return "\n".join(lines)


def _add_parts(parts: Iterable[Part], lines: list[str]) -> None:
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                lines.append(text)
            case ToolCall(name=name, arguments=arguments):
                lines += [name, arguments.decode("utf-8", "replace")]
            case ToolResult(parts=inside):
                _add_parts(inside, lines)
            case File(title=title, context=context):
                lines += [title, context]
            case ServerTool(value=value):
                lines.append(bytes(value).decode("utf-8", "replace"))
            case Image() | Audio() | Opaque():
                pass


def _add_tool(tool: Tool, lines: list[str]) -> None:
    match tool:
        case FunctionTool(name=name, description=description, schema=schema):
            lines += [name, description or "", (schema or b"").decode("utf-8", "replace")]
        case CustomTool(name=name, description=description, grammar=grammar):
            lines += [name, description or "", bytes(grammar or b"").decode("utf-8", "replace")]
        case Namespace(name=name, description=description, tools=tools):
            lines += [name, description or ""]
            for inside in tools:
                _add_tool(inside, lines)
        case HostedTool(value=value) | Opaque(value=value):
            lines.append(bytes(value).decode("utf-8", "replace"))
