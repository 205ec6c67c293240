"""The text of a Chat Completions request, for counting tokens where the provider does not."""

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.wire.format import Envelope

_NULL = Raw(b"null")


class _Message(Struct):
    role: str = ""
    name: str | None = None
    content: Raw = _NULL
    tool_calls: Raw = _NULL
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Part(Struct):
    text: str | None = None
    refusal: str | None = None


_messages = Decoder(list[_Message])
_text = Decoder(str)
_parts = Decoder(list[_Part])


def prompt_text(envelope: Envelope) -> str:
    """Return what the model is given to read, piece by piece: messages, then tools and the output's schema as JSON.

    Media are left out. What is not understood is taken as it was written: this is for an estimate, and never fails.
    """
    lines: list[str] = []
    try:
        for message in _messages.decode(envelope.fields["messages"]):
            _add(message, lines)
    except (msgspec.ValidationError, RecursionError):
        lines = [bytes(envelope.fields["messages"]).decode("utf-8", "replace")]
    for name in ("tools", "functions", "response_format"):
        raw = envelope.fields.get(name, _NULL)
        if raw != _NULL:
            lines.append(bytes(raw).decode("utf-8", "replace"))
    return "\n".join(lines)


def _add(message: _Message, lines: list[str]) -> None:
    lines.append(message.role)
    if bytes(message.content).startswith(b'"'):
        lines.append(_text.decode(message.content))
    elif message.content != _NULL:
        lines.extend(text for part in _parts.decode(message.content) if (text := part.text or part.refusal))
    if message.tool_calls != _NULL:
        lines.append(bytes(message.tool_calls).decode("utf-8", "replace"))
    lines.extend(text for text in (message.name, message.refusal, message.reasoning_content, message.reasoning) if text)
