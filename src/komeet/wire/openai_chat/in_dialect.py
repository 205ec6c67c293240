"""A request in the words of a provider that departs from OpenAI: what its row says, done to the members."""

import re
from base64 import b32encode
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.catalog.dialect import Dialect
from komeet.wire.members import ARRAY, NULL, OBJECT, OBJECTS
from komeet.wire.openai_chat.members import Members

Json = dict[str, object]

_EFFORT: Final = "reasoning_effort"
_SYSTEM: Final = Raw(b'"system"')
_DEVELOPER: Final = Raw(b'"developer"')
_TEXTS: Final = ("reasoning_content", "reasoning")
_NINE: Final = re.compile(r"[A-Za-z0-9]{9}")
_PLAIN: Final = Dialect()


def in_dialect(told: Json, dialect: Dialect, losses: list[Loss]) -> Json:
    """Return the members of a request as the provider calls them; values may be JSON or what JSON is made from.

    What a caller says in the provider's own words already is left as it is.
    """
    if dialect == _PLAIN:
        return told
    lacking = {name: told.pop(name) for name in dialect.lacks if name in told}
    losses.extend(Loss(name, "the provider does not take it") for name, value in lacking.items() if value != NULL)
    told = _with_effort(_renamed(told, dialect), dialect)
    return told if dialect.schema else _without_schema(told, losses)


def edited_messages(raw: Raw, dialect: Dialect) -> Raw:
    """Return the messages of a caller of this format with the roles and the reasoning that the provider knows."""
    text = bytes(raw)
    wanted = _text_name(dialect)
    foreign = tuple([name for name in _TEXTS if wanted and name != wanted and f'"{name}"'.encode() in text])
    roles = not dialect.developer and b'"developer"' in text
    if not foreign and not roles:
        return raw
    try:
        messages = OBJECTS.decode(raw) or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw  # the provider says what is wrong with them
    for message in messages:
        if roles and message.get("role") == _DEVELOPER:
            message["role"] = _SYSTEM
        for name in foreign:
            if name in message and wanted not in message:
                message[wanted] = message.pop(name)
    return Raw(msgspec.json.encode(messages))


def call_id(said: str, dialect: Dialect) -> str:
    """Return the id of a tool call as the provider takes it: another one, but always the same for the same."""
    if dialect.call_ids == "any" or _NINE.fullmatch(said):
        return said
    return b32encode(blake2b(said.encode("utf-8", "replace"), digest_size=6).digest()).decode("ascii")[:9]


def _text_name(dialect: Dialect) -> str:
    """Return the member of a message that holds the text of earlier reasoning; empty: as it came, or none."""
    match dialect.reasoning:
        case "reasoning_details" | "reasoning":
            return "reasoning"
        case "reasoning_content":
            return "reasoning_content"
        case "thinking" | None:
            return ""


def _renamed(told: Json, dialect: Dialect) -> Json:
    if told.keys().isdisjoint(dialect.renamed):
        return told
    return {dialect.renamed.get(name, name): value for name, value in told.items()} | {
        name: told[name] for name in dialect.renamed.values() if name in told
    }


def _with_effort(told: Json, dialect: Dialect) -> Json:
    effort = told.get(_EFFORT)
    if isinstance(effort, Raw):
        effort = msgspec.json.decode(effort)
    if effort is None:
        return told
    match dialect.effort:
        case "reasoning_effort":
            return told
        case "reasoning":
            del told[_EFFORT]
            told.setdefault("reasoning", {"effort": effort})
        case "thinking":
            told.setdefault("thinking", {"type": "disabled" if effort == "none" else "enabled"})
            if effort == "none":
                del told[_EFFORT]
    return told


def _without_schema(told: Json, losses: list[Loss]) -> Json:
    """Ask for JSON of any shape instead of a schema's, and tell the model the schema."""
    raw = Raw(msgspec.json.encode(told.get("response_format")))
    outside = Members(Members({"response_format": raw}).fitting("response_format", OBJECT) or {})
    inside = Members(outside.fitting("json_schema", OBJECT) or {})
    schema = inside.raw("schema")
    if outside.fitting_text("type") != "json_schema" or schema is None:
        return told
    losses.append(
        Loss("response_format.json_schema", "the provider takes no schema: JSON is asked for, and the model is told it")
    )
    told["response_format"] = {"type": "json_object"}
    said = f"Answer with JSON that fits this JSON Schema, and nothing else:\n{bytes(schema).decode('utf-8', 'replace')}"
    instruction = Raw(msgspec.json.encode({"role": "system", "content": said}))
    messages = ARRAY.decode(msgspec.json.encode(told["messages"])) or []
    told["messages"] = [instruction, *messages]
    return told
