"""From events to a Responses stream."""

import msgspec

from komeet.canonical.event import Event, Fail
from komeet.wire.format import Asked
from komeet.wire.openai_responses.content_out import Json
from komeet.wire.openai_responses.errors import render_stream_error
from komeet.wire.openai_responses.writer import Writer
from komeet.wire.sse import one_line

_encoder = msgspec.json.Encoder()


class StreamRenderer:
    """Writes one stream, in OpenAI's order; every event has its number, and there is no `[DONE]`."""

    __slots__ = ("_begun", "_failed", "_number", "_writer")

    def __init__(self, asked: Asked) -> None:
        self._writer = Writer(asked)
        self._number = 0
        self._begun = False
        self._failed = False

    def feed(self, event: Event) -> bytes:
        """Return the server-sent events that tell `event`."""
        if self._failed:
            return b""
        if isinstance(event, Fail):
            self._failed = True
            return self._begin() + render_stream_error(event.error, self._number)
        told = self._writer.take(event)
        first = next(told, None)  # a Start has been taken by now: the response that begins has its id
        begun = self._begin()
        if first is None:
            return begun
        return begun + self._said(*first) + b"".join([self._said(*each) for each in told])

    def end(self) -> bytes:
        """Return what ends the stream: the whole response; nothing after a Fail."""
        if self._failed:
            return b""
        return self._begin() + b"".join([self._said(*each) for each in self._writer.ended()])

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        response = self._writer.begun()
        return b"".join([self._said(f"response.{kind}", {"response": response}) for kind in ("created", "in_progress")])

    def _said(self, kind: str, members: Json) -> bytes:
        data = _encoder.encode({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + one_line(data) + b"\n\n"
