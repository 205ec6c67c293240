"""What is to be judged, as OpenAI says it: one text, several, or parts of one input."""

from typing import Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.part import Image, Inline, Text, Url
from komeet.core.errors import WireError
from komeet.wire.members import ARRAY, NULL, OBJECT, STRING, missing, read, wrong_type

Inputs = tuple[tuple[Text | Image, ...], ...]

_STRINGS: Final[Decoder[list[str]]] = Decoder(list[str])


def parse_inputs(raw: Raw | None) -> Inputs:
    """Return the inputs, at least one; an array of parts is one input.

    Raises:
        WireError: 400, with the path of the mistake.
    """
    if raw is None or raw == NULL:
        raise missing("input")
    match bytes(memoryview(raw)[:1]):
        case b'"':
            return ((Text(text=read(raw, STRING, "input", "a string") or ""),),)
        case b"[":
            return _array(raw, read(raw, ARRAY, "input", "an array") or [])
        case _:
            raise wrong_type("input", "a string or an array", raw)


def input_text(inputs: Inputs) -> str:
    """Return the texts, for counting tokens."""
    return "\n".join([part.text for parts in inputs for part in parts if isinstance(part, Text)])


def told_input(inputs: Inputs) -> list[object]:
    """Return the inputs for OpenAI."""
    if all(len(parts) == 1 and isinstance(parts[0], Text) for parts in inputs):
        return [part.text for parts in inputs for part in parts if isinstance(part, Text)]
    return [_told(part) for parts in inputs for part in parts]


def _array(raw: Raw, items: list[Raw]) -> Inputs:
    if not items:
        raise WireError("Invalid 'input': empty array. There is nothing to judge.", param="input", code="empty_array")
    if bytes(memoryview(items[0])[:1]) != b'"':
        return (tuple([_part(item, f"input[{place}]") for place, item in enumerate(items)]),)
    try:
        return tuple([(Text(text=text),) for text in _STRINGS.decode(raw)])
    except msgspec.DecodeError:
        place = next(place for place, item in enumerate(items) if bytes(memoryview(item)[:1]) != b'"')
        raise wrong_type(f"input[{place}]", "a string", items[place]) from None


def _part(raw: Raw, path: str) -> Text | Image:
    members = read(raw, OBJECT, path, "an object") or {}
    kind = read(members.get("type"), STRING, f"{path}.type", "a string")
    match kind:
        case "text":
            return Text(text=_needed(members, "text", path))
        case "image_url":
            image = read(members.get("image_url"), OBJECT, f"{path}.image_url", "an object")
            if image is None:
                raise missing(f"{path}.image_url")
            return Image(source=_source(_needed(image, "url", f"{path}.image_url")))
        case None:
            raise missing(f"{path}.type")
        case _:
            raise WireError(
                f"Invalid value for '{path}.type'. Supported values are: 'text' and 'image_url'.",
                param=f"{path}.type",
                code="invalid_value",
            )


def _needed(members: dict[str, Raw], name: str, path: str) -> str:
    value = read(members.get(name), STRING, f"{path}.{name}", "a string")
    if value is None:
        raise missing(f"{path}.{name}")
    return value


def _source(url: str) -> Inline | Url:
    head, mark, data = url.partition(";base64,")
    return Inline(head.removeprefix("data:"), data) if mark and head.startswith("data:") else Url(url)


def _told(part: Text | Image) -> dict[str, object]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(source=Inline(media_type=kind, data=data)):
            return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
        case Image(source=source):
            return {"type": "image_url", "image_url": {"url": source.url if isinstance(source, Url) else ""}}
