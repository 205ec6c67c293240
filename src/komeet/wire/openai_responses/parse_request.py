"""From a Responses request to the neutral model. Every item is a turn of its own."""

from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque, Text
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.members import BOOL, INT, NULL, NUMBER, OBJECTS, STRING, STRINGS, merged, read
from komeet.wire.openai_responses.content import content_parts
from komeet.wire.openai_responses.envelope import parse_envelope, unkept
from komeet.wire.openai_responses.items import item_part
from komeet.wire.openai_responses.members import ENCRYPTED, INCLUDE, LOGPROBS, MESSAGE, ORIGIN, REASONING, Members
from komeet.wire.openai_responses.tools_in import tool, tool_choice

_READ_BY_ENVELOPE: Final = ("max_output_tokens", "model", "stream", "service_tier")
_ROLES: Final = (Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER)
_SAYS_NOTHING: Final = {
    "store": Raw(b"false"),
    "background": Raw(b"false"),
    "truncation": Raw(b'"disabled"'),
}
"""Members at the value that every call of this gateway has."""
_TRUE: Final = Raw(b"true")
_metadata: Decoder[dict[str, str] | None] = Decoder(dict[str, str] | None)


def parse_request(source: bytes | Envelope) -> Request:
    """Return the request that a body, or an envelope that was read from it, makes.

    Members that the model has no word for are kept as extras, items, parts and tools of an unknown type as Opaque.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    envelope = parse_envelope(source) if isinstance(source, bytes) else source
    fields = envelope.fields
    members = Members(fields)
    for name in _READ_BY_ENVELOPE:
        members.raw(name)
    for name, value in _SAYS_NOTHING.items():
        if members.peek(name) == value:
            members.raw(name)
    turns = (*_instructions(members.raw("instructions")), *_input(members.raw("input")))
    tools = members.take("tools", OBJECTS, "an array of objects") or []
    text = members.within("text") or Members({})
    included = members.take("include", STRINGS, "an array of strings") or []
    sampling = Sampling(
        temperature=members.take("temperature", NUMBER, "a number"),
        top_p=members.take("top_p", NUMBER, "a number"),
        logprobs=True if LOGPROBS in included else None,
        top_logprobs=members.take("top_logprobs", INT, "an integer"),
    )
    return Request(
        model=envelope.model,
        turns=turns,
        tools=tuple([tool(Members(each, f"tools[{i}]"), each) for i, each in enumerate(tools)]),
        tool_choice=tool_choice(members.raw("tool_choice")),
        parallel_tool_calls=members.take("parallel_tool_calls", BOOL, "a boolean"),
        sampling=sampling,
        output_limit=envelope.output_limit,
        stream=envelope.stream if fields.get("stream", NULL) != NULL else None,
        effort=envelope.effort,
        thinking=_thinking(members.within("reasoning")),
        verbosity=text.text("verbosity"),
        output=_output(text.raw("format")),
        service_tier=envelope.service_tier,
        user=members.text("user"),
        prompt_cache_key=members.text("prompt_cache_key"),
        metadata=members.fitting("metadata", _metadata) or {},
        extras=merged(members.left(), text.left("text"), _included(included)),
    )


def _included(names: list[str]) -> Extras:
    wanted = {name: NULL if name == ENCRYPTED else _TRUE for name in names if name != LOGPROBS}
    return {INCLUDE: wanted} if wanted else {}


def _instructions(raw: Raw | None) -> tuple[Turn, ...]:
    if raw is None:
        return ()
    text = read(raw, STRING, "instructions", "a string") or ""
    return (Turn(role=Role.SYSTEM, parts=(Text(text=text),), preamble=True),)


def _input(raw: Raw | None) -> tuple[Turn, ...]:
    if raw is None:
        return ()
    if bytes(raw).startswith(b'"'):
        return (Turn(role=Role.USER, parts=(Text(text=read(raw, STRING, "input", "a string") or ""),)),)
    items = read(raw, OBJECTS, "input", "an array of objects") or []
    return tuple([_turn(Members(item, f"input[{i}]"), item) for i, item in enumerate(items)])


def _turn(members: Members, item: dict[str, Raw]) -> Turn:
    kind = members.text("type")
    match kind:
        case "message" | None:
            return _message(members, typed=kind is not None)
        case "item_reference":
            raise unkept(members.path("type").removesuffix(".type"), "an item reference")
        case "function_call_output" | "custom_tool_call_output":
            role = Role.TOOL
        case _ if kind.endswith(("_output", "_response", "_trigger", "_update")) or kind == "additional_tools":
            role = Role.USER
        case _:
            role = Role.ASSISTANT
    return Turn(role=role, parts=(item_part(kind, members, item),))


def _message(members: Members, *, typed: bool) -> Turn:
    named = members.need("role")
    role = next((role for role in _ROLES if role.value == named), None)
    if role is None:
        raise WireError(
            f"Invalid value: '{named}'. Supported values are: {', '.join(_ROLES)}.",
            param=members.path("role"),
            code="invalid_value",
        )
    parts = content_parts(members.raw("content"), members.path("content"))
    kind = {"type": Raw(b'"message"')} if typed else {}
    extras = {**kind, **members.left().get(ORIGIN, {})}
    return Turn(role=role, parts=parts, extras={MESSAGE: extras} if extras else {})


def _thinking(members: Members | None) -> Thinking | None:
    if members is None:
        return None
    members.raw("effort")
    summary = members.text("summary")
    extras = members.left().get(ORIGIN, {})
    return Thinking(summary=summary, extras={REASONING: extras} if extras else {}) if summary or extras else None


def _output(raw: Raw | None) -> JsonOutput | Opaque | None:
    if raw is None:
        return None
    members = Members({"format": raw}, "text").inside("format")
    match members.text("type"):
        case "text":
            return None
        case "json_object":
            return JsonOutput(extras=members.left("format"))
        case "json_schema":
            schema = members.raw("schema")
            return JsonOutput(
                schema=None if schema is None else bytes(schema),
                name=members.need("name"),
                description=members.text("description"),
                strict=members.take("strict", BOOL, "a boolean"),
                extras=members.left("format"),
            )
        case _:
            return Opaque(origin=ORIGIN, value=raw)
