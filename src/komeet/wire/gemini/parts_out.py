"""From the parts of a turn to parts of a Gemini request."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.part import (
    Audio,
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
from komeet.catalog.profile import ThinkingStyle
from komeet.wire.gemini.media_out import lose_details, media_part
from komeet.wire.gemini.members import ORIGIN, foreign, has_sign, own
from komeet.wire.gemini.parts_in import OWN_CALL, SIGNED_TEXT, SIGNED_THOUGHT, UNSIGNED
from komeet.wire.gemini.rendering import Rendering, cannot
from komeet.wire.gemini.results_out import result_part
from komeet.wire.gemini.signature import NAME as SIGNATURE
from komeet.wire.gemini.signature import OF_A_CALL
from komeet.wire.members import OBJECT

Json = dict[str, object]

NOT_CHECKED: Final = "skip_thought_signature_validator"
"""What Gemini 3 takes in the place of a signature, for calls that another model made."""


class Said:
    """The parts of one content so far, and a signature that waits for the part which it is to be put on."""

    def __init__(self, rendering: Rendering) -> None:
        self.told: list[object] = []
        self._waiting: object = None
        self._of_calls: list[object] = []
        """Signatures that wait for the next calls, whatever comes before those."""
        self._demanded = rendering.profile.thinking is ThinkingStyle.ADAPTIVE
        """Whether the first of the calls must carry a signature, and none has come yet."""

    def sign(self, seal: Seal) -> None:
        """Keep a signature for the next part, or the next call; one that still waits gets a part of its own."""
        if seal.name == OF_A_CALL:
            self._of_calls.append(seal.value)
            return
        self.flush()
        self._waiting = seal.value

    def put(self, part: Json) -> None:
        if self._waiting is not None:
            part[SIGNATURE], self._waiting = self._waiting, None
        self.told.append(part)

    def call(self, part: Json, *, own: bool) -> None:
        if self._of_calls:
            self.flush()
            self._waiting = self._of_calls.pop(0)
        self.put(part)
        if self._demanded and not own:
            part.setdefault(SIGNATURE, NOT_CHECKED)
        self._demanded = False

    def alone(self, part: object) -> None:
        """Put a part that takes no signature of another."""
        self.flush()
        self.told.append(part)

    def end(self) -> list[object]:
        """Return the parts; what still waits is in parts of its own."""
        self.flush()
        return [*self.told, *[{"text": "", SIGNATURE: value} for value in self._of_calls]]

    def flush(self) -> None:
        if self._waiting is not None:
            self.told.append({"text": "", SIGNATURE: self._waiting})
            self._waiting = None


def render_parts(parts: Iterable[tuple[int, Part]], path: str, rendering: Rendering) -> list[object]:
    """Return the parts of a content that one turn is; each comes with its place in the turn.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry; `param` is its path.
    """
    said = Said(rendering)
    say_parts(parts, path, said, rendering)
    return said.end()


def say_parts(parts: Iterable[tuple[int, Part]], path: str, said: Said, rendering: Rendering) -> None:
    """Add the parts of a turn to a content, of which there may be several; raises as `render_parts` does."""
    for index, part in parts:
        _put(part, f"{path}[{index}]", said, rendering)


def arguments_of(call: ToolCall) -> object:
    """Return arguments as the object that the format wants; what is none is kept as text in `_raw`."""
    if call.custom:
        return {"input": call.arguments.decode("utf-8", "replace")}
    if not call.arguments.strip():
        return {}
    try:
        found = OBJECT.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    return {"_raw": call.arguments.decode("utf-8", "replace")} if found is None else Raw(call.arguments)


def _put(part: Part, path: str, said: Said, rendering: Rendering) -> None:
    match part:
        case Opaque(origin=origin, value=value):
            if origin != ORIGIN:
                raise cannot(path, f"a part that only the format {origin} knows")
            said.alone(value)
        case ServerTool(origin=origin, value=value):
            if origin == ORIGIN:
                said.alone(value)
            else:
                rendering.lose(path, f"only the format {origin} takes back what its provider's tools did")
        case Reasoning():
            _reasoning(part, path, said, rendering)
        case Text(text="") if not own(part.extras):
            pass
        case Text() | Refusal() | Image() | Audio() | File() | ToolCall() | ToolResult():
            rendering.losses.extend(foreign(part.extras, path))
            rendering.lose_mark(part.cache, path)
            if isinstance(part, File) and part.context:
                said.put({"text": part.context})
            told = {**_plain(part, path, rendering), **own(part.extras)}
            if isinstance(part, ToolCall):
                said.call(told, own=has_sign(part.extras, OWN_CALL))
            else:
                said.put(told)


def _plain(
    part: Text | Refusal | Image | Audio | File | ToolCall | ToolResult, path: str, rendering: Rendering
) -> Json:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"text": text}
        case ToolCall():
            return _call(part, path, rendering)
        case ToolResult():
            return result_part(part, path, rendering)
        case Audio(transcript=transcript, id=name) if name and transcript:
            return {"text": transcript}
        case Image() | Audio() | File():
            lose_details(part, path, rendering)
            return media_part(part, path)


def _reasoning(part: Reasoning, path: str, said: Said, rendering: Rendering) -> None:
    seal = part.seal
    if has_sign(part.extras, UNSIGNED):
        said.alone({"text": part.text, "thought": True, **own(part.extras)})
    elif seal is None or seal.origin != ORIGIN:
        rendering.lose(path, "reasoning is returned only to the format that sealed it")
    elif part.text or part.field == SIGNED_THOUGHT:
        said.alone({"text": part.text, "thought": True, SIGNATURE: seal.value, **own(part.extras)})
    elif part.field == SIGNED_TEXT:
        said.alone({"text": "", SIGNATURE: seal.value, **own(part.extras)})
    else:
        said.sign(seal)


def _call(call: ToolCall, path: str, rendering: Rendering) -> Json:
    arguments = arguments_of(call)
    if not call.custom and isinstance(arguments, dict) and "_raw" in arguments:
        rendering.lose(f"{path}.arguments", "they are not a JSON object; they are told as text in `_raw`")
    named = {"id": call.id} if call.id else {}
    told: Json = {**named, "name": flat_name(call.namespace, call.name), "args": arguments}
    return {"functionCall": {**told, **own(call.extras, "functionCall")}}
