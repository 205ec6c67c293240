"""From a whole Cohere answer to the neutral model."""

from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.part import Citation, Opaque, Part, Reasoning, Text, ToolCall
from komeet.canonical.response import Candidate, Response
from komeet.core.errors import WireError
from komeet.wire.cohere_chat.citations import parse_citation
from komeet.wire.cohere_chat.finish import failure, parse_finish
from komeet.wire.cohere_chat.members import ORIGIN, Members, filled, garbled, read_object
from komeet.wire.cohere_chat.usage import parse_usage
from komeet.wire.json import encode_object
from komeet.wire.members import OBJECTS, STRING, merged
from komeet.wire.openai_errors import parse_stream_error

TOOL_PLAN = "tool_plan"
"""What a model says that it will do, before it calls tools."""


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error.
        Garbled: it is no answer.
    """
    members = read_object(body)
    if members.fitting("message", STRING) is not None:
        raise parse_stream_error(body)
    try:
        message = members.within("message")
        if message is None:
            raise garbled("it has no message")
        usage = members.raw("usage")
        word = members.fitting_text("finish_reason")
        if (error := failure(word, members.fitting_text("error"))) is not None:
            raise error
        message.raw("role")
        candidate = Candidate(
            parts=answered_parts(message),
            stop=parse_finish(word) if word else None,
            native_stop=word,
            extras=filled(message.left("message")),
        )
        return Response(
            id=members.fitting_text("id"),
            candidates=(candidate,),
            usage=None if usage is None else parse_usage(usage),
            extras=filled(members.left()),
        )
    except WireError as error:
        raise garbled(error.message) from error


def answered_parts(message: Members) -> tuple[Part, ...]:
    """Take the parts out of a message: the plan, the content with its citations, the calls."""
    plan = message.text(TOOL_PLAN)
    content = [_block(block) for block in _blocks(message)]
    for found in message.take("citations", OBJECTS, "an array of objects") or []:
        at, citation = parse_citation(found)
        _cite(content, at, citation)
    calls = message.take("tool_calls", OBJECTS, "an array of objects") or []
    return (
        *([Reasoning(text=plan, field=TOOL_PLAN)] if plan else []),
        *[part for part in content if part not in (Text(), Reasoning())],
        *[tool_call(Members(call)) for call in calls],
    )


def tool_call(members: Members) -> ToolCall:
    """Return the call that an object says."""
    inside = members.within("function") or Members({})
    members.raw("type")
    return ToolCall(
        id=members.text("id") or "",
        name=inside.text("name") or "",
        arguments=(inside.text("arguments") or "").encode(),
        extras=filled(merged(members.left(), inside.left("function"))),
    )


def _blocks(message: Members) -> list[dict[str, Raw]]:
    raw = message.peek("content")
    if raw is not None and bytes(raw).startswith(b'"'):
        text = message.raw("content")
        return [] if text is None else [{"type": Raw(b'"text"'), "text": text}]
    return message.take("content", OBJECTS, "an array of objects") or []


def _block(block: dict[str, Raw]) -> Part:
    members = Members(block)
    match members.text("type"):
        case "text":
            text = members.text("text") or ""
            return Text(text=text, extras=filled(members.left()))
        case "thinking":
            text = members.text("thinking") or ""
            return Reasoning(text=text, extras=filled(members.left()))
        case _:
            return Opaque(origin=ORIGIN, value=Raw(encode_object(block)))


def _cite(content: list[Part], at: int | None, citation: Citation) -> None:
    """Put a citation to the text that it is in, else to the first one."""
    texts = [i for i, part in enumerate(content) if isinstance(part, Text)]
    where = at if at in texts else next(iter(texts), None)
    if where is not None and isinstance(text := content[where], Text):
        content[where] = replace(text, citations=(*text.citations, citation))
