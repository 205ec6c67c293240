"""From the parts of an answer to blocks of a Messages answer; what the format has no block for is left out.

So is what says nothing: Anthropic would refuse an empty text when it comes back in the next turn.
"""

import msgspec
from msgspec import Raw

from komeet.canonical.part import (
    Audio,
    Citation,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.tool import flat_name
from komeet.wire import seal as seals
from komeet.wire.anthropic_messages.content import REDACTED, UNSIGNED
from komeet.wire.anthropic_messages.members import ORIGIN, has_sign, own

Json = dict[str, object]

_object: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])


def block(part: Part, made_id: str) -> Json | None:
    """Return the block that says `part`; `made_id` is for a call that came without an id."""
    match part:
        case Text(text="") | Refusal(text=""):
            return None
        case Text(text=text, citations=citations):
            cited = own_citations(citations)
            return {"type": "text", "text": text, **({"citations": cited} if cited else {}), **own(part.extras)}
        case Refusal(text=text):
            return {"type": "text", "text": text}
        case Audio(transcript=transcript) if transcript:
            return {"type": "text", "text": transcript}
        case Reasoning():
            return thinking(part) if part.text or part.seal is not None else None
        case ToolCall():
            return {**call_start(part, made_id), "input": input_of(part.arguments)}
        case ServerTool(origin=origin, value=value) | Opaque(origin=origin, value=value):
            return {"value": value} if origin == ORIGIN else None
        case Image() | File() | Audio() | ToolResult():
            return None


def thinking(part: Reasoning) -> Json:
    """Return a block of reasoning, with what seals it."""
    if part.seal is not None and part.seal.origin == ORIGIN and part.seal.name == REDACTED:
        return {"type": "redacted_thinking", "data": part.seal.value, **own(part.extras)}
    return {
        "type": "thinking",
        "thinking": part.text,
        "signature": signature(part.seal, unsigned=has_sign(part.extras, UNSIGNED)),
        **own(part.extras),
    }


def signature(seal: Seal | None, *, unsigned: bool) -> object:
    """Return the signature of a block: the provider's own, or another format's seal, wrapped."""
    if seal is not None and seal.origin == ORIGIN:
        return seal.value
    return "" if unsigned else seals.wrap(seal)


def call_start(call: ToolCall, made_id: str) -> Json:
    """Return a call's block as it begins, without its arguments."""
    return {
        "type": "tool_use",
        "id": call.id or made_id,
        "name": flat_name(call.namespace, call.name),
        "input": {},
        **own(call.extras),
    }


def input_of(arguments: bytes) -> object:
    """Return arguments as the object that the format wants; what is none is kept as text in `_raw`."""
    if not arguments.strip():
        return {}
    try:
        _object.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"_raw": arguments.decode("utf-8", "replace")}
    return Raw(arguments)


def own_citations(citations: tuple[Citation, ...]) -> list[Raw]:
    """Return the sources that this format can name."""
    return [citation.value for citation in citations if citation.origin == ORIGIN]
