"""A Responses answer that was not streamed, as far as it is metered."""

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.members import NULL, OBJECTS
from komeet.wire.openai_responses.answer import error_of, item_parts, members_of, tier_of
from komeet.wire.openai_responses.members import Members
from komeet.wire.openai_responses.searches import Searches
from komeet.wire.openai_responses.usage import parse_usage
from komeet.wire.written import written


class ResponsesWhole(Struct, frozen=True):
    """What `read_whole` found."""

    usage: Usage | None
    model: str
    service_tier: str | None
    output: Raw
    """As it came."""

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        items = Members({"output": self.output}).fitting("output", OBJECTS) or []
        return "".join([text for item in items for text in item_texts(item)])


def read_whole(body: bytes) -> ResponsesWhole | UpstreamError:
    """Read a whole answer; an error that came with a success status, or an answer that failed, is returned.

    Raises:
        Garbled: the bytes are no JSON object, or one with neither output nor an error.
    """
    found = members_of(body)
    if not found:
        error = Garbled("The provider answered with something that is not a JSON object.")
        error.detail = f"it starts with {body[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    failure = error_of(found)
    if failure is not None:
        return failure
    if found.get("output", NULL) == NULL:
        raise Garbled("The provider answered with JSON that is not a response: it has no output.")
    members = Members(found)
    usage = members.raw("usage")
    searches = Searches()
    if b"_search_call" in bytes(found["output"]):
        searches.note_all(Members({"output": found["output"]}).fitting("output", OBJECTS) or [])
    return ResponsesWhole(
        usage=searches.added(None if usage is None else parse_usage(usage)),
        model=members.fitting_text("model"),
        service_tier=tier_of(members),
        output=found["output"],
    )


def item_texts(item: dict[str, Raw]) -> list[str]:
    """Return what the model wrote in an item; the item itself where it cannot be read."""
    try:
        parts = item_parts(item, "output")
    except WireError:
        return [msgspec.json.encode(item).decode("utf-8", "replace")]
    return [text for text in written(parts) if text]
