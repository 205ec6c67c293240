"""From a whole Responses answer to the neutral model."""

from komeet.canonical.extras import Extras
from komeet.canonical.response import Candidate, Response
from komeet.core.errors import Garbled, WireError
from komeet.wire.openai_responses.answer import (
    TAKEN,
    created_of,
    error_of,
    filled,
    item_parts,
    members_of,
    output_items,
    reason_of,
    tier_of,
)
from komeet.wire.openai_responses.finish import COMPLETED, parse_finish
from komeet.wire.openai_responses.members import OWN, Members
from komeet.wire.openai_responses.searches import Searches
from komeet.wire.openai_responses.usage import parse_usage


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error, or an answer that failed.
        Garbled: it is no response.
    """
    found = members_of(body)
    error = error_of(found)
    if error is not None:
        raise error
    if "output" not in found:
        raise Garbled("The provider answered with something that is not a response.")
    members = Members(found)
    try:
        items = output_items(members)
        parts = tuple([part for i, item in enumerate(items) for part in item_parts(item, f"output[{i}]")])
    except WireError as cause:
        raise garbled(cause.message) from cause
    searches = Searches()
    searches.note_all(items)
    usage = members.raw("usage")
    status = members.fitting_text("status") or COMPLETED
    stop, native = parse_finish(status, reason_of(members), parts)
    return Response(
        id=members.fitting_text("id"),
        model=members.fitting_text("model"),
        created=created_of(members),
        candidates=(Candidate(parts=parts, stop=stop, native_stop=native),),
        usage=searches.added(None if usage is None else parse_usage(usage)),
        service_tier=tier_of(members),
        extras={OWN: {}, **filled(without_taken(members))},
    )


def without_taken(members: Members) -> Extras:
    """Return what is left over."""
    for name in TAKEN:
        members.raw(name)
    return members.left()


def garbled(detail: str) -> Garbled:
    """Return the error for an answer that is not what the format says."""
    error = Garbled("The provider's answer is not what the format says.")
    error.detail = detail
    return error
