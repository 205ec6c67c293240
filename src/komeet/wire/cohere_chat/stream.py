"""From a stream of Cohere's to events."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.part import Part, Reasoning, Text
from komeet.core.errors import CutMidStream, WireError
from komeet.wire import sse
from komeet.wire.cohere_chat.citations import parse_citation
from komeet.wire.cohere_chat.finish import failure, parse_finish
from komeet.wire.cohere_chat.members import ORIGIN, Members, garbled, read_object
from komeet.wire.cohere_chat.parse_response import TOOL_PLAN, tool_call
from komeet.wire.cohere_chat.usage import parse_usage
from komeet.wire.members import OBJECT, OBJECTS
from komeet.wire.openai_errors import parse_stream_error

_DONE: Final = b"[DONE]"


class StreamParser:
    """Reads one stream, event by event; events of an unknown type are skipped.

    A part is closed when another begins: citations may come after the end of their text.
    """

    __slots__ = ("_fresh", "_handlers", "_kind", "_open", "_over", "_parts")

    def __init__(self) -> None:
        self._parts = 0
        self._open: int | None = None
        self._kind = ""
        self._over = False
        self._fresh = False
        """Whether a block has begun that says nothing yet."""
        self._handlers: Mapping[str, Callable[[Members, Members], Iterator[Event]]] = {
            "message-start": self._message_start,
            "content-start": self._content_start,
            "content-delta": self._content_delta,
            "tool-plan-delta": self._tool_plan,
            "tool-call-start": self._call_start,
            "tool-call-delta": self._call_delta,
            "citation-start": self._citation,
            "message-end": self._message_end,
        }

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one server-sent event tells.

        Raises:
            Garbled: it is not what the format says.
        """
        if self._over or said.data == _DONE:
            return ()
        members = read_object(said.data)
        kind = members.fitting_text("type") or (said.event or b"").decode("ascii", "replace")
        if kind == "error" or (not kind and members.peek("message") is not None):
            self._over = True
            return (Fail(error=parse_stream_error(said.data)),)
        handler = self._handlers.get(kind)
        if handler is None:
            return ()
        delta = Members(members.fitting("delta", OBJECT) or {})
        try:
            return tuple(handler(members, delta))
        except WireError as error:
            raise garbled(error.message) from error

    def end(self) -> tuple[Event, ...]:
        """Return the events that the end of the stream means: a Fail where it came too early."""
        if self._over:
            return ()
        self._over = True
        return (Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")),)

    def _message_start(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        yield Start(id=members.fitting_text("id"))

    def _content_start(self, members: Members, delta: Members) -> Iterator[Event]:
        self._fresh = True
        yield from self._content_delta(members, delta)

    def _content_delta(self, members: Members, delta: Members) -> Iterator[Event]:
        content = Members(_inside(delta).fitting("content", OBJECT) or {})
        if thinking := content.text("thinking"):
            yield from self._write("thinking", Reasoning(), thinking)
        if text := content.text("text"):
            yield from self._write("text", Text(), text)
        if (logprobs := members.raw("logprobs")) is not None:
            value = Raw(b"[" + bytes(logprobs) + b"]")
            yield ExtraDelta(candidate=None, origin=ORIGIN, name="logprobs", value=value)

    def _tool_plan(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        text = _inside(delta).text(TOOL_PLAN)
        if text:
            yield from self._write(TOOL_PLAN, Reasoning(field=TOOL_PLAN), text)

    def _call_start(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        call = tool_call(Members(_one(_inside(delta), "tool_calls")))
        yield from self._begin("call", call)

    def _call_delta(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        data = tool_call(Members(_one(_inside(delta), "tool_calls"))).arguments
        if self._open is None or self._kind != "call":
            raise garbled("arguments of a call that never began")
        if data:
            yield ArgumentsDelta(candidate=0, index=self._open, data=data)

    def _citation(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        found = _one(_inside(delta), "citations")
        if found and self._open is not None and self._kind == "text":
            _, citation = parse_citation(found)
            yield CitationDelta(candidate=0, index=self._open, citation=citation)

    def _message_end(self, members: Members, delta: Members) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        yield from self._close()
        self._over = True
        usage = delta.raw("usage")
        if usage is not None and (parsed := parse_usage(usage)) is not None:
            yield UsageEvent(usage=parsed)
        word = delta.fitting_text("finish_reason")
        error = failure(word, delta.fitting_text("error"))
        if error is not None:
            yield Fail(error=error)
        elif word:
            yield Finish(candidate=0, stop=parse_finish(word), native_stop=word)

    def _write(self, kind: str, part: Part, text: str) -> Iterator[Event]:
        if self._open is None or self._kind != kind or self._fresh:
            yield from self._begin(kind, part)
        assert self._open is not None
        yield TextDelta(candidate=0, index=self._open, text=text)

    def _begin(self, kind: str, part: Part) -> Iterator[Event]:
        yield from self._close()
        self._open, self._kind, self._fresh = self._parts, kind, False
        self._parts += 1
        yield PartStart(candidate=0, index=self._open, part=part)

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            yield PartEnd(candidate=0, index=self._open)
            self._open = None


def _inside(delta: Members) -> Members:
    return Members(delta.fitting("message", OBJECT) or {})


def _one(message: Members, name: str) -> dict[str, Raw]:
    """Take the one object that a member is, or the first where it is an array."""
    found = message.fitting(name, OBJECT)
    if found is not None:
        return found
    several = message.fitting(name, OBJECTS)
    return several[0] if several else {}
