"""From the items of a conversation to parts: those that are no message."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.part import Opaque, Part, Reasoning, Seal, ServerTool, ToolCall, ToolResult
from komeet.wire import seal as seals
from komeet.wire.json import encode_object
from komeet.wire.members import OBJECTS
from komeet.wire.openai_responses.content import content_parts
from komeet.wire.openai_responses.members import ORIGIN, REASONING, REASONING_TEXT, SEAL, Members

RAN: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
    }
)
"""Items that tell of a tool which the provider ran itself."""

_encoder = msgspec.json.Encoder()


def item_part(kind: str, members: Members, item: dict[str, Raw]) -> Part:
    """Return what an item that is no message says.

    Raises:
        WireError: 400, a member is missing or of the wrong type.
    """
    match kind:
        case "function_call" | "custom_tool_call":
            return _tool_call(members, custom=kind == "custom_tool_call")
        case "function_call_output" | "custom_tool_call_output":
            parts = content_parts(members.raw("output"), members.path("output"))
            return ToolResult(
                call_id=members.need("call_id"),
                parts=parts,
                custom=kind == "custom_tool_call_output",
                extras=members.left(),
            )
        case "reasoning":
            return reasoning_part(members)
        case _ if kind in RAN:
            return ServerTool(
                origin=ORIGIN,
                kind=kind,
                id=members.fitting_text("id"),
                name=members.fitting_text("name"),
                value=Raw(encode_object(item)),
            )
        case _:
            return Opaque(origin=ORIGIN, value=Raw(encode_object(item)))


def reasoning_part(members: Members) -> Reasoning:
    """Return a reasoning: its summary, or else what it is a summary of. A seal that was wrapped is itself again."""
    sealed = members.text(SEAL)
    summary, content = _texts(members.peek("summary")), _texts(members.peek("content"))
    text = "\n\n".join(summary or content)
    field = REASONING_TEXT if content and not summary else ""
    if sealed is not None and seals.is_wrapped(sealed):
        return Reasoning(text=text, seal=seals.unwrap(sealed))
    kept = Seal(origin=ORIGIN, name=SEAL, value=Raw(_encoder.encode(sealed))) if sealed else None
    extras = {REASONING: members.left().get(ORIGIN, {})}
    return Reasoning(text=text, seal=kept, field=field, extras=extras)


def _texts(raw: Raw | None) -> Sequence[str]:
    pieces = Members({"pieces": Raw(b"null") if raw is None else raw}).fitting("pieces", OBJECTS) or []
    return [text for piece in pieces if (text := Members(piece).fitting_text("text"))]


def _tool_call(members: Members, *, custom: bool) -> ToolCall:
    return ToolCall(
        id=members.need("call_id"),
        name=members.need("name"),
        arguments=(members.text("input" if custom else "arguments") or "").encode(),
        custom=custom,
        namespace=members.text("namespace") or "",
        extras=members.left(),
    )
