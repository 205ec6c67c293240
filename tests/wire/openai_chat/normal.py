"""Chats with equal ways to say a thing made the same, to compare what was sent and answered."""

import json
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | None"


def _without_nulls(value: Json) -> Json:
    match value:
        case dict():
            return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
        case _:
            return value


def members(body: bytes) -> dict[str, Json]:
    value: Json = json.loads(body)
    assert isinstance(value, dict)
    told = _without_nulls(value)
    assert isinstance(told, dict)
    return told


def rows(value: Json) -> list[dict[str, Json]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _same_calls(holder: dict[str, Json]) -> None:
    """An empty list of calls is none; a call without a type is a function's; its index says nothing in a list.

    A call without an id is given one; no arguments are an empty object.
    """
    if holder.get("tool_calls") == []:
        del holder["tool_calls"]
    for call in rows(holder.get("tool_calls")):
        call.setdefault("type", "function")
        call.pop("index", None)
        if call.get("id") in ("", "call_1_0_0"):
            del call["id"]
        function = call.get("function")
        if isinstance(function, dict) and not function.get("arguments"):
            function["arguments"] = "{}"


def _joined(messages: list[dict[str, Json]]) -> list[Json]:
    """An assistant's calls in a message of their own belong to what it said before them."""
    told: list[dict[str, Json]] = []
    for message in messages:
        if told and told[-1]["role"] == "assistant" and set(message) == {"role", "tool_calls"}:
            told[-1] |= message
        else:
            told.append(message)
    return [*told]


def same_request(body: bytes) -> dict[str, Json]:
    """A request with equal ways to say a thing made the same."""
    told = members(body)
    if "max_completion_tokens" in told:
        told["max_tokens"] = told.pop("max_completion_tokens")
    if isinstance(told.get("stop"), str):
        told["stop"] = [told["stop"]]
    if told.get("tools") == []:
        del told["tools"]
    for tool in rows(told.get("tools")):
        tool.setdefault("type", "function")
    for message in rows(told["messages"]):
        content = message.get("content")
        if isinstance(content, list) and len(content) == 1:
            part = content[0]
            if isinstance(part, dict) and set(part) == {"type", "text"}:
                message["content"] = part["text"]
        if content == []:
            del message["content"]
        _same_calls(message)
    told["messages"] = _joined(rows(told["messages"]))
    return told


def same_answer(body: bytes) -> dict[str, Json]:
    """An answer with equal ways to say a thing made the same; usage is compared elsewhere."""
    told = members(body)
    told["id"] = same_id(str(told.get("id", "")))
    told.pop("usage", None)
    told.pop("object", None)
    for choice in rows(told["choices"]):
        message = choice["message"]
        assert isinstance(message, dict)
        message.pop("role", None)
        if message.get("content") == "":
            del message["content"]
        _same_calls(message)
    return told


def same_id(told: str) -> str:
    """An id in the manner of another format (Anthropic's endpoint, Bedrock's) is replaced, as a missing one is."""
    return "chatcmpl-1" if not told or told.startswith("msg_") else told


def counts(reported: Mapping[str, Json]) -> tuple[int, int, int, int]:
    """Input, output, cached, reasoning: by OpenAI's convention, but that a larger total counts as output."""

    def count(holder: Json, name: str) -> int:
        found = holder.get(name) if isinstance(holder, dict) else None
        return found if isinstance(found, int) else 0

    told = dict(reported)
    tokens_in, total = count(told, "prompt_tokens"), count(told, "total_tokens")
    tokens_out = total - tokens_in
    hidden = tokens_out - count(told, "completion_tokens")
    cached = count(told.get("prompt_tokens_details"), "cached_tokens") or count(told, "cached_tokens")
    cached = cached or count(told, "num_cached_tokens")
    reasoning = count(told.get("completion_tokens_details"), "reasoning_tokens") or hidden
    return tokens_in, tokens_out, cached, min(reasoning, tokens_out)
