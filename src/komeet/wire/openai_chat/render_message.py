"""From turns to the messages of a Chat Completions request."""

from collections.abc import Sequence

from msgspec import Raw

from komeet.canonical.extras import join
from komeet.canonical.loss import Loss
from komeet.canonical.part import (
    Audio,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_chat.content import THINKING
from komeet.wire.openai_chat.members import ORIGIN, foreign, place

Json = dict[str, object]


def messages(turns: Sequence[Turn], losses: list[Loss]) -> list[Json]:
    """Return the messages that say `turns`; what they cannot say is added to `losses`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry.
    """
    told: list[Json] = []
    for index, turn in enumerate(turns):
        path = f"messages[{index}]"
        losses.extend(foreign(turn.extras, path))
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        told.extend(_result(result, turn, path, losses) for result in results)
        if len(results) < len(turn.parts) or not results:
            told.append(_message(turn, path, losses))
    return told


def _result(result: ToolResult, turn: Turn, path: str, losses: list[Loss]) -> Json:
    losses.extend(foreign(result.extras, path))
    if result.failed:
        losses.append(Loss(f"{path}.failed", "Chat Completions cannot say that a tool failed; its words are kept"))
    who: Json = {"role": "tool", "tool_call_id": result.call_id} if result.call_id else {"role": "function"}
    if result.name:
        who["name"] = result.name
    content = [_content_part(part, f"{path}.content[{i}]", losses) for i, part in enumerate(result.parts)]
    return {**who, "content": _content(result.parts, content) or "", **turn.extras.get(ORIGIN, {})}


def _message(turn: Turn, path: str, losses: list[Loss]) -> Json:
    message: Json = {"role": turn.role.value}
    if turn.name is not None:
        message["name"] = turn.name
    inside: list[Part] = []
    content: list[object] = []
    calls: list[Json] = []
    for index, part in enumerate(turn.parts):
        at = f"{path}.content[{index}]"
        match part:
            case ToolResult():
                pass
            case ToolCall():
                calls.append(_tool_call(part, at, losses))
            case Reasoning():
                _add_reasoning(part, at, message, content, losses)
            case Refusal(text=text, extras=extras) if turn.role is Role.ASSISTANT and not extras:
                message["refusal"] = f"{message.get('refusal', '')}{text}"
            case Audio(source=FileId(id=name)):
                message["audio"] = {"id": name, **part.extras.get(ORIGIN, {})}
            case _:
                inside.append(part)
                content.append(_content_part(part, at, losses))
    if content or turn.role is not Role.ASSISTANT:
        message["content"] = _content(inside, content)
    if calls:
        message["tool_calls"] = calls
    return {**message, **turn.extras.get(ORIGIN, {})}


def _content(parts: Sequence[Part], told: list[object]) -> object:
    """Return a plain string where that says it all: there are providers that take nothing else."""
    match parts:
        case [] if not told:
            return ""
        case [Text(text=text, extras=extras)] if not extras.get(ORIGIN) and len(told) == 1:
            return text
        case _:
            return told


def _add_reasoning(part: Reasoning, path: str, message: Json, content: list[object], losses: list[Loss]) -> None:
    losses.extend(foreign(part.extras, path))
    seal = part.seal
    if seal is not None and seal.origin != ORIGIN:
        losses.append(Loss(path, f"reasoning is returned only to the format that sealed it, {seal.origin}"))
        return
    if seal is not None and seal.name == THINKING:
        content.append(seal.value)
        return
    if part.text:
        name = "reasoning" if part.field == "reasoning" else "reasoning_content"
        message[name] = f"{message.get(name, '')}{part.text}"
    if seal is not None:
        earlier = message.get(seal.name)
        message[seal.name] = join([earlier, seal.value]) if isinstance(earlier, Raw) else seal.value


def _tool_call(call: ToolCall, path: str, losses: list[Loss]) -> Json:
    losses.extend(foreign(call.extras, path))
    text = call.arguments.decode("utf-8", "replace")
    kind, argument = ("custom", "input") if call.custom else ("function", "arguments")
    inside = {"name": call.name, argument: text, **call.extras.get(place("function"), {})}
    return {"id": call.id, "type": kind, kind: inside, **call.extras.get(ORIGIN, {})}


def _content_part(part: Part, path: str, losses: list[Loss]) -> object:
    match part:
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise _cannot(path, f"a part that only the format {origin} knows")
            return value
        case Text(text=text):
            told: Json = {"type": "text", "text": text}
        case Refusal(text=text):
            told = {"type": "refusal", "refusal": text}
        case Image():
            told = {"type": "image_url", "image_url": _image(part, path)}
        case Audio(source=Inline(media_type=media_type, data=data), extras=extras):
            inside = {"data": data, "format": media_type.removeprefix("audio/")}
            told = {"type": "input_audio", "input_audio": {**inside, **extras.get(place("input_audio"), {})}}
        case File():
            told = {"type": "file", "file": _file(part)}
        case Audio():
            raise _cannot(path, "audio that is not in the request")
        case Reasoning() | ToolCall() | ToolResult():
            raise _cannot(path, f"a {type(part).__name__} in this place")
    losses.extend(foreign(part.extras, path))
    return {**told, **part.extras.get(ORIGIN, {})}


def _image(image: Image, path: str) -> Json:
    match image.source:
        case Inline(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}" if media_type else data
        case Url(url=url):
            pass
        case FileId():
            raise _cannot(path, "an image by the id of a file")
    detail = {} if image.detail is None else {"detail": image.detail}
    return {"url": url, **detail, **image.extras.get(place("image_url"), {})}


def _file(file: File) -> Json:
    match file.source:
        case Inline(media_type=media_type, data=data):
            told: Json = {"file_data": f"data:{media_type};base64,{data}" if media_type else data}
        case FileId(id=name):
            told = {"file_id": name}
        case Url(url=url):  # OpenRouter takes it; OpenAI says that it does not
            told = {"file_data": url}
    if file.filename:
        told["filename"] = file.filename
    return {**told, **file.extras.get(place("file"), {})}


def _cannot(path: str, what: str) -> Unrepresentable:
    return Unrepresentable(f"{path} is {what}, which Chat Completions cannot carry; leave it out.", param=path)
