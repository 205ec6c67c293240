"""From a whole Messages answer to the neutral model."""

import msgspec
from msgspec import Raw

from komeet.canonical.part import Part
from komeet.canonical.response import Candidate, Response
from komeet.core.errors import Garbled, WireError
from komeet.wire.anthropic_messages.answer import USAGE, garbled, members_of, message_extras, text_of
from komeet.wire.anthropic_messages.content import content_parts
from komeet.wire.anthropic_messages.errors import parse_stream_error
from komeet.wire.anthropic_messages.finish import parse_finish
from komeet.wire.anthropic_messages.usage import parse_usage
from komeet.wire.members import NULL


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error.
        Garbled: it is no message.
    """
    message = members_of(body)
    if message.get("error", NULL) != NULL:
        raise parse_stream_error(body)
    if message.get("content", NULL) == NULL:
        raise Garbled("The provider answered with something that is not a message.")
    usage = message.get(USAGE, NULL)
    word = text_of(message.get("stop_reason"))
    candidate = Candidate(
        parts=_parts(message["content"]),
        stop=parse_finish(word) if word else None,
        native_stop=word,
        stop_sequence=text_of(message.get("stop_sequence")) or None,
    )
    return Response(
        id=text_of(message.get("id")),
        model=text_of(message.get("model")),
        candidates=(candidate,),
        usage=None if usage == NULL else parse_usage(usage),
        service_tier=text_of(members_of(usage).get("service_tier")) or None,
        extras=message_extras(message),
    )


def _parts(content: Raw) -> tuple[Part, ...]:
    try:
        return content_parts(content, "content")
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise garbled(str(error)) from error
