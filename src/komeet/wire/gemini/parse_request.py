"""From a Gemini request to the neutral model."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import Part, ToolCall, ToolResult
from komeet.canonical.request import Request
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.gemini.config_in import CONFIG, parse_config
from komeet.wire.gemini.members import Members, object_of, place
from komeet.wire.gemini.parts_in import parse_parts
from komeet.wire.gemini.thoughts_in import sealed_thoughts
from komeet.wire.gemini.tools_in import parse_choice, parse_tools
from komeet.wire.members import ARRAY, NULL, OBJECT, STRING, merged

ROLE: Final = "role"
"""Where instructions keep a role that they were written with: as the name of a sign."""

_READ_ELSEWHERE: Final = ("model",)
"""The path says it."""
_ROLES: Final = {"user": Role.USER, "model": Role.ASSISTANT, "function": Role.USER, "tool": Role.USER}


def parse_request(envelope: Envelope) -> Request:
    """Return the request that an envelope makes.

    Members that the model has no word for are kept as extras, parts of an unknown kind as Opaque.

    Raises:
        WireError: 400, with the path of what is missing or of the wrong type.
    """
    members = Members(envelope.fields)
    for name in _READ_ELSEWHERE:
        members.raw(name)
    preamble = _preamble(members)
    turns = _turns(members.raw("contents"))
    tools = parse_tools(members.raw("tools"))
    choice, choice_extras = parse_choice(members.within("toolConfig") or Members({}))
    config = parse_config(members.within(CONFIG) or Members({}, CONFIG))
    members.fitting("serviceTier", STRING)
    return Request(
        model=envelope.model,
        turns=(*preamble, *sealed_thoughts(_with_ids(turns))),
        tools=tools,
        tool_choice=choice,
        sampling=config.sampling,
        output_limit=envelope.output_limit,
        stop=config.stop,
        candidates=envelope.candidates if envelope.candidates > 1 else None,
        stream=envelope.stream or None,
        include_usage=True,
        effort=config.effort,
        thinking=config.thinking,
        output=config.output,
        service_tier=envelope.service_tier,
        extras=merged(members.left(), choice_extras, config.extras),
    )


def _preamble(members: Members) -> tuple[Turn, ...]:
    raw = members.raw("systemInstruction")
    if raw is None:
        return ()
    path = "systemInstruction"
    if bytes(raw).startswith(b'"'):
        raw = Raw(b'{"parts":[{"text":%b}]}' % bytes(raw))
    inside = object_of(raw, path)
    role = inside.fitting_text("role")
    parts = parse_parts(inside.raw("parts"), f"{path}.parts")
    sign: Extras = {place(ROLE): {role: NULL}} if role else {}
    return (Turn(role=Role.SYSTEM, parts=parts, preamble=True, extras=merged(inside.left(), sign)),) if parts else ()


def _turns(raw: Raw | None) -> list[Turn]:
    members = Members({} if raw is None else {"contents": raw})
    one = members.fitting("contents", OBJECT)
    found = [raw] if raw is not None and one is not None else members.take("contents", ARRAY, "an array") or []
    return [_turn(each, f"contents[{i}]") for i, each in enumerate(found)]


def _turn(raw: Raw, path: str) -> Turn:
    members = object_of(raw, path)
    named = members.text("role") or "user"
    role = _ROLES.get(named)
    if role is None:
        raise WireError("Please use a valid role: user, model.", param=members.path("role"), code="invalid_value")
    parts = parse_parts(members.raw("parts"), members.path("parts"))
    if role is Role.USER and parts and all(isinstance(part, ToolResult) for part in parts):
        role = Role.TOOL
    return Turn(role=role, parts=parts, extras=members.left())


def _with_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with results that name the calls they answer: by id, else by name and order."""
    waiting: list[ToolCall] = []
    told: list[Turn] = []
    for turn in turns:
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall):
                waiting.append(part)
            parts.append(_answered(part, waiting) if isinstance(part, ToolResult) else part)
        told.append(msgspec.structs.replace(turn, parts=tuple(parts)))
    return told


def _answered(result: ToolResult, waiting: list[ToolCall]) -> ToolResult:
    if result.call_id:
        found = next((call for call in waiting if call.id == result.call_id), None)
    else:
        found = next((call for call in waiting if call.name == result.name), None)
    if found is None:
        return result
    waiting.remove(found)
    return msgspec.structs.replace(result, call_id=found.id, name=result.name or found.name)
