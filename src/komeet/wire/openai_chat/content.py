"""From the content of a message to parts: what user, assistant and tool messages are made of."""

import re
from collections.abc import Mapping
from typing import Final

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
    Seal,
    Source,
    Text,
    ToolCall,
    Url,
)
from komeet.wire.members import ARRAY, INT, OBJECT, OBJECTS, STRING, merged, read, wrong_type
from komeet.wire.openai_chat.cache import take_mark
from komeet.wire.openai_chat.members import ORIGIN, Members, dialect, place
from komeet.wire.openai_chat.sealed import DETAILS

THINKING: Final = "thinking"
"""Mistral's name for a reasoning that is a part of the content."""

_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


def content_parts(members: Members) -> tuple[Part, ...]:
    """Take `content` out of a message: a string is one Text, an array its parts, null nothing."""
    raw = members.raw("content")
    if raw is None:
        return ()
    if bytes(raw).startswith(b'"'):
        return (Text(text=read(raw, STRING, members.path("content"), "a string") or ""),)
    path = members.path("content")
    parts = read(raw, ARRAY, path, "a string or an array of parts") or []
    return tuple([_part(part, f"{path}[{i}]") for i, part in enumerate(parts)])


def assistant_parts(members: Members, content: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return all parts of an assistant's message: its reasoning, `content`, and what has members of its own."""
    refusal = members.text("refusal")
    calls = members.take("tool_calls", OBJECTS, "an array of objects") or []
    return (
        *_reasoning(members),
        *content,
        *([Refusal(text=refusal)] if refusal else []),
        *_answered_audio(members),
        *[_tool_call(Members(call, members.path(f"tool_calls[{i}]"))) for i, call in enumerate(calls)],
    )


def thinking_text(members: Mapping[str, Raw]) -> str:
    """Return the text of Mistral's `thinking` part: a string, or an array of text parts."""
    inside = Members(dict(members))
    text = inside.fitting("thinking", STRING)
    if text is not None:
        return text
    return "".join(
        [Members(piece).fitting("text", STRING) or "" for piece in inside.fitting("thinking", OBJECTS) or []]
    )


def written(raw: Raw | None) -> str:
    """Return a string, or any other JSON as the text that it is: there are providers that do not quote JSON."""
    if raw is None:
        return ""
    text = bytes(raw)
    return (STRING.decode(text) or "") if text.startswith(b'"') else text.decode("utf-8", "replace")


def _reasoning(members: Members) -> tuple[Reasoning, ...]:
    """Take the reasoning out, by either of its names, with OpenRouter's `reasoning_details` as its seal."""
    field = ""
    text = members.fitting("reasoning_content", STRING)
    if text is None:
        text = members.fitting("reasoning", STRING)
        field = "reasoning" if text else ""
    details = members.fitting(DETAILS, ARRAY)
    seal = Seal(origin=ORIGIN, name=DETAILS, value=_array(details)) if details else None
    return (Reasoning(text=text or "", seal=seal, field=field),) if text or seal else ()


def _array(values: list[Raw]) -> Raw:
    return Raw(b"[" + b",".join([bytes(value) for value in values]) + b"]")


def _answered_audio(members: Members) -> tuple[Audio, ...]:
    """Take out the audio of an answer, or the reference to one in a later request."""
    audio = members.within("audio")
    if audio is None:
        return ()
    data, name = audio.text("data"), audio.text("id") or ""
    return (
        Audio(
            source=FileId(name) if data is None else Inline("", data),
            id=name,
            transcript=audio.text("transcript") or "",
            expires_at=audio.take("expires_at", INT, "an integer"),
            extras=audio.left(),
        ),
    )


def _tool_call(members: Members) -> ToolCall:
    kind = members.text("type")
    custom = kind == "custom"
    inside = members.within("custom" if custom else "function") or Members({})
    members.raw("index")
    return ToolCall(
        id=members.text("id") or "",
        name=inside.text("name") or "",
        arguments=written(inside.raw("input" if custom else "arguments")).encode(),
        custom=custom,
        extras=merged(members.left(), inside.left("function")),
    )


def _part(raw: Raw, path: str) -> Part:
    found = read(raw, OBJECT, path, "an object")
    if found is None:
        raise wrong_type(path, "an object", raw)
    members = Members(found, path)
    match members.need("type"):
        case "text":
            text, cache = members.need("text"), take_mark(members)
            return Text(text=text, cache=cache, extras=members.left())
        case "refusal":
            text, cache = members.need("refusal"), take_mark(members)
            return Refusal(text=text, cache=cache, extras=members.left())
        case "image_url":
            return _image(members)
        case "input_audio":
            return _input_audio(members)
        case "file":
            return _file(members)
        case "thinking":
            seal = Seal(origin=ORIGIN, name=THINKING, value=raw)
            return Reasoning(text=thinking_text(found), seal=seal, field=THINKING)
        case _:
            return Opaque(origin=ORIGIN, value=raw)


def _image(members: Members) -> Image:
    plain = members.fitting("image_url", STRING)  # Mistral
    inside = Members({}) if plain is not None else members.inside("image_url")
    url = inside.need("url") if plain is None else plain
    return Image(
        source=_source(url),
        detail=inside.text("detail"),
        cache=take_mark(members),
        extras=merged(members.left(), inside.left("image_url")),
    )


def _input_audio(members: Members) -> Audio:
    inside = members.inside("input_audio")
    return Audio(
        source=Inline(f"audio/{inside.need('format')}", inside.need("data")),
        cache=take_mark(members),
        extras=merged(members.left(), inside.left("input_audio")),
    )


def _file(members: Members) -> File:
    inside = members.inside("file")
    file_id = inside.text("file_id")
    source = FileId(file_id) if file_id is not None else _source(inside.need("file_data"))
    filename, cache = inside.text("filename") or "", take_mark(members)
    extras = merged(members.left(), inside.left("file"))
    if not isinstance(source, Inline):  # an id means something here only; a URL OpenRouter takes, and OpenAI does not
        where = place("file")
        name = "file_data" if isinstance(source, Url) else "file_id"
        extras = {**extras, where: {**extras.get(where, {}), **dialect(name, "file")[where]}}
    return File(source=source, filename=filename, cache=cache, extras=extras)


def _source(url: str) -> Source:
    found = _DATA_URL.fullmatch(url)
    if found:
        return Inline(found[1], found[2])
    return Url(url) if "://" in url else Inline("", url)
