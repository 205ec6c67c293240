"""What a provider reads in a request, in each format: written apart from Komeet's own readers, to hold them to it."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.clients.model import Asked, Tool, Turn

_CALLERS_OWN: Final = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
)
"""Members of Gemini's whose inside is the caller's."""


def chat(body: Any) -> Asked:
    """Read a request in Chat Completions."""
    form = body.get("response_format") or {}
    choice, allowed = _choice(body)
    stop = body.get("stop") or ()
    return Asked(
        turns=tuple(_chat_turns(body["messages"])),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters"))
            for tool in body.get("tools") or ()
            if tool["type"] == "function" and (not allowed or tool["function"]["name"] in allowed)
        ),
        choice=choice,
        schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
        json_mode=form.get("type") == "json_object",
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        reasons=bool(body.get("reasoning_effort")),
    )


def _choice(body: Any) -> tuple[str, tuple[str, ...]]:
    """The choice in OpenAI's two formats, and the tools that may be called where not all may."""
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return choice.replace("required", "any"), ()
    if choice["type"] == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        return allowed["mode"].replace("required", "any"), tuple(_named(tool) for tool in allowed["tools"])
    return _named(choice), ()


def _named(tool: Any) -> str:
    return tool.get("function", tool)["name"]


def _chat_turns(messages: Any) -> Iterator[Turn]:
    for message in messages:
        match message["role"]:
            case "user":
                yield Turn("user", *_parts(message["content"]))
            case "assistant":
                if message.get("content"):
                    yield Turn("assistant", *_parts(message["content"]))
                for call in message.get("tool_calls") or ():
                    yield Turn("call", call["function"]["name"])
            case "tool":
                yield Turn("result", *_parts(message["content"]))
            case "system" | "developer":
                yield Turn("system", *_parts(message["content"]))
            case other:
                raise ValueError(f"no role {other}")


def _parts(content: Any) -> tuple[str, tuple[str, ...]]:
    """The text and the media types of a content, in the words of any of the formats."""
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    media: list[str] = []
    for part in content or ():
        match part["type"]:
            case "text" | "input_text" | "output_text":
                texts.append(part["text"])
            case "refusal":
                texts.append(part["refusal"])
            case "image_url" | "input_image" | "image" | "document" | "file" | "input_file" | "input_audio":
                media.append(_media(part))
            case "thinking" | "redacted_thinking" | "tool_use":
                pass
            case other:
                raise ValueError(f"no part {other}")
    return "\n".join(texts), tuple(media)


def _media(part: Any) -> str:
    """`image/png` for data, `url` for an address."""
    source = part.get("source") or part.get("file") or part.get("input_audio") or part
    if source.get("type") == "base64":
        return source["media_type"]
    if source.get("type") == "text":
        return "text/plain"
    if "format" in source:
        return f"audio/{source['format']}"
    address = source.get("file_data") or source.get("image_url") or source.get("url") or ""
    address = address["url"] if isinstance(address, dict) else address
    return address.removeprefix("data:").split(";")[0] if address.startswith("data:") else "url"


def responses(body: Any) -> Asked:
    """Read a request in Responses."""
    form = (body.get("text") or {}).get("format") or {}
    choice, allowed = _choice(body)
    given = body["input"]
    turns = (Turn("user", given),) if isinstance(given, str) else tuple(_items(given))
    return Asked(
        turns=(Turn("system", body.get("instructions") or ""), *turns),
        tools=tuple(tool for tool in _response_tools(body.get("tools") or ()) if not allowed or tool.name in allowed),
        choice=choice,
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        json_mode=form.get("type") == "json_object",
        limit=body.get("max_output_tokens"),
        reasons=bool((body.get("reasoning") or {}).get("effort")),
    )


