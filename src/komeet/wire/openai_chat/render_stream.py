"""From events to a Chat Completions stream."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

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
from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.openai_chat.errors import render_stream_error
from komeet.wire.openai_chat.finish import render_finish
from komeet.wire.openai_chat.members import ORIGIN, own, place
from komeet.wire.openai_chat.render_message import tool_call
from komeet.wire.openai_chat.render_response import answer_id, call_id, reasoning_name, render_usage
from komeet.wire.openai_chat.spoken import Call, Spoken, Thought, Words
from komeet.wire.sse import one_line

Json = dict[str, object]

_encoder = msgspec.json.Encoder()


class StreamRenderer:
    """Writes one stream.

    Where the caller asked for usage, every chunk has the member, and a last chunk is only that. What this format has no
    place for is left out.
    """

    __slots__ = ("_asked", "_candidates", "_failed", "_include_usage", "_top", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._include_usage = asked.envelope.include_usage
        self._top: Json = {}
        self._start(Start())
        self._usage: Usage | None = None
        self._candidates: dict[int, Spoken] = {}
        self._failed = False

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that say `event`; most often one, or none."""
        match event:
            case Start():
                self._start(event)
                return b""
            case PartStart(candidate=candidate, index=index, part=part):
                return self._part(candidate, index, part)
            case TextDelta(candidate=candidate, index=index, text=text):
                return self._text(candidate, index, text)
            case ArgumentsDelta(candidate=candidate, index=index, data=data):
                return self._arguments(candidate, index, data)
            case AudioDelta():
                return self._audio(event)
            case SealDelta() | CitationDelta():
                return self._mark(event)
            case PartEnd(candidate=candidate, index=index):
                return self._end_part(candidate, index)
            case ExtraDelta():
                return self._extra(event)
            case UsageEvent(usage=usage):
                self._usage = usage
                return b""
            case Finish():
                return self._finish(event)
            case Fail(error=error):
                self._failed = True
                return render_stream_error(error)

    def end(self) -> bytes:
        """Return what ends the stream: usage where it was asked for, and `[DONE]`; nothing after a Fail."""
        if self._failed:
            return b""
        last = b""
        if self._include_usage:
            usage = None if self._usage is None else render_usage(self._usage)
            last = _event({**self._top, "choices": [], "usage": usage})
        return last + b"data: [DONE]\n\n"

    def _start(self, start: Start) -> None:
        self._top = {
            "id": answer_id(start.id, self._asked),
            "object": "chat.completion.chunk",
            "created": start.created or self._asked.created,
            "model": start.model or self._asked.envelope.model,
            **({} if start.service_tier is None else {"service_tier": start.service_tier}),
            **own(start.extras),
        }

    def _candidate(self, index: int) -> Spoken:
        return self._candidates.setdefault(index, Spoken())

    def _choice(self, candidate: int, delta: Json, *, finish: str | None = None, extras: Json | None = None) -> bytes:
        spoken = self._candidate(candidate)
        if not spoken.begun:
            spoken.begun = True
            delta = {"role": "assistant", **delta}
        choice = {"index": candidate, "delta": delta, "logprobs": None, "finish_reason": finish, **(extras or {})}
        usage: Json = {"usage": None} if self._include_usage else {}
        return _event({**self._top, "choices": [choice], **usage})

    def _delta(self, candidate: int, delta: Json) -> bytes:
        return self._choice(candidate, delta) if delta else b""

    def _part(self, candidate: int, index: int, part: Part) -> bytes:
        spoken = self._candidate(candidate)
        match part:
            case Text(text=text, citations=citations):
                spoken.parts[index] = Words("content", list(citations))
                return self._text(candidate, index, text)
            case Refusal(text=text):
                spoken.parts[index] = Words("refusal")
                return self._text(candidate, index, text)
            case Reasoning(text=text, field=field, seal=seal):
                spoken.parts[index] = Thought(reasoning_name(field))
                out = self._text(candidate, index, text)
                return out if seal is None else out + self._delta(candidate, spoken.seal(index, seal))
            case ToolCall():
                return self._call(candidate, index, part)
            case Audio(id=name, source=source, transcript=transcript):
                data = source.data if isinstance(source, Inline) else ""
                told = {"id": name, "data": data, "transcript": transcript, "expires_at": part.expires_at}
                return self._delta(candidate, {"audio": {name: value for name, value in told.items() if value}})
            case Image() | File() | ToolResult() | ServerTool() | Opaque():
                return b""

    def _text(self, candidate: int, index: int, text: str) -> bytes:
        part = self._candidate(candidate).parts.get(index)
        if not text or not isinstance(part, Words | Thought):
            return b""
        self._candidate(candidate).say(part, text)
        return self._delta(candidate, {part.name: text})

    def _call(self, candidate: int, index: int, part: ToolCall) -> bytes:
        spoken = self._candidate(candidate)
        number = sum(1 for known in spoken.parts.values() if isinstance(known, Call))
        spoken.parts[index] = Call(number, custom=part.custom, empty=not part.arguments)
        named = part if part.id else replace(part, id=call_id(self._asked, candidate, number))
        told = tool_call(named, named.name)
        if not (part.arguments or part.custom):
            told["function"] = {"name": named.name, "arguments": "", **own(part.extras, "function")}
        return self._delta(candidate, {"tool_calls": [{"index": number, **told}]})

    def _arguments(self, candidate: int, index: int, data: bytes) -> bytes:
        call = self._candidate(candidate).parts.get(index)
        if not data or not isinstance(call, Call):
            return b""
        call.empty = False
        inside = {"custom": {"input": data}} if call.custom else {"function": {"arguments": data}}
        told = {kind: {n: d.decode("utf-8", "replace") for n, d in piece.items()} for kind, piece in inside.items()}
        return self._delta(candidate, {"tool_calls": [{"index": call.number, **told}]})

    def _end_part(self, candidate: int, index: int) -> bytes:
        spoken = self._candidate(candidate)
        match spoken.parts.get(index):
            case Call(empty=True, custom=False):
                return self._arguments(candidate, index, b"{}")
            case Thought() as thought:
                return self._delta(candidate, spoken.keep(thought))
            case _:
                return b""

    def _mark(self, event: SealDelta | CitationDelta) -> bytes:
        spoken = self._candidate(event.candidate)
        match event:
            case SealDelta(index=index, seal=seal):
                return self._delta(event.candidate, spoken.seal(index, seal))
            case CitationDelta(index=index, citation=citation):
                spoken.cite(index, citation)
                return b""

    def _audio(self, event: AudioDelta) -> bytes:
        told = {"data": event.data, "transcript": event.transcript, "expires_at": event.expires_at}
        return self._delta(event.candidate, {"audio": {name: value for name, value in told.items() if value}})

    def _finish(self, event: Finish) -> bytes:
        sources = self._candidate(event.candidate).sources()
        out = self._delta(event.candidate, {"annotations": sources} if sources else {})
        return out + self._choice(event.candidate, {}, finish=render_finish(event.stop, event.native_stop))

    def _extra(self, extra: ExtraDelta) -> bytes:
        value: Raw = extra.value
        if extra.candidate is None:
            if extra.origin == ORIGIN:
                self._top[extra.name] = value
            return b""
        if extra.origin == ORIGIN:
            return self._choice(extra.candidate, {}, extras={extra.name: value})
        if extra.origin == place("message"):
            return self._delta(extra.candidate, {extra.name: value})
        return b""


def _event(chunk: Json) -> bytes:
    return b"data: " + one_line(_encoder.encode(chunk)) + b"\n\n"
