"""Bounded JSON: only the top level of an object is decoded, and what two readers could read differently is refused.

RFC 8259 leaves open what a reader makes of duplicate names, and readers differ; a provider that took the first of two
`model` members would run a model that was not priced. So they are refused, whatever escapes hide them.
"""

from itertools import accumulate
from typing import NoReturn

import msgspec
from msgspec import Raw

from komeet.core.errors import WireError

MAX_DEPTH = 128
"""Levels of nesting, the top-level object being the first."""
MAX_FIELDS = 4096
"""Members of a large top-level object; a body of no more than 64 KiB is bounded by its size."""
MAX_CONTAINERS = 1_000_000
"""Objects and arrays in a body: what a typed decoder may have to make of it."""

_SMALL = 65_536
_LARGE = 4 << 20
_WINDOW = 1 << 20
_BOM = b"\xef\xbb\xbf"

_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS = bytes.maketrans(b"()", b"\x01\xff")

_object = msgspec.json.Decoder(dict[str, Raw])
_objects = msgspec.json.Decoder(list[dict[str, Raw]])
_encoder = msgspec.json.Encoder()


class _Name:
    """A member's name that is equal to no other, so that a dict keeps every member."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def parse_object(body: bytes) -> dict[str, Raw]:
    """Return the members of the one JSON object that `body` is, in their order, each as its bytes.

    All of the body is checked, not only the top level: RFC 8259 grammar, UTF-8, escapes, depth.

    Raises:
        WireError: 400; `code` is one of `empty_body`, `invalid_json`, `invalid_utf8`, `nested_too_deeply`,
            `too_many_fields`, `too_many_values`, `duplicate_field` (with the name as `param`).
    """
    if not body:
        raise WireError("The body is empty; send a JSON object.", code="empty_body")
    if not body.isascii():
        _check_utf8(body)
    try:
        fields = _object.decode(body) if len(body) <= _SMALL else _unique(body, MAX_FIELDS)
    except msgspec.DecodeError as error:
        _refuse(body, error)
    except RecursionError:
        raise _too_deep() from None
    if len(body) > _SMALL or _opens(body) > MAX_DEPTH:
        _check_structure(body, fields)
    if len(body) <= _SMALL and _encoder.encode(fields) != body:
        _unique(body, _SMALL)
    return fields


def encode_object(fields: dict[str, Raw]) -> bytes:
    """Return `fields` as one JSON object: their order, and the bytes of each value, are kept."""
    return _encoder.encode(fields)


def renamed(fields: dict[str, Raw], model: str) -> bytes:
    """Return `fields` as one JSON object, with another model."""
    return encode_object(fields | {"model": Raw(_encoder.encode(model))})


def _unique(body: bytes, most: int) -> dict[str, Raw]:
    """Decode the top level of `body`, checking that no name appears twice; at most `most` of them."""
    names = 0

    def name(_: type, text: str) -> _Name:
        nonlocal names
        names += 1
        if names > most:
            raise WireError(f"The body has more than {most} top-level fields.", code="too_many_fields")
        return _Name(text)

    members = msgspec.json.decode(body, type=dict[_Name, Raw], dec_hook=name)
    fields: dict[str, Raw] = {}
    for key, value in members.items():
        if key.text in fields:
            raise WireError(
                f"The field {key.text!r} appears more than once; send it once.", param=key.text, code="duplicate_field"
            )
        fields[key.text] = value
    return fields


def _check_utf8(body: bytes) -> None:
    if body.startswith(_BOM):
        raise WireError(
            "The body is not valid JSON: it starts with a byte order mark; send UTF-8 without one.", code="invalid_json"
        )
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"The body is not valid UTF-8 (byte {error.start}).", code="invalid_utf8") from None


def _refuse(body: bytes, error: msgspec.DecodeError) -> NoReturn:
    """Say in the caller's words why `body` is no JSON object."""
    reason = str(error)
    if isinstance(error, msgspec.ValidationError):
        raise WireError("The body is JSON, but not an object; send a JSON object.", code="invalid_json") from None
    if reason == "Input data was truncated":
        if not body.strip():
            raise WireError("The body is empty; send a JSON object.", code="empty_body") from None
        reason = "it ends, or a pair of surrogate escapes does, before it is complete"
    reason = reason.removeprefix("JSON is malformed: ")
    raise WireError(f"The body is not valid JSON: {reason}.", code="invalid_json") from None


def _too_deep() -> WireError:
    return WireError(f"The body is nested more than {MAX_DEPTH} levels deep.", code="nested_too_deeply")


def _opens(text: bytes) -> int:
    """Count the opening brackets, those in strings too: no fewer than the levels of nesting."""
    return text.count(b"[") + text.count(b"{")


def _check_structure(body: bytes, fields: dict[str, Raw]) -> None:
    if len(body) > 2 * MAX_CONTAINERS and _opens(body) > MAX_CONTAINERS and len(_structure(body)) > 2 * MAX_CONTAINERS:
        raise WireError(f"The body has more than {MAX_CONTAINERS} objects and arrays.", code="too_many_values")
    if any(_field_deeper(bytes(value), MAX_DEPTH - 1) for value in fields.values()):
        raise _too_deep()


def _field_deeper(text: bytes, room: int) -> bool:
    """Whether a field is nested more than `room` levels deep. The texts of messages are passed over, not searched."""
    if text.startswith(b"[") and _SMALL < len(text) <= _LARGE:
        try:
            rows = _objects.decode(text)
        except msgspec.ValidationError:
            pass
        else:
            return any(_deeper(bytes(value), room - 2) for row in rows for value in row.values())
    return _deeper(text, room)


def _deeper(text: bytes, room: int) -> bool:
    return text.startswith((b"[", b"{")) and _opens(text) > room and _depth(text) > room


def _structure(text: bytes) -> bytes:
    """Return the brackets of valid JSON, all of them round, in a few passes at the speed of C."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Only quotes and brackets are left; where two quotes meet, a string is empty, or two strings can be read as one.
    structure = text.translate(_BRACKETS, _NOT_STRUCTURE).replace(b'""', b"")
    return _outside_strings(structure) if b'"' in structure else structure


def _depth(text: bytes) -> int:
    """Return how deep valid JSON is nested."""
    structure = _structure(text)
    depth = 0
    while structure:
        before = len(structure)
        structure = structure.replace(b"()", b"")  # what is innermost, everywhere at once
        depth += 1
        if before - len(structure) < before // 8:  # few leaves: walking is cheaper than peeling
            break
    if structure:
        depth += max(accumulate(memoryview(structure.translate(_STEPS)).cast("b")))
    return depth


def _outside_strings(structure: bytes) -> bytes:
    """Drop what stands between quotes; by windows, since every piece is an object of its own."""
    outside: list[bytes] = []
    inside = 0
    for start in range(0, len(structure), _WINDOW):
        pieces = structure[start : start + _WINDOW].split(b'"')
        outside.append(b"".join(pieces[inside::2]))
        inside ^= (len(pieces) - 1) & 1
    return b"".join(outside)
