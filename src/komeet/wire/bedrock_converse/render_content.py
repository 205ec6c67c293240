"""From the parts of a turn to blocks of a request to Converse."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Raw

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
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.tool import flat_name
from komeet.core.errors import Unrepresentable
from komeet.wire.bedrock_converse.answer import REDACTED, SIGNATURE
from komeet.wire.bedrock_converse.documents import FILMS, PICTURES, SOUNDS, document_format, guessed
from komeet.wire.bedrock_converse.members import ORIGIN, Block, Json, foreign
from komeet.wire.bedrock_converse.rendering import Rendering

NO_OUTPUT: Final = "(no output)"
"""What a tool answered that answered nothing: Bedrock refuses empty texts."""

_object: Final = msgspec.json.Decoder(dict[str, Raw])


def blocks(part: Part, path: str, rendering: Rendering) -> list[object]:
    """Return the block that says `part`, and the mark for the prompt cache that follows it.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry; `param` is its path.
    """
    made = _block(part, path, rendering)
    if made is None:
        return []
    mark = None if isinstance(part, Opaque) else part.cache
    return [made, *rendering.marks.point(mark, "messages", path)]


def _block(part: Part, path: str, rendering: Rendering) -> object | None:
    match part:
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise _cannot(path, f"a part that only the format {origin} knows")
            return value
        case ServerTool(origin=origin, value=value):
            if origin == ORIGIN:
                return value
            rendering.lose(path, f"only the format {origin} takes back what its provider's tools did")
            return None
        case Reasoning():
            return _reasoning(part, path, rendering)
        case Text(text=text) | Refusal(text=text):
            rendering.losses.extend(foreign(part.extras, path))
            return Block(text=text) if text.strip() else None  # Bedrock refuses blank texts, which say nothing
        case Image() | File() | Audio() | ToolCall() | ToolResult():
            rendering.losses.extend(foreign(part.extras, path))
            return Block(_plain(part, path, rendering))


def _plain(part: Image | File | Audio | ToolCall | ToolResult, path: str, rendering: Rendering) -> Json:
    match part:
        case Image():
            if part.detail not in (None, "auto"):
                rendering.lose(f"{path}.detail", "Bedrock does not say how closely to look at an image")
            return _media("image", part.source, PICTURES, path)
        case Audio(source=source):
            return _media("audio", source, SOUNDS, path)
        case File():
            return _file(part, path, rendering)
        case ToolCall():
            name = flat_name(part.namespace, part.name)
            told = _input(part, path, rendering)
            return {"toolUse": {"toolUseId": rendering.ids.of_call(part, name), "name": name, "input": told}}
        case ToolResult():
            return {"toolResult": _result(part, path, rendering)}


def _reasoning(part: Reasoning, path: str, rendering: Rendering) -> Json | None:
    seal = part.seal
    if seal is None or seal.origin != ORIGIN:
        rendering.lose(path, "reasoning is returned only to the format that sealed it")
        return None
    if seal.name == REDACTED:
        return {"reasoningContent": {REDACTED: seal.value}}
    return {"reasoningContent": {"reasoningText": {"text": part.text, SIGNATURE: seal.value}}}


def _input(call: ToolCall, path: str, rendering: Rendering) -> object:
    """Return arguments as the object that the format wants; what is none is kept as text in `_raw`."""
    text = call.arguments.decode("utf-8", "replace")
    if call.custom:
        return {"input": text}
    if not text.strip():
        return {}
    try:
        _object.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rendering.lose(f"{path}.arguments", "they are not a JSON object; they are told as text in `_raw`")
        return {"_raw": text}
    return Raw(call.arguments)


def _result(result: ToolResult, path: str, rendering: Rendering) -> Json:
    inside = list(_answered(result.parts, f"{path}.content", rendering))
    failed: Json = {"status": "error"} if result.failed else {}
    return {"toolUseId": rendering.ids.of_result(result), "content": inside or [{"text": NO_OUTPUT}], **failed}


def _answered(parts: Sequence[Part], path: str, rendering: Rendering) -> Iterator[object]:
    for index, part in enumerate(parts):
        where = f"{path}[{index}]"
        match part:
            case Text() | Refusal() | Image() | File():
                made = _block(part, where, rendering)
                if made is not None:
                    yield made
            case Opaque() | ServerTool() | Reasoning() | Audio() | ToolCall() | ToolResult():
                raise _cannot(where, "a part of a tool's answer that is no text, image or document")


def _media(kind: str, source: Source, formats: dict[str, str], path: str) -> Json:
    data, media_type = _inline(source, path)
    format_ = formats.get(media_type)
    if format_ is None:
        raise _cannot(path, f"media of the type {media_type or 'unknown'}")
    return {kind: {"format": format_, "source": {"bytes": data}}}


def _inline(source: Source, path: str) -> tuple[str, str]:
    """Return base64, and its media type."""
    match source:
        case Inline(media_type=media_type, data=data):
            return data, guessed(media_type, data)
        case Url():
            raise Unrepresentable(
                f"{path} is named by its URL, and Bedrock fetches none: send its bytes, or turn on `media.fetch`.",
                param=path,
            )
        case FileId():
            raise _cannot(path, "media by the id of another provider's file")


def _file(file: File, path: str, rendering: Rendering) -> Json:
    data, media_type = _inline(file.source, path)
    for kind, formats in (("image", PICTURES), ("video", FILMS), ("audio", SOUNDS)):
        if media_type in formats:
            return _media(kind, file.source, formats, path)
    format_ = document_format(media_type)
    if format_ is None:
        raise _cannot(path, f"a file of the type {media_type or 'unknown'}")
    wanted = file.title or file.filename
    name, whole = rendering.names.give(wanted, format_)
    if not whole:
        rendering.lose(f"{path}.filename", f"Bedrock takes few kinds of characters in names: it is called {name!r}")
    told: Json = {"format": format_, "name": name, "source": {"bytes": data}}
    if file.context:
        told["context"] = file.context
    return {"document": told}


def _cannot(path: str, what: str) -> Unrepresentable:
    return Unrepresentable(f"{path} is {what}, which Bedrock's Converse cannot carry; leave it out.", param=path)
