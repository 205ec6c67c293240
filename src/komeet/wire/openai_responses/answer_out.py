"""The items of an answer as a caller of this format reads them, and the response object around them."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.part import Reasoning, Refusal, Text, ToolCall
from komeet.canonical.usage import Usage
from komeet.wire import seal as seals
from komeet.wire.format import Asked
from komeet.wire.members import NULL, OBJECTS
from komeet.wire.openai_responses.answer import members_of
from komeet.wire.openai_responses.content_out import Json, annotations
from komeet.wire.openai_responses.members import ORIGIN, REASONING, SEAL, Members
from komeet.wire.openai_responses.render_items import reasoning_item
from komeet.wire.openai_responses.usage import render_usage

_IN_PROGRESS: Final = Raw(b'"in_progress"')
_ECHOED: Final = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "temperature",
    "tool_choice",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
"""Members of a request that its answer repeats."""


def text_content(part: Text | Refusal) -> Json:
    """Return a piece of a message's content."""
    own = part.extras.get(ORIGIN, {})
    match part:
        case Text(text=text):
            return {"type": "output_text", "text": text, "annotations": annotations(part), "logprobs": [], **own}
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text, **own}


def message_item(name: str, content: Sequence[object], members: Mapping[str, Raw], status: str) -> Json:
    """Return a message; `members` are those that it had where it comes from."""
    return {
        "id": name,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
        **_settled(members),
    }


def call_item(call: ToolCall, name: str, call_id: str, *, status: str) -> Json:
    """Return a call of a tool; `status` counts where the provider said none."""
    own = _settled(call.extras.get(ORIGIN, {}))
    text = call.arguments.decode("utf-8", "replace")
    kind: Json = {"type": "function_call", "status": status, "arguments": text}
    if call.custom:
        kind = {"type": "custom_tool_call", "input": text}
    group = {"namespace": call.namespace} if call.namespace else {}
    return {"id": name, **kind, "call_id": call_id, "name": call.name, **group, **own}


def thought_item(part: Reasoning, name: str) -> Json:
    """Return a reasoning with its seal; one of another format is wrapped, so that it comes back with the next turn."""
    told = reasoning_item(part)
    if REASONING not in part.extras and (part.seal is None or part.seal.origin != ORIGIN):
        told[SEAL] = seals.wrap(part.seal)
    return {"id": name, **told}


def response_object(
    asked: Asked, head: Json, *, extras: Extras, output: Sequence[object], usage: Usage | None, reason: str | None
) -> Json:
    """Return the response: what it repeats of the request, and what was answered.

    Args:
        asked: the call.
        head: its id, model, status and time.
        extras: what a provider of this format said more; it counts.
        output: the items.
        usage: None: not reported.
        reason: why it is incomplete.
    """
    told: Json = {
        "object": "response",
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "previous_response_id": None,
        **_echo(asked),
        **extras.get(ORIGIN, {}),
        **head,
        "output": output,
        "usage": None if usage is None else render_usage(usage),
    }
    return {name: value for name, value in told.items() if name != "usage" or value is not None}


def _echo(asked: Asked) -> Json:
    fields = asked.envelope.fields
    given = {name: fields[name] for name in _ECHOED if fields.get(name, NULL) != NULL}
    return {
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "top_p": 1.0,
        "truncation": "disabled",
        **given,
        "reasoning": {"effort": None, "summary": None, **members_of(fields.get("reasoning"))},
        "text": {"format": {"type": "text"}, **_said(members_of(fields.get("text")))},
        "tools": _tools(fields.get("tools")),
        "store": False,
    }


def _tools(raw: Raw | None) -> list[Json]:
    found = Members({} if raw is None else {"tools": raw}).fitting("tools", OBJECTS) or []
    return [_tool(each) for each in found]


def _tool(tool: dict[str, Raw]) -> Json:
    """Return a tool with the members that an answer always has."""
    if tool.get("type") != Raw(b'"function"'):
        return dict(tool)
    return {"description": None, "parameters": None, "strict": True, **tool}


def _said(members: Mapping[str, Raw]) -> Mapping[str, Raw]:
    return {name: value for name, value in members.items() if value != NULL}


def _settled(members: Mapping[str, Raw]) -> Mapping[str, Raw]:
    """Return members of an item that is complete: it is no longer in progress, whatever was said when it began."""
    return {name: value for name, value in members.items() if name != "status" or value != _IN_PROGRESS}


_text: Final = msgspec.json.Decoder(str)


def id_in(members: Mapping[str, Raw]) -> str:
    """Return the id that an item has where it comes from; empty: none."""
    try:
        return _text.decode(members.get("id", NULL))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
