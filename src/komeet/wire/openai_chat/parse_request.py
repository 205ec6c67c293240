"""From a Chat Completions request to the neutral model."""

from typing import Final

from msgspec import Raw
from msgspec.json import Decoder
from msgspec.structs import replace

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque, Part, ToolResult
from komeet.canonical.request import JsonOutput, Request, Sampling
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.members import BOOL, INT, NULL, NUMBER, OBJECTS, STRING, STRINGS, merged
from komeet.wire.openai_chat.cache import take_mark
from komeet.wire.openai_chat.content import assistant_parts, content_parts
from komeet.wire.openai_chat.envelope import LIMITS, parse_envelope
from komeet.wire.openai_chat.members import ORIGIN, Members, dialect
from komeet.wire.openai_chat.parse_tools import parse_tool, parse_tool_choice, take_web_search
from komeet.wire.openai_chat.sealed import take_sealed

_READ_BY_ENVELOPE: Final = (*LIMITS, "model", "stream", "n", "reasoning_effort", "service_tier")
_metadata: Decoder[dict[str, str] | None] = Decoder(dict[str, str] | None)


def parse_request(source: bytes | Envelope) -> Request:
    """Return the request that a body, or an envelope that was read from it, makes.

    Members that the model has no word for are kept as extras, parts and tools of an unknown type as Opaque.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    envelope = parse_envelope(source) if isinstance(source, bytes) else source
    fields = envelope.fields
    members = Members(fields)
    for name in _READ_BY_ENVELOPE:
        members.raw(name)
    options = members.within("stream_options") or Members({})
    turns = members.take("messages", OBJECTS, "an array of objects") or []
    tools = members.take("tools", OBJECTS, "an array of objects") or []
    sampling = _sampling(members)
    return Request(
        model=envelope.model,
        turns=tuple([_turn(Members(turn, f"messages[{i}]")) for i, turn in enumerate(turns)]),
        tools=(*[parse_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)], *take_web_search(members)),
        tool_choice=parse_tool_choice(members.raw("tool_choice")),
        parallel_tool_calls=members.take("parallel_tool_calls", BOOL, "a boolean"),
        sampling=sampling,
        output_limit=envelope.output_limit,
        stop=_stop(members),
        candidates=envelope.candidates if fields.get("n", NULL) != NULL else None,
        stream=envelope.stream if fields.get("stream", NULL) != NULL else None,
        include_usage=options.take("include_usage", BOOL, "a boolean"),
        effort=envelope.effort,
        verbosity=members.text("verbosity"),
        output=_output(members.raw("response_format")),
        service_tier=envelope.service_tier,
        user=members.fitting("user", STRING),
        prompt_cache_key=members.fitting("prompt_cache_key", STRING),
        cache=take_mark(members),
        metadata=members.fitting("metadata", _metadata) or {},
        extras=_extras(members, options, sampling),
    )


def _sampling(members: Members) -> Sampling:
    return Sampling(
        temperature=members.take("temperature", NUMBER, "a number"),
        top_p=members.take("top_p", NUMBER, "a number"),
        presence_penalty=members.take("presence_penalty", NUMBER, "a number"),
        frequency_penalty=members.take("frequency_penalty", NUMBER, "a number"),
        seed=members.take("seed", INT, "an integer"),
        logprobs=members.take("logprobs", BOOL, "a boolean"),
        top_logprobs=members.take("top_logprobs", INT, "an integer"),
        top_k=members.fitting("top_k", INT),
    )


def _extras(members: Members, options: Members, sampling: Sampling) -> Extras:
    left = members.left()
    if sampling.top_k is not None:
        left = {ORIGIN: {**left.get(ORIGIN, {}), **dialect("top_k")[ORIGIN]}}
    return merged(left, options.left("stream_options"))


def _stop(members: Members) -> tuple[str, ...]:
    one = members.fitting("stop", STRING)
    if one is not None:
        return (one,)
    return tuple(members.take("stop", STRINGS, "a string or an array of strings") or ())


def _turn(members: Members) -> Turn:
    named = members.need("role")
    try:
        role = Role.TOOL if named == "function" else Role(named)
    except ValueError:
        raise WireError(
            f"Invalid value: '{named}'. Roles are: {', '.join(Role)}.",
            param=members.path("role"),
            code="invalid_value",
        ) from None
    name = members.text("name")
    parts = content_parts(members)
    if role is Role.TOOL:
        call_id = "" if named == "function" else members.need("tool_call_id")
        parts, name = (ToolResult(call_id=call_id, parts=parts, name=name or ""),), None
    elif role is Role.ASSISTANT:
        parts = (*take_sealed(members), *assistant_parts(members, parts))
    return Turn(role=role, parts=_marked(parts, members), name=name, extras=members.left())


def _marked(parts: tuple[Part, ...], members: Members) -> tuple[Part, ...]:
    """Put a mark that stands in the message on the last of its parts."""
    if not parts or isinstance(last := parts[-1], Opaque) or last.cache is not None:
        return parts
    mark = take_mark(members, "message")
    return parts if mark is None else (*parts[:-1], replace(last, cache=mark))


def _output(raw: Raw | None) -> JsonOutput | Opaque | None:
    if raw is None:
        return None
    members = Members({"response_format": raw}).inside("response_format")
    match members.text("type"):
        case "json_object":
            return JsonOutput(extras=members.left())
        case "json_schema":
            inside = members.inside("json_schema")
            schema = inside.raw("schema")
            return JsonOutput(
                schema=None if schema is None else bytes(schema),
                name=inside.need("name"),
                description=inside.text("description"),
                strict=inside.take("strict", BOOL, "a boolean"),
                extras=merged(members.left(), inside.left("json_schema")),
            )
        case _:
            return Opaque(origin=ORIGIN, value=raw)
