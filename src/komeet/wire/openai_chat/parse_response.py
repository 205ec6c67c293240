"""From a whole Chat Completions answer to the neutral model."""

from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.extras import Extras
from komeet.canonical.part import Part, Reasoning, Text
from komeet.canonical.response import Candidate, Response
from komeet.core.errors import Garbled, WireError
from komeet.wire.members import INT, OBJECTS, merged
from komeet.wire.openai_chat.chunk import FALSY, members_of
from komeet.wire.openai_chat.content import THINKING, assistant_parts, content_parts
from komeet.wire.openai_chat.errors import parse_stream_error
from komeet.wire.openai_chat.finish import parse_finish
from komeet.wire.openai_chat.members import Members
from komeet.wire.openai_chat.usage import parse_usage


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error.
        Garbled: it is no chat completion.
    """
    members = Members(members_of(body))
    error = members.raw("error")
    if error is not None and bytes(error) not in FALSY:
        raise parse_stream_error(error)
    try:
        choices = members.take("choices", OBJECTS, "an array of objects")
        if choices is None:
            raise Garbled("The provider answered with something that is not a chat completion.")
        members.raw("object")
        usage = members.raw("usage")
        return Response(
            id=members.fitting_text("id"),
            model=members.fitting_text("model"),
            created=members.fitting("created", INT) or 0,
            candidates=tuple([_candidate(Members(choice, f"choices[{i}]"), i) for i, choice in enumerate(choices)]),
            usage=None if usage is None else parse_usage(usage),
            service_tier=members.fitting_text("service_tier") or None,
            extras=filled(members.left()),
        )
    except WireError as error:
        garbled = Garbled("The provider's answer is not what the format says.")
        garbled.detail = error.message
        raise garbled from error


def _candidate(members: Members, position: int) -> Candidate:
    index = members.fitting("index", INT)
    message = members.within("message") or Members({})
    message.raw("role")
    parts = assistant_parts(message, answered_content(message))
    word = members.fitting_text("finish_reason")
    return Candidate(
        index=position if index is None else index,
        parts=tuple([_unsealed(part) for part in parts if part != Text()]),
        stop=parse_finish(word) if word else None,
        native_stop=word,
        extras=filled(merged(members.left(), message.left("message"))),
    )


def _unsealed(part: Part) -> Part:
    """Return thinking without its seal, which only a request needs: a streamed answer has none."""
    match part:
        case Reasoning(field=field) if field == THINKING:
            return replace(part, seal=None)
        case _:
            return part


def answered_content(message: Members) -> tuple[Part, ...]:
    """Take `content` out of an answer. An object, which Cloudflare answers with in JSON mode, is its own text."""
    raw = message.peek("content")
    if raw is not None and bytes(raw).startswith(b"{"):
        message.raw("content")
        return (Text(text=bytes(raw).decode("utf-8", "replace")),)
    return content_parts(message)


def filled(extras: Extras) -> Extras:
    """Return extras without the members that are null: an answer means nothing by them."""
    told: dict[str, dict[str, Raw]] = {}
    for origin, members in extras.items():
        kept = {name: value for name, value in members.items() if bytes(value) != b"null"}
        if kept:
            told[origin] = kept
    return told
