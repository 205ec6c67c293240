"""From events to a legacy Completions stream."""

import msgspec

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
from komeet.canonical.part import Refusal, Text
from komeet.canonical.response import StopReason
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.openai_completions.answer import Json, answer_head, render_choice, render_usage
from komeet.wire.openai_completions.errors import render_stream_error
from komeet.wire.sse import one_line

_encoder = msgspec.json.Encoder()


class StreamRenderer:
    """Writes one stream: its texts, and nothing else that may be in it."""

    __slots__ = ("_asked", "_failed", "_head", "_include_usage", "_texts", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._include_usage = asked.envelope.include_usage
        self._head = answer_head("", 0, "", asked)
        self._texts: set[tuple[int, int]] = set()
        """Parts that are text, by candidate and index."""
        self._usage: Usage | None = None
        self._failed = False

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that say `event`; most often one, or none."""
        match event:
            case Start(id=told, created=created, model=model):
                self._head = answer_head(told, created, model, self._asked)
                return b""
            case PartStart(candidate=candidate, index=index, part=Text(text=text) | Refusal(text=text)):
                self._texts.add((candidate, index))
                return self._text(candidate, text)
            case TextDelta(candidate=candidate, index=index, text=text):
                return self._text(candidate, text) if (candidate, index) in self._texts else b""
            case UsageEvent(usage=usage):
                self._usage = usage
                return b""
            case Finish(candidate=candidate, stop=stop):
                return self._choice(candidate, "", stop)
            case Fail(error=error):
                self._failed = True
                return render_stream_error(error)
            case (
                PartStart() | ArgumentsDelta() | AudioDelta() | SealDelta() | CitationDelta() | PartEnd() | ExtraDelta()
            ):
                return b""

    def end(self) -> bytes:
        """Return what ends the stream: usage where it was asked for, and `[DONE]`; nothing after a Fail."""
        if self._failed:
            return b""
        last = b""
        if self._include_usage:
            usage = None if self._usage is None else render_usage(self._usage)
            last = _event({**self._head, "choices": [], "usage": usage})
        return last + b"data: [DONE]\n\n"

    def _text(self, candidate: int, text: str) -> bytes:
        return self._choice(candidate, text, None) if text else b""

    def _choice(self, candidate: int, text: str, stop: StopReason | None) -> bytes:
        usage: Json = {"usage": None} if self._include_usage else {}
        return _event({**self._head, "choices": [render_choice(candidate, text, stop)], **usage})


def _event(chunk: Json) -> bytes:
    return b"data: " + one_line(_encoder.encode(chunk)) + b"\n\n"
