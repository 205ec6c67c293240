"""From the parts of an answer to parts of a Gemini answer; what the format has no part for is left out."""

from typing import Final, TypeAlias

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
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.tool import flat_name
from komeet.wire.gemini.members import ORIGIN, own, place
from komeet.wire.gemini.parts_in import MEDIA_TYPE, SIGNED_TEXT, SIGNED_THOUGHT
from komeet.wire.gemini.parts_out import arguments_of
from komeet.wire.gemini.signature import NAME as SIGNATURE
from komeet.wire.gemini.signature import to_caller

Json: TypeAlias = dict[str, object]

_UNTYPED: Final = "application/octet-stream"


class Signing:
    """Puts signatures where a caller keeps them.

    One without words of its own goes onto the part after it: there are clients that do not keep thoughts, but all keep
    the signatures of what they send back.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: Seal | None = None

    def put(self, part: Part) -> list[object]:
        """Return the parts that say `part`: one, none, or a signature that waited and one."""
        match part:
            case Reasoning(text="", seal=Seal() as seal, field=field) if field not in (SIGNED_TEXT, SIGNED_THOUGHT):
                before = self.rest()
                self._waiting = seal
                return before
            case Reasoning():
                return [*self.rest(), *_thought(part)]
            case ServerTool(origin=origin, value=value) | Opaque(origin=origin, value=value):
                return [*self.rest(), value] if origin == ORIGIN else []
            case _:
                told = answer_part(part)
                return [] if told is None else [self.sign(told)]

    def sign(self, part: Json) -> Json:
        """Return a part with the signature that waited for it."""
        seal, self._waiting = self._waiting, None
        return part if seal is None else {**part, SIGNATURE: to_caller(seal)}

    def rest(self) -> list[object]:
        """Return a part for the signature that still waits, if there is one."""
        return [self.sign({"text": ""})] if self._waiting is not None else []


def answer_part(part: Part) -> Json | None:
    """Return the part that says words, a call or a medium; None where the format has none."""
    match part:
        case Text(text=text):
            return {"text": text, **own(part.extras)} if text or own(part.extras) else None
        case Refusal(text=text):
            return {"text": text} if text else None
        case ToolCall():
            return {"functionCall": _call(part), **own(part.extras)}
        case Audio(source=Inline(data=""), transcript=transcript):
            return {"text": transcript} if transcript else None
        case Image() | Audio() | File():
            return _medium(part)
        case Reasoning() | ServerTool() | Opaque() | ToolResult():
            return None


def _thought(part: Reasoning) -> list[object]:
    if part.seal is None:
        return [{"text": part.text, "thought": True, **own(part.extras)}] if part.text or own(part.extras) else []
    thought = {} if part.field == SIGNED_TEXT and not part.text else {"thought": True}
    return [{"text": part.text, **thought, SIGNATURE: to_caller(part.seal), **own(part.extras)}]


def _call(call: ToolCall) -> Json:
    named = {"id": call.id} if call.id else {}
    told = {**named, "name": flat_name(call.namespace, call.name), "args": arguments_of(call)}
    return {**told, **own(call.extras, "functionCall")}


def _medium(part: Image | Audio | File) -> Json | None:
    match part.source:
        case Inline(media_type=media_type, data=data):
            named = {"displayName": part.filename} if isinstance(part, File) and part.filename else {}
            told = {"mimeType": media_type or _UNTYPED, "data": data, **named, **own(part.extras, "inlineData")}
            return {"inlineData": told, **own(part.extras)}
        case Url(url=url):
            kinds = list(part.extras.get(place(MEDIA_TYPE), {}))
            typed = {"mimeType": kinds[0]} if kinds else {}
            return {"fileData": {**typed, "fileUri": url, **own(part.extras, "fileData")}, **own(part.extras)}
        case FileId():
            return None
