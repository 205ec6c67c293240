"""From what a tool answered to a `functionResponse`, which is an object."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from komeet.canonical.part import Audio, File, Image, Opaque, Refusal, Text, ToolResult
from komeet.wire.gemini.media_out import lose_details, media_part
from komeet.wire.gemini.members import ORIGIN, foreign, has_sign, own
from komeet.wire.gemini.parts_in import WRAPPED
from komeet.wire.gemini.rendering import Rendering, cannot
from komeet.wire.members import OBJECT

Json = dict[str, object]


def result_part(result: ToolResult, path: str, rendering: Rendering) -> Json:
    """Return the part that says what a tool answered: text as an object, media beside it.

    Raises:
        Unrepresentable: 422, it holds what the format cannot carry; `param` is its path.
    """
    texts: list[str] = []
    media: list[object] = []
    for index, part in enumerate(result.parts):
        where = f"{path}.content[{index}]"
        match part:
            case Text(text=text) | Refusal(text=text):
                rendering.losses.extend(foreign(part.extras, where))
                rendering.lose_mark(part.cache, where)
                texts.append(text)
            case Image() | Audio() | File():
                rendering.losses.extend(foreign(part.extras, where))
                rendering.lose_mark(part.cache, where)
                lose_details(part, where, rendering)
                media.append({**media_part(part, where), **own(part.extras)})
            case Opaque(origin=origin, value=value) if origin == ORIGIN:
                media.append(value)
            case _:
                raise cannot(where, "nothing that a tool may answer")
    named = {"id": result.call_id} if result.call_id else {}
    told: Json = {**named, "name": rendering.name_of(result), "response": _response(result, texts)}
    if media:
        told["parts"] = media
    return {"functionResponse": {**told, **own(result.extras, "functionResponse")}}


def _response(result: ToolResult, texts: Sequence[str]) -> object:
    text = "\n".join(texts)
    for name in WRAPPED:
        if has_sign(result.extras, name):
            return {name: text}
    found = _object(text)
    if found is not None and (not result.failed or "error" in found):
        return Raw(text.encode("utf-8", "surrogatepass"))
    return {"error" if result.failed else "result": text}


def _object(text: str) -> dict[str, Raw] | None:
    """Return the members of a text that is a JSON object; None where it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return OBJECT.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
