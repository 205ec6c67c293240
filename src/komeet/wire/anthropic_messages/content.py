"""From blocks of content to parts: in requests and in answers alike."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import (
    Citation,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Seal,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.wire import seal as seals
from komeet.wire.anthropic_messages.cache import take_mark
from komeet.wire.anthropic_messages.members import ORIGIN, Members, missing, read, signed, wrong_type
from komeet.wire.members import ARRAY, BOOL, NULL, OBJECT, STRING, merged

SIGNATURE: Final = "signature"
REDACTED: Final = "redacted_thinking"
UNSIGNED: Final = "unsigned"
"""The sign of a thinking block that came without a signature: some providers of this format give none."""
OWN_FILE: Final = "file"
"""The sign of a file that is named by its id here."""
NO_INPUT: Final = b"{}"

_SERVER_CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_SERVER_RESULT: Final = "_tool_result"


def content_parts(raw: Raw | None, path: str) -> tuple[Part, ...]:
    """Return the parts of a content: a string is one Text, an array its blocks, null and an empty string nothing.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    if raw is None or raw == NULL:
        return ()
    if bytes(raw).startswith(b'"'):
        text = read(raw, STRING, path, "a valid string")
        return (Text(text=text),) if text else ()
    blocks = read(raw, ARRAY, path, "a valid list") or []
    return tuple([parse_block(block, f"{path}.{i}") for i, block in enumerate(blocks)])


def is_server_tool(kind: str) -> bool:
    """Whether a block is about a tool that the provider runs itself."""
    return kind in _SERVER_CALLS or (kind.endswith(_SERVER_RESULT) and len(kind) > len(_SERVER_RESULT))


def parse_block(raw: Raw, path: str) -> Part:
    """Return what one block is; Opaque where it is of a type that has no word in the model.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    found = read(raw, OBJECT, path, "a valid dictionary")
    if found is None:
        raise wrong_type(path, "a valid dictionary")
    members = Members(found, path)
    kind = members.need("type")
    match kind:
        case "text":
            text, cache = members.need("text"), take_mark(members)
            told = members.fitting("citations", ARRAY) or []
            citations = tuple([parse_citation(citation) for citation in told])
            return Text(text=text, citations=citations, cache=cache, extras=members.left())
        case "image":
            return _image(members, raw)
        case "document":
            return _document(members, raw)
        case "thinking":
            return _thinking(members)
        case "redacted_thinking":
            data = members.raw("data")
            if data is None:
                raise missing(members.path("data"))
            return Reasoning(seal=Seal(origin=ORIGIN, name=REDACTED, value=data), extras=members.left())
        case "tool_use":
            return ToolCall(
                id=members.text("id") or "",
                name=members.need("name"),
                arguments=bytes(members.raw("input") or NO_INPUT),
                cache=take_mark(members),
                extras=members.left(),
            )
        case "tool_result":
            return _tool_result(members)
        case _ if is_server_tool(kind):
            return server_tool(kind, members, raw)
        case _:
            return Opaque(origin=ORIGIN, value=raw)


def server_tool(kind: str, members: Members, raw: Raw) -> ServerTool:
    """Return a call or a result of a tool that the provider runs; `raw` is the whole block."""
    named = members.fitting_text("id") or members.fitting_text("tool_use_id")
    return ServerTool(origin=ORIGIN, kind=kind, id=named, name=members.fitting_text("name"), value=raw)


def parse_citation(raw: Raw) -> Citation:
    """Return where a text has its statement from."""
    try:
        members = Members(OBJECT.decode(raw) or {})
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        members = Members({})
    source = members.fitting_text("url") or members.fitting_text("source")
    return Citation(
        origin=ORIGIN,
        value=raw,
        url=source if "://" in source else "",
        title=members.fitting_text("title") or members.fitting_text("document_title"),
        quote=members.fitting_text("cited_text"),
    )


def _source(members: Members) -> Source | None:
    """Take what is common to the sources of images and documents; None where it is of another type."""
    match members.text("type"):
        case "base64":
            return Inline(members.need("media_type"), members.need("data"))
        case "text":
            media_type = members.text("media_type") or "text/plain"
            return Inline(media_type, b64encode(members.need("data").encode("utf-8", "replace")).decode("ascii"))
        case "url":
            return Url(members.need("url"))
        case "file":
            return FileId(members.need("file_id"))
        case _:
            return None


def _owned(source: Source) -> Extras:
    return signed(OWN_FILE) if isinstance(source, FileId) else {}


def _image(members: Members, raw: Raw) -> Image | Opaque:
    inside = members.inside("source")
    source = _source(inside)
    if source is None:
        return Opaque(origin=ORIGIN, value=raw)
    return Image(
        source=source,
        cache=take_mark(members),
        extras=merged(members.left(), inside.left("source"), _owned(source)),
    )


def _document(members: Members, raw: Raw) -> File | Opaque:
    inside = members.inside("source")
    source = _source(inside)
    if source is None:
        return Opaque(origin=ORIGIN, value=raw)
    return File(
        source=source,
        title=members.text("title") or "",
        context=members.text("context") or "",
        cache=take_mark(members),
        extras=merged(members.left(), inside.left("source"), _owned(source)),
    )


def _thinking(members: Members) -> Reasoning:
    text = members.text("thinking") or ""
    raw = members.peek(SIGNATURE)
    signature = members.fitting_text(SIGNATURE)
    if seals.is_wrapped(signature):
        return Reasoning(text=text, seal=seals.unwrap(signature), extras=members.left())
    if not signature or raw is None:
        return Reasoning(text=text, extras=merged(members.left(), signed(UNSIGNED)))
    return Reasoning(text=text, seal=Seal(origin=ORIGIN, name=SIGNATURE, value=raw), extras=members.left())


def _tool_result(members: Members) -> ToolResult:
    return ToolResult(
        call_id=members.text("tool_use_id") or "",
        parts=content_parts(members.raw("content"), members.path("content")),
        failed=members.take("is_error", BOOL, "a valid boolean") or False,
        cache=take_mark(members),
        extras=members.left(),
    )


def only_results(parts: Sequence[Part]) -> bool:
    """Whether there is nothing but tool results."""
    return bool(parts) and all(isinstance(part, ToolResult) for part in parts)
