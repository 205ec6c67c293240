"""From a Messages request to the neutral model."""

from typing import Final

from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.anthropic_messages.cache import take_mark
from komeet.wire.anthropic_messages.content import content_parts, only_results
from komeet.wire.anthropic_messages.members import ORIGIN, Members, signed
from komeet.wire.anthropic_messages.tools_in import parse_tool, parse_tool_choice
from komeet.wire.format import Envelope
from komeet.wire.members import ARRAY, INT, NULL, NUMBER, OBJECTS, STRING, STRINGS, merged

BETWEEN: Final = "between"
"""The sign of instructions that stand between messages, where the caller put them."""
OWN: Final = "own"
"""The sign of thinking and effort in this format's words, which are sent as they were written."""

_READ_BY_ENVELOPE: Final = ("model", "stream", "max_tokens")
_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}


def parse_request(envelope: Envelope) -> Request:
    """Return the request that an envelope makes.

    Members that the model has no word for are kept as extras, blocks of an unknown type as Opaque.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    fields = envelope.fields
    members = Members(fields)
    for name in _READ_BY_ENVELOPE:
        members.raw(name)
    messages = members.take("messages", OBJECTS, "a valid list") or []
    tools = members.take("tools", ARRAY, "a valid list") or []
    choice, parallel = parse_tool_choice(members.raw("tool_choice"))
    config = members.within("output_config") or Members({})
    effort = config.text("effort")
    output = _output(config.raw("format"))
    about = members.within("metadata") or Members({})
    tier = members.peek("service_tier")
    return Request(
        model=envelope.model,
        turns=(*_preamble(members), *[_turn(Members(each, f"messages.{i}")) for i, each in enumerate(messages)]),
        tools=tuple([parse_tool(tool, f"tools.{i}") for i, tool in enumerate(tools)]),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        sampling=_sampling(members),
        output_limit=envelope.output_limit,
        stop=tuple(members.take("stop_sequences", STRINGS, "a valid list") or ()),
        stream=envelope.stream if fields.get("stream", NULL) != NULL else None,
        include_usage=True,
        effort=effort,
        thinking=_thinking(members.within("thinking"), effort),
        output=output,
        service_tier=members.fitting("service_tier", STRING) if tier == Raw(b'"auto"') else None,
        user=about.fitting("user_id", STRING),
        cache=take_mark(members),
        extras=merged(members.left(), config.left("output_config"), about.left("metadata")),
    )


def _preamble(members: Members) -> tuple[Turn, ...]:
    parts = content_parts(members.raw("system"), "system")
    return (Turn(role=Role.SYSTEM, parts=parts, preamble=True),) if parts else ()


def _turn(members: Members) -> Turn:
    named = members.need("role")
    role = _ROLES.get(named)
    if role is None:
        raise WireError(
            f'{members.path("role")}: Unexpected role "{named}". Allowed roles are "user", "assistant" and "system".',
            param=members.path("role"),
            code="invalid_value",
        )
    parts = content_parts(members.raw("content"), members.path("content"))
    if role is Role.USER and only_results(parts):
        role = Role.TOOL
    sign: Extras = signed(BETWEEN) if role is Role.SYSTEM else {}
    return Turn(role=role, parts=parts, extras=merged(members.left(), sign))


def _sampling(members: Members) -> Sampling:
    return Sampling(
        temperature=members.take("temperature", NUMBER, "a valid number"),
        top_p=members.take("top_p", NUMBER, "a valid number"),
        top_k=members.take("top_k", INT, "a valid integer"),
    )


def _thinking(members: Members | None, effort: str | None) -> Thinking | None:
    sign = signed(OWN)
    if members is None:
        return None if effort is None else Thinking(extras=sign)
    all_members = members.left()
    kind = members.need("type")
    shown = members.fitting_text("display")
    summary = {"": None, "omitted": "omitted"}.get(shown, "auto")
    match kind:
        case "adaptive":
            return Thinking(mode="adaptive", summary=summary, extras=merged(members.left(), sign))
        case "enabled":
            budget = members.take("budget_tokens", INT, "a valid integer")
            return Thinking(mode="budget", budget=budget, summary=summary, extras=merged(members.left(), sign))
        case "disabled":
            return Thinking(mode="disabled", extras=merged(members.left(), sign))
        case _:
            return Thinking(extras=merged(all_members, sign))


def _output(raw: Raw | None) -> JsonOutput | Opaque | None:
    if raw is None:
        return None
    members = Members({"format": raw}, "output_config").inside("format")
    schema = members.raw("schema")
    if members.text("type") != "json_schema" or schema is None:
        return Opaque(origin=ORIGIN, value=raw)
    return JsonOutput(schema=bytes(schema), extras=members.left())
