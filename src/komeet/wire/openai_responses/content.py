"""From the content of a message, or the output of a tool, to parts."""

import re
from typing import Final

from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import (
    Audio,
    CacheMark,
    Citation,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Source,
    Text,
    Url,
)
from komeet.wire.members import ARRAY, INT, OBJECT, STRING, merged, read, wrong_type
from komeet.wire.openai_responses.members import CONTENT, ORIGIN, OWN, Members

BREAKPOINT: Final = "prompt_cache_breakpoint"
_EMPTY_ARRAY: Final = Raw(b"[]")
_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


def content_parts(raw: Raw | None, path: str) -> tuple[Part, ...]:
    """Return the parts of a content: a string is one Text, an array its parts, null nothing."""
    if raw is None:
        return ()
    if bytes(raw).startswith(b'"'):
        return (Text(text=read(raw, STRING, path, "a string") or ""),)
    parts = read(raw, ARRAY, path, "a string or an array of parts") or []
    return tuple([_part(part, f"{path}[{index}]") for index, part in enumerate(parts)])


def text_part(members: Members) -> Text:
    """Return a text with its sources; what is empty says nothing."""
    text = members.need("text")
    raw = members.raw("annotations")
    annotations = [] if raw is None else read(raw, ARRAY, members.path("annotations"), "an array") or []
    if members.peek("logprobs") == _EMPTY_ARRAY:
        members.raw("logprobs")
    cache = _cache(members)
    return Text(
        text=text, citations=tuple([citation(each) for each in annotations]), cache=cache, extras=members.left()
    )


def citation(raw: Raw) -> Citation:
    """Return what an annotation says; one of an unknown type is kept as it is."""
    try:
        found = OBJECT.decode(raw) or {}
    except ValueError:
        found = {}
    members = Members(found)
    if members.fitting_text("type") != "url_citation":
        return Citation(origin=ORIGIN, value=raw, title=members.fitting_text("filename"))
    return Citation(
        origin=ORIGIN,
        value=raw,
        url=members.fitting_text("url"),
        title=members.fitting_text("title"),
        start=members.fitting("start_index", INT),
        end=members.fitting("end_index", INT),
    )


def _part(raw: Raw, path: str) -> Part:
    found = read(raw, OBJECT, path, "an object")
    if found is None:
        raise wrong_type(path, "an object", raw)
    members = Members(found, path)
    match members.need("type"):
        case "input_text" | "output_text":
            return text_part(members)
        case "refusal":
            text = members.need("refusal")
            return Refusal(text=text, cache=_cache(members), extras=members.left())
        case "input_image":
            return _image(members)
        case "input_file":
            return _file(members)
        case "input_audio":
            inside = members.inside("input_audio")
            source = Inline(f"audio/{inside.need('format')}", inside.need("data"))
            cache = _cache(members)
            return Audio(source=source, cache=cache, extras=merged(members.left(), inside.left("input_audio")))
        case _:
            return Opaque(origin=CONTENT, value=raw)


def _cache(members: Members) -> CacheMark | None:
    raw = members.raw(BREAKPOINT)
    if raw is None:
        return None
    inside = Members(Members({BREAKPOINT: raw}).fitting(BREAKPOINT, OBJECT) or {})
    return CacheMark(ttl=inside.fitting_text("ttl") or None, origin=ORIGIN, name=BREAKPOINT, value=raw)


def _image(members: Members) -> Image:
    name = members.text("file_id")
    source = FileId(name) if name is not None else source_of(members.need("image_url"))
    return Image(
        source=source, detail=members.text("detail"), cache=_cache(members), extras={**members.left(), OWN: {}}
    )


def _file(members: Members) -> File:
    name, url = members.text("file_id"), members.text("file_url")
    source: Source
    if name is not None:
        source = FileId(name)
    elif url is not None:
        source = Url(url)
    else:
        data = members.need("file_data")
        found = _DATA_URL.fullmatch(data)
        source = Inline(found[1], found[2]) if found else Inline("", data)
    return File(
        source=source,
        filename=members.text("filename") or "",
        cache=_cache(members),
        extras=_owned(members.left(), source),
    )


def _owned(extras: Extras, source: Source) -> Extras:
    """Mark a file's id as one of this format."""
    return {**extras, OWN: {}} if isinstance(source, FileId) else extras


def source_of(url: str) -> Source:
    """Return where a picture is."""
    found = _DATA_URL.fullmatch(url)
    return Inline(found[1], found[2]) if found else Url(url)
