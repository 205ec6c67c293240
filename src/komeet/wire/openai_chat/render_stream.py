"""From events to a Chat Completions stream."""

import msgspec
from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
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
    Text,
    ToolCall,
    ToolResult,
)
from komeet.canonical.usage import Usage
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_chat.errors import render_stream_error
from komeet.wire.openai_chat.finish import render_finish
from komeet.wire.openai_chat.members import ORIGIN, place
from komeet.wire.openai_chat.render_response import reasoning_name, render_tool_call, render_usage

Json = dict[str, object]

_encoder = msgspec.json.Encoder()


class StreamRenderer:
    """Writes one stream.

    Args:
        include_usage: whether the caller asked for usage: then every chunk has the member, and a last one is only that.
    """

    __slots__ = ("_calls", "_failed", "_include_usage", "_names", "_spoken", "_top", "_usage")

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._top: Json = {}
        self._usage: Usage | None = None
        self._names: dict[tuple[int, int], str] = {}
        """The member that the deltas of a part go by."""
        self._calls: dict[tuple[int, int], int] = {}
        """The tool calls' own numbers, by candidate and part."""
        self._spoken: set[int] = set()
        self._failed = False

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that say `event`; most often one, or none.

        Raises:
            Unrepresentable: 422, a part that the format cannot carry.
        """
        match event:
            case Start():
                self._start(event)
                return b""
            case PartStart(candidate=candidate, index=index, part=part):
                return self._part(candidate, index, part)
            case TextDelta(candidate=candidate, index=index, text=text):
                return self._delta(candidate, {self._names.get((candidate, index), "content"): text})
            case ArgumentsDelta(candidate=candidate, index=index, data=data):
                return self._arguments(candidate, index, data)
            case AudioDelta(candidate=candidate):
                told = {"data": event.data, "transcript": event.transcript, "expires_at": event.expires_at}
                return self._delta(candidate, {"audio": {name: value for name, value in told.items() if value}})
            case SealDelta(candidate=candidate, seal=seal):
                return self._delta(candidate, {seal.name: seal.value}) if seal.origin == ORIGIN else b""
            case PartEnd():
                return b""
            case ExtraDelta():
                return self._extra(event)
            case UsageEvent(usage=usage):
                self._usage = usage
                return b""
            case Finish(candidate=candidate, stop=stop, native_stop=native):
                return self._choice(candidate, {}, finish=render_finish(stop, native))
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
            "id": start.id,
            "object": "chat.completion.chunk",
            "created": start.created,
            "model": start.model,
            **({} if start.service_tier is None else {"service_tier": start.service_tier}),
            **start.extras.get(ORIGIN, {}),
        }

    def _choice(self, candidate: int, delta: Json, *, finish: str | None = None, extras: Json | None = None) -> bytes:
        if candidate not in self._spoken:
            self._spoken.add(candidate)
            delta = {"role": "assistant", **delta}
        choice = {"index": candidate, "delta": delta, "logprobs": None, "finish_reason": finish, **(extras or {})}
        usage: Json = {"usage": None} if self._include_usage else {}
        return _event({**self._top, "choices": [choice], **usage})

    def _delta(self, candidate: int, delta: Json) -> bytes:
        return self._choice(candidate, delta)

    def _part(self, candidate: int, index: int, part: Part) -> bytes:
        match part:
            case Text(text=text):
                return self._named(candidate, index, "content", text)
            case Refusal(text=text):
                return self._named(candidate, index, "refusal", text)
            case Reasoning(text=text, field=field, seal=seal):
                out = self._named(candidate, index, reasoning_name(field), text)
                if seal is not None and seal.origin == ORIGIN:
                    out += self._delta(candidate, {seal.name: seal.value})
                return out
            case ToolCall():
                number = sum(1 for known, _ in self._calls if known == candidate)
                self._calls[candidate, index] = number
                return self._delta(candidate, {"tool_calls": [{"index": number, **render_tool_call(part)}]})
            case Audio(id=name, source=source, transcript=transcript):
                data = source.data if isinstance(source, Inline) else ""
                told = {"id": name, "data": data, "transcript": transcript}
                return self._delta(candidate, {"audio": {name: value for name, value in told.items() if value}})
            case Image() | File() | ToolResult() | Opaque():
                raise Unrepresentable(
                    f"The answer contains a part ({type(part).__name__}) that Chat Completions cannot carry.",
                    param=f"choices[{candidate}].delta",
                )

    def _named(self, candidate: int, index: int, name: str, text: str) -> bytes:
        self._names[candidate, index] = name
        return self._delta(candidate, {name: text}) if text else b""

    def _arguments(self, candidate: int, index: int, data: bytes) -> bytes:
        call: Json = {
            "index": self._calls.get((candidate, index), 0),
            "function": {"arguments": data.decode("utf-8", "replace")},
        }
        return self._delta(candidate, {"tool_calls": [call]})

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
    return b"data: " + _encoder.encode(chunk) + b"\n\n"
