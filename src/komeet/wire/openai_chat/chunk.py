"""One event of a Chat Completions stream, as far as metering needs it; the dialects that are on record included."""

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

NULL = Raw(b"null")
FALSY = frozenset({b"null", b"false", b'""', b"0", b"{}", b"[]"})
"""JSON values that the client libraries take for no error."""


class Thought(Struct):
    """A piece of Mistral's thinking."""

    text: str | None = None


class ContentPart(Struct):
    """A piece of a content that is an array (Mistral)."""

    text: str | None = None
    thinking: list[Thought] | str | None = None


class Function(Struct):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class ToolCall(Struct):
    function: Function | None = None
    custom: Function | None = None


class Audio(Struct):
    transcript: str | None = None
    data: str | None = None


class Delta(Struct):
    """What the model wrote: of a chunk its `delta`, of a whole answer its `message`."""

    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    audio: Audio | None = None


class Choice(Struct):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    usage: Raw = NULL  # Moonshot


class XGroq(Struct):
    usage: Raw = NULL


class Chunk(Struct):
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL
    service_tier: str | None = None
    x_groq: XGroq | None = None


decode_chunk = Decoder(Chunk).decode
_members = Decoder(dict[str, Raw])
_string = Decoder(str | None)


def members_of(data: bytes) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else. For what the types above do not fit."""
    try:
        return _members.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def text_of(raw: Raw | None) -> str | None:
    """Return a member that is a string; None of anything else."""
    try:
        return None if raw is None else _string.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def gather(delta: Delta, pieces: list[str]) -> bool:
    """Add what the model wrote to `pieces`; return whether there is any."""
    before = len(pieces)
    match delta.content:
        case None | "":
            pass
        case str(text):
            pieces.append(text)
        case parts:
            for part in parts:
                _gather_part(part, pieces)
    if text := delta.reasoning_content or delta.reasoning:
        pieces.append(text)
    if delta.refusal:
        pieces.append(delta.refusal)
    for call in delta.tool_calls or ():
        _gather_call(call.function or call.custom, pieces)
    _gather_call(delta.function_call, pieces)
    if delta.audio and delta.audio.transcript:
        pieces.append(delta.audio.transcript)
    return len(pieces) > before or bool(delta.tool_calls) or delta.audio is not None


def _gather_call(function: Function | None, pieces: list[str]) -> None:
    if function:
        pieces.extend(text for text in (function.name, function.arguments, function.input) if text)


def _gather_part(part: ContentPart, pieces: list[str]) -> None:
    if part.text:
        pieces.append(part.text)
    if isinstance(part.thinking, str):
        pieces.append(part.thinking)
    elif part.thinking:
        pieces.extend(thought.text for thought in part.thinking if thought.text)
