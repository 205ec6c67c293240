"""Reads a request to Converse into the neutral model: for tests, since no caller of Komeet speaks Converse."""

import json
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.part import CacheMark, File, Image, Inline, Part, Reasoning, Seal, Text, ToolCall, ToolResult
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.tool import FunctionTool, ToolChoice, ToolMode
from komeet.canonical.turn import Role, Turn
from komeet.wire.bedrock_converse.documents import DOCUMENTS

MARK: Final = CacheMark(name="cachePoint")
_TYPES: Final = {format_: kind for kind, format_ in DOCUMENTS.items()}


class NotSaid(Exception):
    """The neutral model has no word for it, or this reader does not look for it."""


def read(body: dict[str, Any], model: str) -> Request:
    """Return the request; raises NotSaid where it says something else than what is looked for."""
    left = dict(body)
    inference: dict[str, Any] = left.pop("inferenceConfig", {})
    config: dict[str, Any] = left.pop("toolConfig", {})
    more: dict[str, Any] = dict(left.pop("additionalModelRequestFields", {}))
    system = _parts(left.pop("system", []))
    output: dict[str, Any] = left.pop("outputConfig", {})
    tier = left.pop("serviceTier", {}).get("type")
    turns = [_turn(message) for message in left.pop("messages")]
    if left:
        raise NotSaid(", ".join(left))
    return Request(
        model=model,
        turns=(Turn(role=Role.SYSTEM, parts=system, preamble=True), *turns) if system else tuple(turns),
        tools=_tools(config.get("tools", [])),
        tool_choice=_choice(config.get("toolChoice", {})),
        sampling=Sampling(
            temperature=inference.get("temperature"), top_p=inference.get("topP"), top_k=more.pop("top_k", None)
        ),
        output_limit=inference.get("maxTokens"),
        stop=tuple(inference.get("stopSequences", ())),
        service_tier=tier,
        output=_output(output),
        **_reasoning(more),
    )


def _turn(message: dict[str, Any]) -> Turn:
    return Turn(role=Role(message["role"]), parts=_parts(message["content"]))


def _parts(blocks: list[Any]) -> tuple[Part, ...]:
    parts: list[Any] = []
    for block in blocks:
        if "cachePoint" in block:
            parts[-1] = replace(parts[-1], cache=MARK)
        else:
            parts.append(_part(block))
    return tuple(parts)


def _part(block: dict[str, Any]) -> Part:
    match block:
        case {"text": str(text)}:
            return Text(text=text)
        case {"image": {"format": format_, "source": {"bytes": data}}}:
            return Image(source=Inline(f"image/{format_}", data))
        case {"document": {"format": format_, "name": name, "source": {"bytes": data}}}:
            return File(source=Inline(_TYPES[format_], data), title=name)
        case {"toolUse": {"toolUseId": call, "name": name, "input": told, **more}} if not more:
            return ToolCall(id=call, name=name, arguments=json.dumps(told).encode())
        case {"toolResult": {"toolUseId": call, "content": content, **more}} if more.keys() <= {"status"}:
            return ToolResult(call_id=call, parts=_parts(content), failed=more.get("status") == "error")
        case {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}:
            seal = Seal(origin="bedrock_converse", name="signature", value=Raw(json.dumps(signature).encode()))
            return Reasoning(text=text, seal=seal)
        case _:
            raise NotSaid(" ".join(block))


def _tools(tools: list[Any]) -> tuple[FunctionTool, ...]:
    found: list[FunctionTool] = []
    for tool in tools:
        match tool:
            case {"cachePoint": _}:
                found[-1] = replace(found[-1], cache=MARK)
            case {"toolSpec": spec}:
                found.append(
                    FunctionTool(
                        name=spec["name"],
                        description=spec.get("description"),
                        schema=json.dumps(spec["inputSchema"]["json"]).encode(),
                        strict=spec.get("strict"),
                    )
                )
            case _:
                raise NotSaid(" ".join(tool))
    return tuple(found)


def _choice(choice: dict[str, Any]) -> ToolChoice | None:
    match choice:
        case {"tool": {"name": name}}:
            return ToolChoice(mode=ToolMode.NAMED, name=name)
        case {"any": _}:
            return ToolChoice(mode=ToolMode.REQUIRED)
        case {"auto": _}:
            return ToolChoice(mode=ToolMode.AUTO)
        case _:
            return None


def _output(output: dict[str, Any]) -> JsonOutput | None:
    match output:
        case {"textFormat": {"structure": {"jsonSchema": {"schema": str(schema), **more}}}}:
            return JsonOutput(schema=schema.encode(), name=more.get("name", ""), description=more.get("description"))
        case _:
            return None


def _reasoning(more: dict[str, Any]) -> dict[str, Any]:
    match more:
        case {"thinking": {"type": "adaptive"}}:
            return {"thinking": Thinking(mode="adaptive")}
        case {"thinking": {"type": "enabled", "budget_tokens": budget}}:
            return {"thinking": Thinking(mode="budget", budget=budget)}
        case {"thinking": {"type": "disabled"}}:
            return {"thinking": Thinking(mode="disabled")}
        case {"reasoning_effort": effort} | {"reasoning_config": effort}:
            return {"effort": effort}
        case _:
            if more:
                raise NotSaid(", ".join(more))
            return {}
