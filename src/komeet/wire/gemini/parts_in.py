"""From parts to what they are in the neutral model: in requests and in answers alike.

A signature may sit on any part. On a thought it is the reasoning's seal; on any other part it becomes a reasoning
without text before that part, and on a text that says nothing, a reasoning in its place (`SIGNED_TEXT`).
"""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.wire.gemini import signature
from komeet.wire.gemini.members import ORIGIN, Members, object_of, place, signed
from komeet.wire.members import ARRAY, NULL, OBJECT, STRING, merged

SIGNED_TEXT: Final = "text"
"""The field of a reasoning that was a signature on an empty text."""
SIGNED_THOUGHT: Final = "thought"
"""The field of a reasoning that was a signature on an empty thought."""
MEDIA_TYPE: Final = "media_type"
"""Where a file that is elsewhere keeps its type: as the name of a sign."""
NO_ARGUMENTS: Final = b"{}"
UNSIGNED: Final = "unsigned"
"""The sign of a thought that came without a signature."""
CLOSING: Final = "closing"
"""The sign of a thought without words that has another format's seal: it is that of the thoughts before it."""
OWN_CALL: Final = "call"
"""The sign of a call as a caller, or a provider, of this format told it, with the signature that it has."""
OWN_FILE: Final = "file"
"""The sign of a file that is named by its address here."""
DISPLAYED: Final = "displayed"
"""The sign of a file whose name was told."""
WRAPPED: Final = ("result", "output", "error")
"""Members of a result that hold the text of it, where they stand alone."""

_KINDS: Final = (
    "text",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)


def parse_parts(raw: Raw | None, path: str) -> tuple[Part, ...]:
    """Return what an array of parts says; one part may stand without its array.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    members = Members({} if raw is None else {"parts": raw})
    one = members.fitting("parts", OBJECT)
    found = [raw] if raw is not None and one is not None else members.take("parts", ARRAY, "an array") or []
    return tuple([part for i, each in enumerate(found) for part in parse_part(each, f"{path}[{i}]")])


def parse_part(raw: Raw, path: str) -> tuple[Part, ...]:
    """Return what one part says: the signature that it carries, then itself; Opaque where its kind is not known.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    members = object_of(raw, path)
    kinds = [kind for kind in _KINDS if members.peek(kind) not in (None, NULL)]
    if len(kinds) != 1:
        return (Opaque(origin=ORIGIN, value=raw),)
    match kinds[0]:
        case "text":
            return _text(members)
        case "functionCall":
            made = _call(members)
        case "functionResponse":
            made = _result(members)
        case "inlineData":
            made = _inline(members)
        case "fileData":
            made = _file(members)
        case kind:
            return (_server_tool(kind, members, raw),)
    seal = signature.parse_signature(made[0].raw(signature.NAME))
    if seal is not None and isinstance(made[1], ToolCall):
        seal = signature.of_a_call(seal)
    part = msgspec.structs.replace(made[1], extras=merged(made[0].left(), made[1].extras))
    return (part,) if seal is None else (Reasoning(seal=seal), part)


def _text(members: Members) -> tuple[Part, ...]:
    text = members.text("text") or ""
    signed_by = members.raw(signature.NAME)
    seal = signature.parse_signature(signed_by)
    own = seal is not None and seal.origin == ORIGIN
    if members.peek("thought") == Raw(b"true"):
        members.raw("thought")
        field = SIGNED_THOUGHT if not text and own else ""
        sign: Extras = signed(UNSIGNED) if signed_by is None else {} if text or own else signed(CLOSING)
        return (Reasoning(text=text, seal=seal, field=field, extras=merged(members.left(), sign)),)
    if seal is not None and not text:
        return (Reasoning(seal=seal, field=SIGNED_TEXT if own else "", extras=members.left()),)
    part = Text(text=text, extras=members.left())
    return (part,) if seal is None else (Reasoning(seal=seal), part)


def _call(members: Members) -> tuple[Members, ToolCall]:
    inside = members.inside("functionCall")
    call = ToolCall(
        id=inside.text("id") or "",
        name=inside.text("name") or "",
        arguments=bytes(inside.raw("args") or NO_ARGUMENTS),
        extras=merged(inside.left("functionCall"), signed(OWN_CALL)),
    )
    return members, call


def _result(members: Members) -> tuple[Members, ToolResult]:
    inside = members.inside("functionResponse")
    response = inside.raw("response")
    told, failed, sign = _told(response, inside.path("response"))
    media = parse_parts(inside.raw("parts"), inside.path("parts"))
    result = ToolResult(
        call_id=inside.text("id") or "",
        name=inside.text("name") or "",
        parts=(*told, *media),
        failed=failed,
        extras=merged(inside.left("functionResponse"), sign),
    )
    return members, result


def _told(response: Raw | None, path: str) -> tuple[tuple[Text, ...], bool, Extras]:
    """Return the text of a result, whether it says a failure, and the sign of how it was written."""
    if response is None:
        return (), False, {}
    members = object_of(response, path)
    for name in WRAPPED:
        text = members.fitting(name, STRING)
        if text is None:
            continue
        if not members.empty:
            break
        sign: Extras = {} if name == "result" and not text.lstrip().startswith("{") else signed(name)
        return (Text(text=text),), name == "error", sign
    failed = set(object_of(response, path).names) == {"error"}
    return (Text(text=bytes(response).decode("utf-8", "replace")),), failed, {}


def _inline(members: Members) -> tuple[Members, Image | Audio | File]:
    inside = members.inside("inlineData")
    media_type = inside.text("mimeType") or ""
    source = Inline(media_type, _standard(inside.need("data")))
    kind = media_type.partition("/")[0]
    filename = "" if kind in ("image", "audio") else inside.fitting_text("displayName")
    extras = merged(inside.left("inlineData"), signed(DISPLAYED) if filename else {})
    match kind:
        case "image":
            return members, Image(source=source, extras=extras)
        case "audio":
            return members, Audio(source=source, extras=extras)
        case _:
            return members, File(source=source, filename=filename, extras=extras)


def _file(members: Members) -> tuple[Members, Image | Audio | File]:
    inside = members.inside("fileData")
    media_type = inside.text("mimeType") or ""
    source = Url(inside.need("fileUri"))
    kind = media_type.partition("/")[0]
    filename = "" if kind in ("image", "audio") else inside.fitting_text("displayName")
    sign: Extras = {place(MEDIA_TYPE): {media_type: NULL}} if media_type else {}
    names = {OWN_FILE: NULL, **({DISPLAYED: NULL} if filename else {})}
    extras = merged(inside.left("fileData"), sign, {place("sign"): names})
    match kind:
        case "image":
            return members, Image(source=source, extras=extras)
        case "audio":
            return members, Audio(source=source, extras=extras)
        case _:
            return members, File(source=source, filename=filename, extras=extras)


def _server_tool(kind: str, members: Members, raw: Raw) -> ServerTool:
    inside = members.within(kind) or Members({})
    name = inside.fitting_text("name") or inside.fitting_text("toolType") or kind
    return ServerTool(origin=ORIGIN, kind=kind, id=inside.fitting_text("id"), name=name, value=raw)


def _standard(data: str) -> str:
    """Return base64 in the alphabet that the other formats take; Google's libraries write the one for URLs."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)
