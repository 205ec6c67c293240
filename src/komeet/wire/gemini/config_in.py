"""From `generationConfig` to how the neutral model says it."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput, Sampling, Thinking
from komeet.wire.gemini.members import ORIGIN, Members, signed, wrong_type
from komeet.wire.gemini.openapi import to_json_schema
from komeet.wire.members import BOOL, NUMBER, STRINGS, merged

CONFIG: Final = "generationConfig"
SCHEMA: Final = "responseSchema"
"""The sign of a schema that was written as `responseSchema`, though it is plain JSON Schema."""
OWN: Final = "own"
"""The sign of thinking in this format's words, which is sent as it was written."""
TEXT: Final = "TEXT"
"""The sign of an answer that was asked for as text, which it is anyway."""
MODALITIES: Final = "responseModalities"
DYNAMIC: Final = -1
"""The budget of a model that reasons as it sees fit."""
JSON: Final = "application/json"


class Config(Struct, frozen=True, kw_only=True):
    """What `generationConfig` says."""

    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    effort: str | None = None
    thinking: Thinking | None = None
    output: JsonOutput | Opaque | None = None
    extras: Extras = {}


def integer(members: Members, name: str) -> int | None:
    """Take a whole number out, which may be written as protobuf writes one: `40`, `40.0` or `"40"`.

    Raises:
        WireError: 400, it is none.
    """
    raw = members.raw(name)
    if raw is None:
        return None
    try:
        value = msgspec.json.decode(raw, type=int, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong_type(members.path(name), "an integer") from None
    return value


def parse_config(members: Members) -> Config:
    """Return what the members of `generationConfig` say, but for what the envelope has read.

    Raises:
        WireError: 400, with the path of what is of the wrong type.
    """
    for name in ("maxOutputTokens", "candidateCount"):
        members.raw(name)
    effort, thinking = _thinking(members.within("thinkingConfig"))
    sampling = Sampling(
        temperature=members.take("temperature", NUMBER, "a number"),
        top_p=members.take("topP", NUMBER, "a number"),
        top_k=integer(members, "topK"),
        presence_penalty=members.take("presencePenalty", NUMBER, "a number"),
        frequency_penalty=members.take("frequencyPenalty", NUMBER, "a number"),
        seed=integer(members, "seed"),
        logprobs=members.take("responseLogprobs", BOOL, "a boolean"),
        top_logprobs=integer(members, "logprobs"),
    )
    stop = tuple(members.take("stopSequences", STRINGS, "an array of strings") or ())
    output = _output(members)
    sign: Extras = {}
    if members.peek(MODALITIES) == Raw(b'["TEXT"]'):
        members.raw(MODALITIES)
        sign = signed(TEXT)
    return Config(
        sampling=sampling,
        stop=stop,
        effort=effort,
        thinking=thinking,
        output=output,
        extras=merged(members.left(CONFIG), sign),
    )


def level_of(thinking: Members) -> str | None:
    """Take the level of thinking out; None where it is not told."""
    level = thinking.text("thinkingLevel")
    return None if not level or level == "THINKING_LEVEL_UNSPECIFIED" else level.lower()


def _thinking(members: Members | None) -> tuple[str | None, Thinking | None]:
    if members is None:
        return None, None
    shown = members.take("includeThoughts", BOOL, "a boolean")
    budget = integer(members, "thinkingBudget")
    effort = level_of(members)
    summary = None if shown is None else "auto" if shown else "omitted"
    extras = merged(members.left("thinkingConfig"), signed(OWN))
    if budget is None:
        return effort, Thinking(summary=summary, extras=extras)
    if budget == 0:
        return effort, Thinking(mode="disabled", summary=summary, extras=extras)
    if budget == DYNAMIC:
        return effort, Thinking(mode="adaptive", summary=summary, extras=extras)
    return effort, Thinking(mode="budget", budget=budget, summary=summary, extras=extras)


def _output(members: Members) -> JsonOutput | Opaque | None:
    media_type = members.text("responseMimeType")
    openapi, schema = members.raw("responseSchema"), members.raw("responseJsonSchema")
    if media_type not in (None, JSON, "text/plain"):
        said = {"responseMimeType": media_type, "responseSchema": openapi, "responseJsonSchema": schema}
        told = {name: value for name, value in said.items() if value is not None}
        return Opaque(origin=ORIGIN, value=Raw(msgspec.json.encode(told)))
    if schema is not None:
        return JsonOutput(schema=bytes(schema))
    if openapi is not None:
        made = to_json_schema(openapi)
        return JsonOutput(schema=made, extras=signed(SCHEMA) if made == bytes(openapi) else {})
    return JsonOutput() if media_type == JSON else None
