"""From events to a Gemini stream: server-sent events, or one JSON array where the caller did not ask for `alt=sse`."""

from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from komeet.canonical.event import (
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    Start,
    UsageEvent,
)
from komeet.canonical.extras import Extras, join
from komeet.canonical.response import Candidate
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.gemini.answer import FEEDBACK, GROUNDING, USAGE
from komeet.wire.gemini.errors import told_error
from komeet.wire.gemini.members import ORIGIN, own
from komeet.wire.gemini.render_response import finish_of, head, usage_of
from komeet.wire.gemini.stream_parts import PartEvent, PartWriter, Spoken, part_writer
from komeet.wire.sse import one_line

Json: TypeAlias = dict[str, object]

_encoder: Final = msgspec.json.Encoder()


class _Candidate:
    """A candidate that is being written. Its parts follow each other: what belongs to a later one waits."""

    __slots__ = ("_open", "_open_index", "_spoken", "_told", "_waiting", "extras", "finish", "spoke")

    def __init__(self) -> None:
        self._spoken = Spoken()
        self._open: PartWriter | None = None
        self._open_index = 0
        self._told: list[object] = []
        """Parts that are to be written with the next ones."""
        self._waiting: dict[int, list[PartEvent]] = {}
        """What has come of parts whose turn has not, by part, in order."""
        self.spoke = False
        self.finish: Finish | None = None
        self.extras: dict[str, list[Raw]] = {}

    def take(self, event: PartEvent) -> list[object]:
        """Return the parts that can be written now; a signature without words waits for what comes with it."""
        self._told += self._feed(event)
        if all(_is_wordless(part) for part in self._told):
            return []
        told, self._told = self._told, []
        return told

    def _feed(self, event: PartEvent) -> list[object]:
        if isinstance(event, PartStart):
            self.spoke = True
            if self._open is not None or self._waiting:
                self._waiting[event.index] = [event]
                return []
            return self._begin(event)
        if self._open is not None and event.index == self._open_index:
            return self._more(event)
        if event.index in self._waiting:
            self._waiting[event.index].append(event)
        return []

    def end(self) -> list[object]:
        """Return the parts that are left: of what was not ended, and a signature that waits for a part."""
        told, self._told = self._told, []
        while self._open is not None or self._waiting:
            told += self._close() if self._open is not None else self._next()
        return told + self._spoken.signing.rest()

    def sources(self) -> Json:
        """Return the metadata of the sources that were named."""
        told = self._spoken.grounding.told()
        return {GROUNDING: told} if told else {}

    def _begin(self, event: PartStart) -> list[object]:
        self._open_index = event.index
        self._open = part_writer(event, self._spoken)
        return self._open.begin()

    def _more(self, event: PartEvent) -> list[object]:
        assert self._open is not None
        told = self._open.more(event)
        return told + self._close() + self._next() if isinstance(event, PartEnd) else told

    def _close(self) -> list[object]:
        assert self._open is not None
        told, self._open = self._open.end(), None
        return told

    def _next(self) -> list[object]:
        """Begin the part that waits longest, and write what has come of it."""
        if not self._waiting:
            return []
        first, *rest = self._waiting.pop(next(iter(self._waiting)))
        assert isinstance(first, PartStart)
        told = self._begin(first)
        for event in rest:
            told += self._more(event)
        return told


class StreamRenderer:
    """Writes one stream, each message a whole answer that says what is new."""

    __slots__ = (
        "_array",
        "_asked",
        "_begun",
        "_candidates",
        "_extras",
        "_failed",
        "_start",
        "_tier",
        "_told",
        "_usage",
    )

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._array = asked.envelope.stream_type != EVENT_STREAM
        self._begun = False
        self._failed = False
        self._start = Start()
        self._told: Json = {}
        """What the answer says of itself once, until it is written."""
        self._extras: dict[str, dict[str, list[Raw]]] = {}
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._candidates: dict[int, _Candidate] = {}

    def feed(self, event: Event) -> bytes:
        """Return the messages that tell `event`; most often one, or none."""
        match event:
            case Start(extras=extras, service_tier=tier):
                self._start, self._tier = event, tier
                self._told = {**own(extras)}
            case UsageEvent(usage=usage, service_tier=tier):
                self._usage = usage
                self._tier = tier or self._tier
            case ExtraDelta(candidate=None, origin=origin, name=name, value=value):
                self._extras.setdefault(origin, {}).setdefault(name, []).append(value)
            case ExtraDelta(candidate=at, origin=origin, name=name, value=value):
                if origin == ORIGIN and at is not None:
                    self._candidate(at).extras.setdefault(name, []).append(value)
            case Finish(candidate=at):
                self._candidate(at).finish = event
            case Fail(error=error):
                self._failed = True
                return self._element(told_error(error)) + (b"]" if self._array else b"")
            case _:
                return self._part_event(event)
        return b""

    def end(self) -> bytes:
        """Return what ends the stream: why each candidate ended, and the usage; nothing after a Fail."""
        if self._failed:
            return b""
        extras = self._joined()
        refused = FEEDBACK in {**self._told, **own(extras)} and not any(
            candidate.spoke for candidate in self._candidates.values()
        )
        more = {**own(self._start.extras, USAGE), **own(extras, USAGE)}
        usage = usage_of(self._usage, self._tier, more)
        candidates = [self._last(at, candidate) for at, candidate in sorted(self._candidates.items())]
        told: Json = {} if refused else {"candidates": candidates}
        return self._message({**told, **own(extras), USAGE: usage}) + (b"]" if self._array else b"")

    def _candidate(self, at: int) -> _Candidate:
        return self._candidates.setdefault(at, _Candidate())

    def _part_event(self, event: PartEvent) -> bytes:
        parts = self._candidate(event.candidate).take(event)
        return self._message({"candidates": [{**_content(parts), "index": event.candidate}]}) if parts else b""

    def _last(self, at: int, candidate: _Candidate) -> Json:
        """Return what ends a candidate. Its content is never without a part: client libraries would not keep it."""
        finish = candidate.finish
        ended = Candidate() if finish is None else Candidate(stop=finish.stop, native_stop=finish.native_stop)
        parts = candidate.end() or [{"text": ""}]
        extras = {name: join(values) for name, values in candidate.extras.items()}
        return {**_content(parts), **finish_of(ended), "index": at, **candidate.sources(), **extras}

    def _joined(self) -> Extras:
        return {
            origin: {name: join(values) for name, values in members.items()} for origin, members in self._extras.items()
        }

    def _message(self, said: Json) -> bytes:
        once, self._told = self._told, {}
        told = {**said, **once, **head(self._start.id, self._start.model, self._asked)}
        return self._element(_encoder.encode(told))

    def _element(self, said: bytes) -> bytes:
        if not self._array:
            return b"data: " + one_line(said) + b"\r\n\r\n"
        begun, self._begun = self._begun, True
        return (b",\r\n" if begun else b"[") + said


def _is_wordless(part: object) -> bool:
    match part:
        case {"text": ""}:
            return True
        case _:
            return False


def _content(parts: list[object]) -> Json:
    return {"content": {"parts": parts, "role": "model"}}
