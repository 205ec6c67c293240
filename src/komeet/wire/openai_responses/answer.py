"""What the parts of an answer are made from, whether it came whole or as a stream."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque, Part, Refusal, Text
from komeet.core.errors import UpstreamError
from komeet.wire.json import encode_object
from komeet.wire.members import NULL, OBJECT, OBJECTS, merged
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.openai_responses.content import content_parts
from komeet.wire.openai_responses.items import item_part
from komeet.wire.openai_responses.members import MESSAGE, ORIGIN, Members

FALSY: Final = frozenset({b"null", b"false", b'""', b"0", b"{}", b"[]"})
"""JSON values that the client libraries take for no error."""
TAKEN: Final = (
    "object",
    "status",
    "incomplete_details",
    "output",
    "usage",
    "id",
    "model",
    "created_at",
)
"""Members of a response that the model has words for."""
_AUTO: Final = Raw(b'"auto"')
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_members: Final[Decoder[dict[str, Raw]]] = Decoder(dict[str, Raw])


def members_of(data: bytes | Raw | None) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else."""
    try:
        return {} if data is None else _members.decode(data)
    except _UNREADABLE:
        return {}


def item_parts(item: dict[str, Raw], path: str) -> tuple[Part, ...]:
    """Return the parts of an item of the output.

    Raises:
        WireError: it is not what the format says.
    """
    members = Members(item, path)
    kind = members.need("type")
    if kind != "message":
        return (unnulled(item_part(kind, members, item)),)
    parts = content_parts(members.raw("content"), members.path("content"))
    if not parts:
        return (Opaque(origin=ORIGIN, value=Raw(encode_object(item))),)
    members.raw("role")
    extras = without_nulls(members.left().get(ORIGIN, {}))
    last = len(parts) - 1
    return tuple(
        [
            of_message(unnulled(part), extras if index == last else {"id": extras.get("id", NULL)})
            for index, part in enumerate(parts)
        ]
    )


def of_message(part: Part, members: Mapping[str, Raw]) -> Part:
    """Return a piece of a message with the members of the message."""
    told = {name: value for name, value in members.items() if value != NULL}
    if isinstance(part, Text | Refusal) and told:
        return msgspec.structs.replace(part, extras=merged(part.extras, {MESSAGE: told}))
    return part


def unnulled(part: Part) -> Part:
    """Return a part without extras that are null: an answer means nothing by them."""
    if isinstance(part, Opaque) or not part.extras:
        return part
    return msgspec.structs.replace(part, extras=filled(part.extras))


def filled(extras: Extras) -> Extras:
    """Return extras without the members that are null."""
    return {origin: told for origin, members in extras.items() if (told := without_nulls(members))}


def without_nulls(members: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return the members that are not null."""
    return {name: value for name, value in members.items() if value != NULL}


def output_items(members: Members) -> list[dict[str, Raw]]:
    """Take the items out of a response; none where there are none.

    Raises:
        WireError: it is not an array of objects.
    """
    return members.take("output", OBJECTS, "an array of objects") or []


def created_of(members: Members) -> int:
    """Take out when the response was created, in Unix seconds; there are providers that say fractions."""
    value = members.fitting("created_at", _number)
    return 0 if value is None or not 0 <= value < 1 << 53 else int(value)


_number: Final[Decoder[float | None]] = Decoder(float | None)


def tier_of(members: Members) -> str | None:
    """Take the service tier out; `auto` is a wish, not a tier, and left where it is."""
    return None if members.peek("service_tier") == _AUTO else members.fitting_text("service_tier") or None


def error_of(members: Mapping[str, Raw]) -> UpstreamError | None:
    """Return the error that a response, or the event that carries one, tells."""
    error = members.get("error", NULL)
    if bytes(error) not in FALSY:
        return parse_stream_error(error)
    if members.get("status") in (Raw(b'"failed"'), Raw(b'"cancelled"')):
        return parse_stream_error(b'"the provider could not answer"')
    return None


def reason_of(members: Members) -> str:
    """Take out why a response is incomplete."""
    return Members(members.fitting("incomplete_details", OBJECT) or {}).fitting_text("reason")