def _items(items: Any) -> Iterator[Turn]:
    for item in items:
        match item.get("type", "message"):
            case "message":
                kind = {"user": "user", "assistant": "assistant"}.get(item["role"], "system")
                yield Turn(kind, *_parts(item["content"]))
            case "function_call" | "custom_tool_call":
                yield Turn("call", item["name"])
            case "function_call_output" | "custom_tool_call_output":
                yield Turn("result", *_parts(item["output"]))
            case "reasoning" | "additional_tools":
                pass
            case other:
                raise ValueError(f"no item {other}")


def _response_tools(tools: Any) -> Iterator[Tool]:
    for tool in tools:
        match tool["type"]:
            case "function":
                yield Tool(tool["name"], tool["parameters"])
            case _:
                pass


def messages(body: Any) -> Asked:
    """Read a request in Messages."""
    choice = body.get("tool_choice") or {"type": "auto"}
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    system = body.get("system") or ""
    return Asked(
        turns=(Turn("system", _parts(system)[0]), *_message_turns(body["messages"])),
        tools=tuple(
            Tool(tool["name"], tool["input_schema"]) for tool in body.get("tools") or () if "input_schema" in tool
        ),
        choice=choice["name"] if choice["type"] == "tool" else choice["type"],
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        stop=tuple(body.get("stop_sequences") or ()),
        limit=body["max_tokens"],
        reasons=(body.get("thinking") or {}).get("type", "disabled") != "disabled",
    )


def _message_turns(said: Any) -> Iterator[Turn]:
    for message in said:
        content = message["content"]
        blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = [block for block in blocks if block["type"] == "tool_result"]
        calls = [block for block in blocks if block["type"] == "tool_use"]
        plain = [block for block in blocks if block["type"] != "tool_result"]
        yield from (Turn("call", block["name"]) for block in calls)
        yield from (Turn("result", *_parts(block.get("content"))) for block in results)
        if plain and not calls:
            # What stands beside results is a reminder of the client's, not a wish of the user's.
            yield Turn("system" if results else message["role"], *_parts(plain))


def gemini(body: Any) -> Asked:
    """Read a request in Gemini's own format, whose members may be written with underscores too."""
    body = _camel(body)
    settings = body.get("generationConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or ()
    mode = {"ANY": "any", "NONE": "none"}.get(calling.get("mode", "AUTO"), "auto")
    schema = settings.get("responseJsonSchema") or settings.get("responseSchema")
    return Asked(
        turns=tuple(_contents(body)),
        tools=tuple(
            Tool(function["name"], function.get("parametersJsonSchema") or function.get("parameters"))
            for tool in body.get("tools") or ()
            for function in tool.get("functionDeclarations") or ()
        ),
        choice=allowed[0] if mode == "any" and len(allowed) == 1 else mode,
        schema=schema,
        json_mode=schema is None and settings.get("responseMimeType") == "application/json",
        stop=tuple(settings.get("stopSequences") or ()),
        limit=settings.get("maxOutputTokens"),
        reasons=bool((settings.get("thinkingConfig") or {}).get("includeThoughts")),
    )


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    named: dict[str, Any] = {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), name): each for name, each in value.items()
    }
    return {name: each if name in _CALLERS_OWN else _camel(each) for name, each in named.items()}


def _contents(body: Any) -> Iterator[Turn]:
    system = body.get("systemInstruction")
    if system:
        yield Turn("system", "\n".join(part["text"] for part in system["parts"]))
    for content in body["contents"]:
        texts: list[str] = []
        media: list[str] = []
        for part in content["parts"]:
            if "functionCall" in part:
                yield Turn("call", part["functionCall"]["name"])
            elif "functionResponse" in part:
                response = part["functionResponse"]["response"]
                yield Turn("result", str(response.get("output", response.get("result", response))))
            elif "inlineData" in part:
                media.append(part["inlineData"]["mimeType"])
            elif "fileData" in part:
                media.append("url")
            elif part.get("text", "").startswith("<system>"):
                yield Turn("system", part["text"])  # the format has no place for a system message in between
            elif not part.get("thought"):
                texts.append(part["text"])
        if texts or media:
            kind = "assistant" if content.get("role") == "model" else "user"
            yield Turn(kind, "\n".join(texts), tuple(media))
