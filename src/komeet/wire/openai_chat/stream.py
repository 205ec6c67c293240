"""From a Chat Completions stream to events."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

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
from komeet.canonical.part import Audio, Inline, Part, Reasoning, Refusal, Seal, Text, ToolCall
from komeet.core.errors import CutMidStream, Garbled, WireError
from komeet.wire import sse
from komeet.wire.members import ARRAY, INT, NULL, OBJECT, OBJECTS, STRING, merged
from komeet.wire.openai_chat.chunk import FALSY
from komeet.wire.openai_chat.content import THINKING, thinking_text, written
from komeet.wire.openai_chat.errors import parse_stream_error
from komeet.wire.openai_chat.finish import parse_finish
from komeet.wire.openai_chat.members import ORIGIN, Members
from komeet.wire.openai_chat.plain_chunk import read_plain
from komeet.wire.openai_chat.sealed import DETAILS
from komeet.wire.openai_chat.usage import parse_usage

_NOISE = ("obfuscation", "object")
_IN_START = ("id", "model", "created", "service_tier")
_object = Decoder(dict[str, Raw])


class StreamParser:
    """Reads one stream, event by event; an answer with several candidates may interleave them.

    Finishes come at the end, whenever the provider gave the reason: there are those who give it twice, or write on.
    """

    __slots__ = ("_candidates", "_done", "_early", "_over", "_started", "_told")

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._early: dict[str, Raw] = {}
        """Members of chunks before the first that has an id: Azure's first one has none."""
        self._told: dict[str, Raw] = {}
        self._started = False
        self._done = False
        self._over = False

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one server-sent event tells.

        Raises:
            Garbled: it is not a chunk.
        """
        if self._over:
            return ()
        if said.data == b"[DONE]":
            self._done = True
            return self.end()
        plain = read_plain(said.data) if self._started and said.event is None else None
        if plain is not None and plain.system_fingerprint in (NULL, self._told.get("system_fingerprint")):
            choice = plain.choices[0]
            return self._candidates.setdefault(choice.index, _Candidate(choice.index)).add(choice.delta.content)
        try:
            members = Members(_object.decode(said.data))
            if said.event == b"error" and bytes(members.peek("error") or NULL) in FALSY:  # Groq
                return (self._fail(said.data),)
            return tuple(self._chunk(members))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, WireError) as cause:
            error = Garbled("The provider's stream is not what the format says.")
            error.detail = str(cause)
            raise error from cause

    def end(self) -> tuple[Event, ...]:
        """Return the events that the end of the stream means: the last, a Fail where it came too early."""
        if self._over:
            return ()
        self._over = True
        events = [event for candidate in self._candidates.values() for event in candidate.end()]
        complete = self._done or (
            bool(self._candidates) and all(candidate.reason for candidate in self._candidates.values())
        )
        if not complete:
            events.append(Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")))
        return tuple(events)

    def _chunk(self, members: Members) -> Iterator[Event]:
        error = members.raw("error")
        usage = members.raw("usage") or _groq_usage(members)
        choices = members.take("choices", OBJECTS, "an array of objects") or []
        for name in _NOISE:
            members.raw(name)
        if not self._started:
            yield from self._start(members, wait=not (choices or usage or error))
        for name in _IN_START:
            members.raw(name)
        for position, choice in enumerate(choices):
            inside = Members(choice, f"choices[{position}]")
            usage = inside.raw("usage") or usage  # Moonshot
            index = inside.take("index", INT, "an integer") or 0
            yield from self._candidates.setdefault(index, _Candidate(index)).take(inside)
        if usage is not None and (parsed := parse_usage(usage)) is not None:
            yield UsageEvent(usage=parsed)
        for name, value in members.left().get(ORIGIN, {}).items():
            if value != NULL and self._told.get(name) != value and self._started:
                self._told[name] = value
                yield ExtraDelta(candidate=None, origin=ORIGIN, name=name, value=value)
        if error is not None and bytes(error) not in FALSY:
            yield self._fail(error)

    def _fail(self, error: Raw | bytes) -> Fail:
        self._over = True
        return Fail(error=parse_stream_error(error))

    def _start(self, members: Members, *, wait: bool) -> Iterator[Event]:
        start = Start(
            id=members.fitting_text("id"),
            model=members.fitting_text("model"),
            created=members.fitting("created", INT) or 0,
            service_tier=members.fitting_text("service_tier") or None,
        )
        left = members.left().get(ORIGIN, {})
        self._early.update({name: value for name, value in left.items() if value != NULL})
        if wait and not start.id:
            return
        self._started = True
        self._told = dict(self._early)
        extras = {ORIGIN: self._early} if self._early else {}
        yield msgspec.structs.replace(start, extras=extras)


def _groq_usage(members: Members) -> Raw | None:
    inside = Members({"x_groq": members.peek("x_groq") or NULL}).fitting("x_groq", OBJECT) or {}
    return Members(inside).raw("usage")


class _Call:
    """A tool call of which more may come."""

    __slots__ = ("arguments", "custom", "extras", "id", "index", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.custom = False
        self.extras: dict[str, dict[str, Raw]] = {}
        self.arguments: list[bytes] = []
        self.index: int | None = None
        """Its place among the parts; None: it waits for its name."""


class _Candidate:
    """One of the answers."""

    __slots__ = ("_calls", "_index", "_kind", "_open", "_parts", "reason")

    def __init__(self, index: int) -> None:
        self._index = index
        self._parts = 0
        self._open: int | None = None
        """The text, reasoning, refusal or sound that is being written."""
        self._kind = ""
        self._calls: list[tuple[int | None, _Call]] = []
        self.reason = ""

    def take(self, choice: Members) -> Iterator[Event]:
        """Read a choice of a chunk."""
        word = choice.text("finish_reason")
        self.reason = word or self.reason
        delta = choice.within("delta") or Members({}, choice.path("delta"))
        delta.raw("role")
        yield from self._reasoning(delta)
        yield from self._content(delta)
        if refusal := delta.text("refusal"):
            yield from self._text("refusal", Refusal(), refusal)
        yield from self._audio(delta.within("audio"))
        for position, call in enumerate(delta.take("tool_calls", OBJECTS, "an array of objects") or []):
            yield from self._tool_call(Members(call, delta.path(f"tool_calls[{position}]")))
        for origin, members in merged(delta.left("message"), choice.left()).items():
            for name, value in members.items():
                if value != NULL:
                    yield ExtraDelta(candidate=self._index, origin=origin, name=name, value=value)

    def add(self, text: str) -> tuple[Event, ...]:
        """Read a choice that has only text."""
        if self._open is not None and self._kind == "text":
            return (TextDelta(candidate=self._index, index=self._open, text=text),)
        return tuple(self._text("text", Text(), text))

    def end(self) -> Iterator[Event]:
        """Close what is open."""
        yield from self._close()
        for _, call in self._calls:
            if call.index is None:
                yield from self._begin_call(call)
            assert call.index is not None
            yield PartEnd(candidate=self._index, index=call.index)
        if self.reason:
            yield Finish(candidate=self._index, stop=parse_finish(self.reason), native_stop=self.reason)

    def _begin(self, part: Part) -> PartStart:
        start = PartStart(candidate=self._index, index=self._parts, part=part)
        self._parts += 1
        return start

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            yield PartEnd(candidate=self._index, index=self._open)
            self._open = None

    def _writing(self, kind: str, part: Part) -> Iterator[Event]:
        """Make `kind` the part that is being written."""
        if self._open is None or self._kind != kind:
            yield from self._close()
            start = self._begin(part)
            self._open, self._kind = start.index, kind
            yield start

    def _text(self, kind: str, part: Part, text: str) -> Iterator[Event]:
        yield from self._writing(kind, part)
        assert self._open is not None
        yield TextDelta(candidate=self._index, index=self._open, text=text)

    def _reasoning(self, delta: Members) -> Iterator[Event]:
        for name, field in (("reasoning_content", ""), ("reasoning", "reasoning")):
            text = delta.fitting(name, STRING)
            if text:
                yield from self._text(f"reasoning/{field}", Reasoning(field=field), text)
                break
        details = delta.fitting(DETAILS, ARRAY)
        if details:
            if self._open is None or not self._kind.startswith("reasoning"):
                yield from self._writing("reasoning/", Reasoning())
            assert self._open is not None
            seal = Seal(origin=ORIGIN, name=DETAILS, value=Raw(msgspec.json.encode(details)))
            yield SealDelta(candidate=self._index, index=self._open, seal=seal)

    def _content(self, delta: Members) -> Iterator[Event]:
        raw = delta.raw("content")
        if raw is None:
            return
        pieces = Members({"content": raw}).fitting("content", OBJECTS)
        if pieces is None:
            text = written(raw)
            if text:
                yield from self._text("text", Text(), text)
            return
        for piece in pieces:  # Mistral
            if THINKING in piece:
                yield from self._text(f"reasoning/{THINKING}", Reasoning(field=THINKING), thinking_text(piece))
            elif text := Members(piece).fitting_text("text"):
                yield from self._text("text", Text(), text)

    def _audio(self, audio: Members | None) -> Iterator[Event]:
        if audio is None:
            return
        name = audio.text("id") or ""
        yield from self._writing("audio", Audio(source=Inline("", ""), id=name))
        assert self._open is not None
        yield AudioDelta(
            candidate=self._index,
            index=self._open,
            data=audio.text("data") or "",
            transcript=audio.text("transcript") or "",
            expires_at=audio.take("expires_at", INT, "an integer"),
        )

    def _tool_call(self, members: Members) -> Iterator[Event]:
        custom = members.text("type") == "custom" or members.peek("custom") not in (None, NULL)
        inside = members.within("custom" if custom else "function") or Members({})
        call = self._call(members.take("index", INT, "an integer"), members.text("id") or "", inside.text("name") or "")
        call.custom = call.custom or custom
        data = written(inside.raw("input" if call.custom else "arguments")).encode()
        for origin, extras in merged(members.left(), inside.left("function")).items():
            call.extras.setdefault(origin, {}).update(extras)
        if call.index is not None:
            if data:
                yield ArgumentsDelta(candidate=self._index, index=call.index, data=data)
            return
        if data:
            call.arguments.append(data)
        if call.name:
            yield from self._begin_call(call)

    def _call(self, at: int | None, call_id: str, name: str) -> _Call:
        """Find the call that a piece belongs to. Where the provider gives no index, a name begins a new one."""
        known = next((known for index, known in reversed(self._calls) if index == at), None)
        if known is not None:
            renamed = bool(call_id and known.id and call_id != known.id)
            if not (name and (at is None or renamed)):
                known.id = known.id or call_id
                known.name = known.name or name
                return known
        call = _Call()
        call.id, call.name = call_id, name
        self._calls.append((at, call))
        return call

    def _begin_call(self, call: _Call) -> Iterator[Event]:
        yield from self._close()
        part = ToolCall(id=call.id, name=call.name, custom=call.custom, extras=call.extras)
        start = self._begin(part)
        call.index = start.index
        yield start
        for data in call.arguments:
            yield ArgumentsDelta(candidate=self._index, index=start.index, data=data)
