"""From the parts of a turn to blocks of a Messages request."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from typing import Final

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
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.tool import flat_name
from komeet.core.errors import Unrepresentable
from komeet.wire.anthropic_messages.blocks_out import input_of, own_citations
from komeet.wire.anthropic_messages.content import OWN_FILE, REDACTED, UNSIGNED
from komeet.wire.anthropic_messages.members import ORIGIN, foreign, has_sign, own
from komeet.wire.anthropic_messages.rendering import Rendering

Json = dict[str, object]

PDF: Final = "application/pdf"
_STARTS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": PDF,
}
"""How base64 begins of what can be told by its first bytes."""


class Block(dict[str, object]):
    """A block that is ours: not one that is repeated as it was written."""


def blocks(parts: Sequence[Part], path: str, rendering: Rendering) -> list[object]:
    """Return the blocks that say `parts`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry; `param` is its path.
    """
    told: list[object] = []
    for index, part in enumerate(parts):
        made = _block(part, f"{path}[{index}]", rendering)
        if made is not None:
            told.append(made)
    return told


def content(told: list[object]) -> object:
    """Return a plain string where that says it all."""
    if len(told) == 1 and isinstance(told[0], Block) and set(told[0]) == {"type", "text"}:
        return told[0]["text"]
    return told


def _block(part: Part, path: str, rendering: Rendering) -> object:
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
        case Text(text=""):
            return None
        case Audio():
            raise _cannot(path, "audio")
        case Text() | Refusal() | Image() | File() | ToolCall() | ToolResult():
            rendering.losses.extend(foreign(part.extras, path))
            told = _plain(part, path, rendering)
            return Block({**told, **rendering.marks.render(part.cache, path), **own(part.extras)})


def _plain(part: Text | Refusal | Image | File | ToolCall | ToolResult, path: str, rendering: Rendering) -> Json:
    match part:
        case Text(text=text, citations=citations):
            cited = own_citations(citations)
            return {"type": "text", "text": text, **({"citations": cited} if cited else {})}
        case Refusal(text=text):
            return {"type": "text", "text": text}
        case Image():
            if part.detail not in (None, "auto"):
                rendering.lose(f"{path}.detail", "Messages does not say how closely to look at an image")
            return {"type": "image", "source": _image_source(part, path)}
        case File():
            return _document(part, path)
        case ToolCall():
            return _call(part, path, rendering)
        case ToolResult():
            inside = blocks(part.parts, f"{path}.content", rendering)
            failed = {"is_error": True} if part.failed else {}
            told = {"content": content(inside)} if inside else {}
            return {"type": "tool_result", "tool_use_id": rendering.ids.of_result(part), **told, **failed}


def _reasoning(part: Reasoning, path: str, rendering: Rendering) -> Json | None:
    seal = part.seal
    if has_sign(part.extras, UNSIGNED):
        return {"type": "thinking", "thinking": part.text, "signature": "", **own(part.extras)}
    if seal is None or seal.origin != ORIGIN:
        rendering.lose(path, "reasoning is returned only to the format that sealed it")
        return None
    if seal.name == REDACTED:
        return {"type": "redacted_thinking", "data": seal.value, **own(part.extras)}
    return {"type": "thinking", "thinking": part.text, "signature": seal.value, **own(part.extras)}


def _call(call: ToolCall, path: str, rendering: Rendering) -> Json:
    name = flat_name(call.namespace, call.name)
    if call.custom:
        told: object = {"input": call.arguments.decode("utf-8", "replace")}
    else:
        told = input_of(call.arguments)
        if isinstance(told, dict) and "_raw" in told:
            rendering.lose(f"{path}.arguments", "they are not a JSON object; they are told as text in `_raw`")
    return {"type": "tool_use", "id": rendering.ids.of_call(call, name), "name": name, "input": told}


def _image_source(image: Image, path: str) -> Json:
    inside = own(image.extras, "source")
    match image.source:
        case Inline(media_type=media_type, data=data):
            kind = media_type or _guessed(data)
            if not kind.startswith("image/"):
                raise _cannot(path, "an image whose type is not told")
            return {"type": "base64", "media_type": kind, "data": data, **inside}
        case Url(url=url):
            return {"type": "url", "url": url, **inside}
        case FileId(id=name):
            if not has_sign(image.extras, OWN_FILE):
                raise _cannot(path, "an image by the id of another provider's file")
            return {"type": "file", "file_id": name, **inside}


def _document(file: File, path: str) -> Json:
    source = _document_source(file, path)
    if source["type"] == "image":
        return {"type": "image", "source": {**source, "type": "base64"}}
    title = file.title or file.filename
    told: Json = {"type": "document", "source": {**source, **own(file.extras, "source")}}
    if title:
        told["title"] = title
    if file.context:
        told["context"] = file.context
    return told


def _document_source(file: File, path: str) -> Json:
    match file.source:
        case Url(url=url):
            return {"type": "url", "url": url}
        case FileId(id=name):
            if not has_sign(file.extras, OWN_FILE):
                raise _cannot(path, "a document by the id of another provider's file")
            return {"type": "file", "file_id": name}
        case Inline(media_type=media_type, data=data):
            kind = media_type or _guessed(data)
            if kind == PDF:
                return {"type": "base64", "media_type": kind, "data": data}
            if kind.startswith("image/"):
                return {"type": "image", "media_type": kind, "data": data}
            if kind.startswith("text/") or kind == "application/json":
                return {"type": "text", "media_type": "text/plain", "data": _text(data, path)}
            raise _cannot(path, f"a file of type {kind or 'unknown'}")


def _guessed(data: str) -> str:
    return next((kind for start, kind in _STARTS.items() if data.startswith(start)), "")


def _text(data: str, path: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except (NotBase64, ValueError):
        raise _cannot(path, "a text file whose data is not base64 of UTF-8") from None


def _cannot(path: str, what: str) -> Unrepresentable:
    return Unrepresentable(f"{path} is {what}, which Messages cannot carry; leave it out.", param=path)
