"""From a whole answer of Converse to the neutral model."""

from collections.abc import Iterator

from msgspec import Raw

from komeet.canonical.part import Opaque, Part, Reasoning, Text, ToolCall
from komeet.canonical.response import Candidate, Response
from komeet.core.errors import Garbled
from komeet.wire.bedrock_converse.answer import (
    REDACTED,
    SERVER_CALL,
    SIGNATURE,
    citation,
    extras_of,
    garbled,
    image,
    items_of,
    members_of,
    seal_of,
    server_tool,
    text_of,
    tier_of,
)
from komeet.wire.bedrock_converse.errors import exception_in
from komeet.wire.bedrock_converse.finish import parse_finish
from komeet.wire.bedrock_converse.members import ORIGIN
from komeet.wire.bedrock_converse.usage import parse_usage
from komeet.wire.members import NULL

NO_INPUT = b"{}"


def parse_response(body: bytes) -> Response:
    """Return the answer that `body` is; members without a word in the model are kept as extras.

    Raises:
        UpstreamError: `body` is an error.
        Garbled: it is no answer.
    """
    answer = members_of(body)
    message = members_of(members_of(answer.get("output")).get("message"))
    word = text_of(answer.get("stopReason"))
    if "content" not in message:
        error = exception_in(answer)
        if error is not None:
            raise error
        if not word:
            raise Garbled("The provider answered with something that is not an answer of Converse.")
    usage = answer.get("usage", NULL)
    candidate = Candidate(
        parts=tuple([part for block in items_of(message.get("content")) for part in parse_block(block)]),
        stop=parse_finish(word) if word else None,
        native_stop=word,
    )
    return Response(
        candidates=(candidate,),
        usage=None if usage == NULL else parse_usage(usage),
        service_tier=tier_of(answer),
        extras=extras_of(answer),
    )


def parse_block(raw: Raw) -> Iterator[Part]:
    """Yield what one block is: nothing where it says nothing, Opaque where it is of a kind without a word here."""
    block = members_of(raw)
    told = {name: value for name, value in block.items() if value != NULL}
    if len(told) != 1:
        raise garbled(f"a block of {len(told)} kinds")
    ((kind, value),) = told.items()
    members = members_of(value)
    match kind:
        case "text":
            text = text_of(value)
            if text:
                yield Text(text=text)
        case "reasoningContent":
            yield from _reasoning(members)
        case "toolUse" if text_of(members.get("type")) != SERVER_CALL:
            yield ToolCall(
                id=text_of(members.get("toolUseId")),
                name=text_of(members.get("name")),
                arguments=bytes(members.get("input", NO_INPUT)),
            )
        case "toolUse" | "toolResult":
            yield server_tool(kind, members)
        case "citationsContent":
            cited = tuple([citation(each) for each in items_of(members.get("citations"))])
            text = "".join([text_of(members_of(piece).get("text")) for piece in items_of(members.get("content"))])
            if text or cited:
                yield Text(text=text, citations=cited)
        case _:
            picture = image(text_of(members.get("format")), members_of(members.get("source")))
            yield picture if kind == "image" and picture is not None else Opaque(origin=ORIGIN, value=raw)


def _reasoning(members: dict[str, Raw]) -> Iterator[Part]:
    redacted = text_of(members.get(REDACTED))
    if redacted:
        yield Reasoning(seal=seal_of(REDACTED, redacted))
        return
    shown = members_of(members.get("reasoningText"))
    text, signature = text_of(shown.get("text")), text_of(shown.get(SIGNATURE))
    if text or signature:
        yield Reasoning(text=text, seal=seal_of(SIGNATURE, signature) if signature else None)
