"""What whole and streamed answers have in common: reading JSON that may be anything, and blocks."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import Citation, Image, Inline, Seal, ServerTool
from komeet.core.errors import Garbled
from komeet.wire.bedrock_converse.members import ORIGIN
from komeet.wire.json import encode_object
from komeet.wire.members import NULL

SIGNATURE: Final = "signature"
REDACTED: Final = "redactedContent"
SERVER_CALL: Final = "server_tool_use"

_PADDING: Final = "p"
"""Letters that hide how long a piece of a stream is."""
_TOLD: Final = frozenset({_PADDING, "output", "usage", "stopReason", "serviceTier"})
"""Members of an answer that the model has words for, or that say nothing."""

_members: Final = msgspec.json.Decoder(dict[str, Raw])
_list: Final = msgspec.json.Decoder(list[Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def members_of(data: bytes | Raw | None) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else."""
    try:
        return {} if data is None else _members.decode(data)
    except _UNREADABLE:
        return {}


def items_of(raw: Raw | None) -> list[Raw]:
    """Return the items of an array; none of anything else."""
    try:
        return [] if raw is None else _list.decode(raw)
    except _UNREADABLE:
        return []


def text_of(raw: Raw | None) -> str:
    """Return a string; empty of anything else."""
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except _UNREADABLE:
        return ""


def extras_of(message: dict[str, Raw]) -> Extras:
    """Return what an answer says that the model has no word for."""
    left = {name: value for name, value in message.items() if name not in _TOLD and value != NULL}
    return {ORIGIN: left} if left else {}


def tier_of(message: dict[str, Raw]) -> str | None:
    """Return the service tier that an answer names."""
    return text_of(members_of(message.get("serviceTier")).get("type")) or None


def seal_of(name: str, text: str) -> Seal:
    """Return what seals a reasoning: its signature, or the whole of it where it is redacted."""
    return Seal(origin=ORIGIN, name=name, value=Raw(msgspec.json.encode(text)))


def server_tool(block: str, members: dict[str, Raw]) -> ServerTool:
    """Return what a tool of the provider's was asked, or answered; `block` is `toolUse` or `toolResult`."""
    ordered = {name: members[name] for name in sorted(members)}
    return ServerTool(
        origin=ORIGIN,
        kind=text_of(members.get("type")) or block,
        id=text_of(members.get("toolUseId")),
        name=text_of(members.get("name")),
        value=Raw(encode_object({block: Raw(encode_object(ordered))})),
    )


def image(format_: str, source: dict[str, Raw]) -> Image | None:
    """Return a picture that the model made; None where its bytes are not in the answer."""
    data = text_of(source.get("bytes"))
    return Image(source=Inline(f"image/{format_}" if format_ else "", data)) if data else None


def citation(raw: Raw) -> Citation:
    """Return where a text has its statement from."""
    members = members_of(raw)
    web = members_of(members_of(members.get("location")).get("web"))
    source = text_of(members.get("source"))
    return Citation(
        origin=ORIGIN,
        value=raw,
        url=text_of(web.get("url")) or (source if "://" in source else ""),
        title=text_of(members.get("title")),
        quote="".join([text_of(members_of(piece).get("text")) for piece in items_of(members.get("sourceContent"))]),
    )


def garbled(detail: str) -> Garbled:
    """Return the error for an answer that is not one of this format."""
    error = Garbled("The provider's answer is not what the format says.")
    error.detail = detail
    return error
