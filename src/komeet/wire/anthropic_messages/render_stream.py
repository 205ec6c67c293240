"""From events to a Messages stream."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.extras import Extras
from komeet.canonical.part import (
    Audio,
    Citation,
    File,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.response import Candidate
from komeet.canonical.usage import Usage
from komeet.wire.anthropic_messages.answer import USAGE, members_of, text_of
from komeet.wire.anthropic_messages.blocks_out import Json, block, call_start, own_citations, signature
from komeet.wire.anthropic_messages.content import REDACTED, UNSIGNED
from komeet.wire.anthropic_messages.errors import render_stream_error
from komeet.wire.anthropic_messages.members import ORIGIN, has_sign, own, place
from komeet.wire.anthropic_messages.render_response import head, made_id, stop
from komeet.wire.anthropic_messages.usage import render_usage
from komeet.wire.format import Asked
from komeet.wire.members import NULL
from komeet.wire.sse import one_line

_encoder = msgspec.json.Encoder()
_TEXT: Final[Json] = {"type": "text", "text": ""}
_THINKING: Final[Json] = {"type": "thinking", "thinking": "", "signature": ""}

PartEvent = PartStart | TextDelta | ArgumentsDelta | AudioDelta | SealDelta | CitationDelta | PartEnd


class StreamRenderer:
    """Writes one stream. Only one block is open at a time: what belongs to a later one waits for its turn."""

    __slots__ = ("_asked", "_block", "_calls", "_extras", "_failed", "_finish", "_head", "_index", "_usage", "_waiting")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._block: _Open | None = None
        self._index = 0
        self._waiting: dict[int, list[PartEvent]] = {}
        """What has come of parts whose turn has not, by part, in order."""
        self._head: Start | None = Start()
        """How the message begins, until it is written: with the usage, if that is told at once."""
        self._usage: Usage | None = None
        self._extras: dict[str, dict[str, object]] = {}
        self._finish: Finish | None = None
        self._calls = False
        self._failed = False

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that tell `event`; most often one, or none."""
        match event:
            case Start():
                self._head = event
            case UsageEvent(usage=usage):
                self._usage = usage
                return self._begin()
            case ExtraDelta(candidate=None, origin=origin, name=name, value=value):
                self._extras.setdefault(origin, {})[name] = value
            case ExtraDelta():
                pass
            case Finish(candidate=0):
                self._finish = event
            case Finish():
                pass
            case Fail(error=error):
                self._failed = True
                return render_stream_error(error)
            case _:
                return self._begin() + self._part_event(event) if event.candidate == 0 else b""
        return b""

    def end(self) -> bytes:
        """Return what ends the stream: why it ended, the usage, and `message_stop`; nothing after a Fail."""
        if self._failed:
            return b""
        out = [self._begin()]
        while self._block is not None or self._waiting:
            out.append(self._close() if self._block is not None else self._next())
        finish = self._finish
        parts = (ToolCall(),) if self._calls else ()
        told = stop(
            Candidate(parts=parts)
            if finish is None
            else Candidate(
                parts=parts,
                stop=finish.stop,
                native_stop=finish.native_stop,
                stop_sequence=finish.stop_sequence,
            )
        )
        usage = {**render_usage(self._usage or Usage()), **self._extras.get(place(USAGE), {})}
        delta = {**told, **self._extras.get(ORIGIN, {})}
        out.append(_event("message_delta", {"delta": delta, "usage": usage}))
        out.append(_event("message_stop", {}))
        return b"".join(out)

    def _begin(self) -> bytes:
        """Return `message_start`; nothing where it was written already."""
        start, self._head = self._head, None
        if start is None:
            return b""
        extras: Extras = start.extras
        message: Json = {
            **head(start.id, start.model, self._asked),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**render_usage(self._usage or Usage()), **own(extras, USAGE)},
            **own(extras),
        }
        return _event("message_start", {"message": message})

    def _part_event(self, event: PartEvent) -> bytes:
        if isinstance(event, PartStart):
            if isinstance(event.part, ToolCall):
                self._calls = True
            if self._block is not None or self._waiting:
                self._waiting[event.index] = [event]
                return b""
            return self._open(event)
        if self._block is not None and event.index == self._block.part_index:
            return self._write(event)
        waiting = self._waiting.get(event.index)
        if waiting is not None:
            waiting.append(event)
        return b""

    def _open(self, event: PartStart) -> bytes:
        self._block = _Open(event, self._index, made_id(self._asked, event.index))
        return self._block.begin()

    def _write(self, event: PartEvent) -> bytes:
        assert self._block is not None
        if not isinstance(event, PartEnd):
            return self._block.delta(event)
        self._block.final(event)
        return self._close() + self._next()

    def _close(self) -> bytes:
        assert self._block is not None
        out = self._block.end()
        self._index += 1 if self._block.written else 0
        self._block = None
        return out

    def _next(self) -> bytes:
        """Open the part that waits longest, and write what has come of it."""
        if not self._waiting:
            return b""
        index = next(iter(self._waiting))
        first, *rest = self._waiting.pop(index)
        assert isinstance(first, PartStart)
        return self._open(first) + b"".join([self._write(event) for event in rest])


