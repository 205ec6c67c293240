"""From tools, and the choice among them, to the members of a Gemini request."""

from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode, flat_name
from komeet.catalog.profile import ThinkingStyle
from komeet.core.errors import Unrepresentable
from komeet.wire.gemini.members import ORIGIN, foreign, has_sign, own, place
from komeet.wire.gemini.rendering import Rendering
from komeet.wire.gemini.tools_in import CALLING, MIXED, PARAMETERS, SEARCH, WEB_SEARCH
from komeet.wire.members import OBJECT

Json = dict[str, object]

_FREE_TEXT: Final = b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
_MODES: Final = {ToolMode.AUTO: "AUTO", ToolMode.NONE: "NONE", ToolMode.REQUIRED: "ANY"}


def render_tools(rendering: Rendering) -> tuple[list[object], Json]:
    """Return `tools` and `toolConfig`: all functions in one list, each tool of Google's by itself.

    Raises:
        Unrepresentable: 422, a tool of a kind that only another format knows.
    """
    choice = rendering.request.tool_choice
    allowed = choice.allowed if isinstance(choice, ToolChoice) and choice.mode is ToolMode.AUTO else ()
    functions: list[object] = []
    for index, tool in enumerate(rendering.request.tools):
        for name, told in _functions(tool, f"tools[{index}]", rendering):
            if not allowed or name in allowed:
                functions.append(told)
    hosted, mixed = _hosted(rendering, beside=bool(functions))
    tools = [*([{"functionDeclarations": functions}] if functions else []), *hosted]
    return tools, {**_config(rendering, beside=bool(functions)), **mixed}


def _functions(tool: Tool, path: str, rendering: Rendering) -> Iterator[tuple[str, object]]:
    match tool:
        case FunctionTool() | CustomTool():
            yield tool.name, _function(tool, "", path, rendering)
        case Namespace():
            rendering.losses.extend(foreign(tool.extras, path))
            if tool.description:
                rendering.lose(f"{path}.description", "Gemini has no groups of tools: their names tell the group")
            for index, inside in enumerate(tool.tools):
                yield (
                    flat_name(tool.name, inside.name),
                    _function(inside, tool.name, f"{path}.tools[{index}]", rendering),
                )
        case HostedTool():
            return
        case Opaque(origin=origin):
            raise Unrepresentable(
                f"{path} is a tool that only the format {origin} knows; Gemini has none like it.", param=path
            )


def _function(tool: FunctionTool | CustomTool, namespace: str, path: str, rendering: Rendering) -> Json:
    rendering.losses.extend(foreign(tool.extras, path))
    told: Json = {"name": flat_name(namespace, tool.name)}
    if tool.description is not None:
        told["description"] = tool.description
    match tool:
        case CustomTool(grammar=grammar):
            if grammar is not None and b'"text"' not in bytes(grammar):
                rendering.lose(f"{path}.format", "Gemini cannot hold free text to a grammar")
            return {**told, "parametersJsonSchema": Raw(_FREE_TEXT), **own(tool.extras)}
        case FunctionTool(schema=schema, strict=strict, cache=cache):
            rendering.lose_mark(cache, path)
            if strict:
                rendering.lose(f"{path}.strict", "Gemini holds arguments to a schema only where a call is demanded")
            if schema is not None:
                written = "parameters" if has_sign(tool.extras, PARAMETERS) else "parametersJsonSchema"
                told[written] = Raw(schema)
            return {**told, **own(tool.extras)}


def _hosted(rendering: Rendering, *, beside: bool) -> tuple[list[object], Json]:
    """Return the tools that Google runs, and what `toolConfig` must say of them; `beside`: there are functions too."""
    told: list[object] = []
    mixed: Json = {}
    for index, tool in enumerate(rendering.request.tools):
        path = f"tools[{index}]"
        match tool:
            case HostedTool(origin=origin, value=value) if origin == ORIGIN:
                told.append(value)
            case HostedTool(kind=kind) if kind == WEB_SEARCH:
                if beside and rendering.profile.thinking is not ThinkingStyle.ADAPTIVE:
                    rendering.lose(path, f"{rendering.request.model} does not search beside functions")
                    continue
                _lose_search(tool, path, rendering)
                told.append({SEARCH: {}})
                mixed = {MIXED: True} if beside else {}
            case HostedTool(kind=kind, origin=origin):
                rendering.lose(path, f"{kind} is a tool of {origin}; Gemini has none like it")
            case _:
                pass
    return told, mixed


def _lose_search(tool: HostedTool, path: str, rendering: Rendering) -> None:
    said = {
        "allowed_domains": tool.allowed_domains,
        "blocked_domains": tool.blocked_domains,
        "max_uses": tool.max_uses,
        "user_location": tool.location,
    }
    rendering.lose_set({f"{path}.{name}": value for name, value in said.items()}, "Google's search cannot be told so")
    rendering.lose_mark(tool.cache, path)


def _config(rendering: Rendering, *, beside: bool) -> Json:
    extras = rendering.request.extras
    calling: Json = {**_calling(rendering, beside=beside), **own(extras, CALLING)}
    mixed = {MIXED: True} if place("mixed") in extras else {}
    return {**({CALLING: calling} if calling else {}), **mixed, **own(extras, "toolConfig")}


def _calling(rendering: Rendering, *, beside: bool) -> Json:
    if beside and rendering.request.parallel_tool_calls is False:
        rendering.lose("parallel_tool_calls", "Gemini cannot be told to ask for one tool at a time")
    match rendering.request.tool_choice:
        case None:
            return {}
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return _members(value)
            rendering.lose("tool_choice", f"only the format {origin} knows such a choice")
            return {}
        case _ if not beside:
            return {}
        case ToolChoice(mode=ToolMode.NAMED) as choice:
            return {"mode": "ANY", "allowedFunctionNames": [flat_name(choice.namespace, choice.name)]}
        case ToolChoice(mode=ToolMode.REQUIRED, allowed=allowed) if allowed:
            return {"mode": "ANY", "allowedFunctionNames": list(allowed)}
        case ToolChoice(mode=mode):
            return {"mode": _MODES[mode]}


def _members(value: Raw) -> Json:
    return dict(OBJECT.decode(value) or {})
