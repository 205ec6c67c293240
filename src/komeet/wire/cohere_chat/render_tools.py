"""From tools and the choice among them to the members of a Cohere request."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque
from komeet.canonical.request import Request
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode, flat_name
from komeet.core.errors import Unrepresentable
from komeet.wire.cohere_chat.members import foreign

Json = dict[str, object]

_NO_SCHEMA: Final = b'{"type":"object","properties":{}}'
_FREE_TEXT: Final = b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
_MODES: Final = {ToolMode.REQUIRED: "REQUIRED", ToolMode.NAMED: "REQUIRED", ToolMode.NONE: "NONE"}


def render_tools(request: Request, losses: list[Loss]) -> Json:
    """Return the members that say the tools and the choice among them; those that say nothing are None.

    Raises:
        Unrepresentable: 422, a tool of a kind that only another format knows.
    """
    named = [each for i, tool in enumerate(request.tools) for each in _tool(tool, f"tools[{i}]", losses)]
    choice = request.tool_choice
    if isinstance(choice, Opaque):
        losses.append(Loss("tool_choice", f"only the format {choice.origin} has it"))
        choice = None
    shown = _chosen(named, choice, losses)
    if request.parallel_tool_calls is False and shown:
        losses.append(Loss("parallel_tool_calls", "Cohere has no such parameter"))
    strict = any(isinstance(tool, FunctionTool) and tool.strict for tool in request.tools)
    return {
        "tools": shown or None,
        "strict_tools": True if strict and shown else None,
        "tool_choice": _MODES.get(choice.mode) if choice is not None and shown else None,
    }


def _chosen(named: Sequence[tuple[str, Json]], choice: ToolChoice | None, losses: list[Loss]) -> list[Json]:
    """Return the tools that are shown: Cohere cannot name one of several, so the others are left out."""
    if choice is None:
        return [tool for _, tool in named]
    names = (flat_name(choice.namespace, choice.name),) if choice.mode is ToolMode.NAMED else choice.allowed
    kept = [tool for name, tool in named if not names or name in names]
    if len(kept) < len(named):
        losses.append(Loss("tool_choice", "Cohere cannot name tools: it is shown only those that may be called"))
    return kept


def _tool(tool: Tool, path: str, losses: list[Loss]) -> Iterator[tuple[str, Json]]:
    match tool:
        case FunctionTool() | CustomTool():
            yield _function(tool, "", path, losses)
        case Namespace(name=group, tools=tools):
            losses.extend(foreign(tool.extras, path))
            if tool.description:
                losses.append(Loss(f"{path}.description", "Cohere has no groups of tools; the tools are kept"))
            for index, inside in enumerate(tools):
                yield _function(inside, group, f"{path}.tools[{index}]", losses)
        case HostedTool(kind=kind):
            losses.append(Loss(path, f"Cohere has no {kind} that the provider runs"))
        case Opaque(origin=origin):
            raise Unrepresentable(
                f"{path} is a tool that only the format {origin} knows; Cohere has none like it.", param=path
            )


def _function(tool: FunctionTool | CustomTool, group: str, path: str, losses: list[Loss]) -> tuple[str, Json]:
    losses.extend(foreign(tool.extras, path))
    match tool:
        case FunctionTool(schema=schema, cache=cache):
            if cache is not None:
                losses.append(Loss(f"{path}.{cache.name or 'cache'}", "Cohere takes no marks for its prompt cache"))
            parameters = schema or _NO_SCHEMA
        case CustomTool(grammar=grammar):
            if grammar is not None and b'"text"' not in bytes(grammar):
                losses.append(Loss(f"{path}.format", "Cohere cannot hold free text to a grammar"))
            parameters = _FREE_TEXT
    name = flat_name(group, tool.name)
    described: Json = {} if tool.description is None else {"description": tool.description}
    return name, {"type": "function", "function": {"name": name, **described, "parameters": Raw(parameters)}}