class _Open:
    """The block that is being written."""

    __slots__ = ("_at", "_made_id", "_part", "_seal", "_unsigned", "part_index", "written")

    def __init__(self, event: PartStart, at: int, made: str) -> None:
        self.part_index = event.index
        self._at = at
        self._made_id = made
        self._part: Part = event.part
        self._seal: Seal | None = event.part.seal if isinstance(event.part, Reasoning) else None
        self._unsigned = isinstance(event.part, Reasoning) and has_sign(event.part.extras, UNSIGNED)
        self.written = False

    def begin(self) -> bytes:
        """Return how the block begins, and what is known of it already."""
        match self._part:
            case Text(text=text, citations=citations):
                return self._text(text) + self._cited(citations)
            case Refusal(text=text) | Audio(transcript=text):
                return self._text(text)
            case Reasoning(text=text):
                return self._thought(text)
            case ToolCall(arguments=arguments):
                return self._begun(call_start(self._part, self._made_id)) + self._arguments(arguments)
            case ServerTool() | Opaque() | Image() | File() | ToolResult():
                return b""  # written when it is complete, if the format has it

    def delta(self, event: PartEvent) -> bytes:
        """Return what more of the block says."""
        match event:
            case TextDelta(text=text):
                return self._thought(text) if isinstance(self._part, Reasoning) else self._text(text)
            case AudioDelta(transcript=text):
                return self._text(text)
            case ArgumentsDelta(data=data):
                return self._arguments(data)
            case CitationDelta(citation=citation):
                return self._cited((citation,))
            case SealDelta(seal=seal):
                self._seal = seal
                return b""
            case PartStart() | PartEnd():
                return b""

    def final(self, event: PartEnd) -> None:
        """Learn what the provider says of the whole part."""
        match event.final:
            case Reasoning(seal=seal, extras=extras):
                self._seal = seal or self._seal
                self._unsigned = has_sign(extras, UNSIGNED)
            case ServerTool() | Opaque() as part:
                self._part = part
            case _:
                pass

    def end(self) -> bytes:
        """Return how the block ends."""
        match self._part:
            case Reasoning(extras=extras) if self._seal is not None and _is_redacted(self._seal):
                out = self._begun({"type": REDACTED, "data": self._seal.value, **own(extras)})
            case Reasoning() if self.written or self._seal is not None:
                sealed = signature(self._seal, unsigned=self._unsigned)
                out = self._opened(_THINKING)
                out += self._delta({"type": "signature_delta", "signature": sealed}) if sealed else b""
            case ServerTool() | Opaque() as part:
                told = block(part, "")
                out = b"" if told is None else self._whole(told["value"])
            case _:
                out = b""
        return out + _event("content_block_stop", {"index": self._at}) if self.written else b""

    def _begun(self, content: object) -> bytes:
        self.written = True
        return _event("content_block_start", {"index": self._at, "content_block": content})

    def _opened(self, content: Json) -> bytes:
        """Begin a block that has something to say, unless it has begun."""
        if self.written:
            return b""
        part = self._part
        return self._begun({**content, **own(part.extras)} if isinstance(part, Text | Reasoning) else content)

    def _whole(self, value: object) -> bytes:
        """Write a block that is known whole; the input of a call is written as Anthropic writes it, in a delta."""
        members = members_of(value) if isinstance(value, Raw) else {}
        told = members.get("input", NULL)
        if not text_of(members.get("type")).endswith("_use") or not members_of(told):
            return self._begun(value)
        begun = self._begun({**members, "input": {}})
        return begun + self._delta({"type": "input_json_delta", "partial_json": bytes(told).decode("utf-8", "replace")})

    def _thought(self, text: str) -> bytes:
        return self._opened(_THINKING) + self._delta({"type": "thinking_delta", "thinking": text}) if text else b""

    def _text(self, text: str) -> bytes:
        return self._opened(_TEXT) + self._delta({"type": "text_delta", "text": text}) if text else b""

    def _arguments(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "replace")
        return self._delta({"type": "input_json_delta", "partial_json": text}) if text else b""

    def _cited(self, citations: tuple[Citation, ...]) -> bytes:
        values = own_citations(citations)
        out = b"".join([self._delta({"type": "citations_delta", "citation": value}) for value in values])
        return self._opened(_TEXT) + out if out else b""

    def _delta(self, delta: Json) -> bytes:
        return _event("content_block_delta", {"index": self._at, "delta": delta})


def _is_redacted(seal: Seal) -> bool:
    return (seal.origin, seal.name) == (ORIGIN, REDACTED)


def _event(kind: str, members: Json) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + one_line(_encoder.encode({"type": kind, **members})) + b"\n\n"
