"""From a Gemini stream to events. Each of its messages is a whole answer that says what is new."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.event import (
    AudioDelta,
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
from komeet.canonical.part import Audio, Inline, Part, Reasoning, Text, ToolCall
from komeet.canonical.response import StopReason
from komeet.core.errors import CutMidStream, WireError
from komeet.wire import sse
from komeet.wire.gemini.answer import (
    GROUNDING,
    UNREADABLE,
    USAGE,
    answer_extras,
    blocked,
    garbled,
    head_of,
    list_of,
    members_of,
    number_of,
    tier_of,
    usage_extras,
    word_of,
)
from komeet.wire.gemini.errors import parse_stream_error
from komeet.wire.gemini.finish import parse_finish
from komeet.wire.gemini.grounding import citations
from komeet.wire.gemini.members import ORIGIN, own
from komeet.wire.gemini.parts_in import parse_part
from komeet.wire.gemini.searches import Searches
from komeet.wire.gemini.usage import parse_usage
from komeet.wire.members import NULL

_NO_WORD: Final = frozenset({"content", "finishReason", "index"})
"""Members of a candidate that the model has words for."""
_PIECEMEAL: Final = frozenset({"citationMetadata", "logprobsResult"})
"""Members of a candidate that say in each message what is new; of the others, the last counts."""


class _Candidate:
    """A candidate of which more may come."""

    __slots__ = ("_at", "_before", "_calls", "_count", "_held", "_open", "_texts", "finished")

    def __init__(self, at: int) -> None:
        self._at = at
        self._count = 0
        self._open: Part | None = None
        """The part that the next message may go on with."""
        self._texts: list[str] = []
        """Of the text that is open."""
        self._before: list[str] = []
        """Of the texts before it."""
        self._calls = False
        self._held: dict[str, Raw] = {}
        self.finished = False

    def feed(self, told: dict[str, Raw]) -> Iterator[Event]:
        """Yield what one message says of the candidate."""
        path = f"candidates[{self._at}].content.parts"
        raws = list_of(members_of(told.get("content", NULL)).get("parts"))
        parts = [
            (part, position == 0)
            for position, raw in enumerate(raws)
            for part in parse_part(raw, f"{path}[{position}]")
            if not _says_nothing(part)
        ]
        cited = max([index for index, (part, _) in enumerate(parts) if isinstance(part, Text)], default=-1) + 1
        for part, first in parts[:cited]:
            yield from self._part(part, first=first)
        if told.get(GROUNDING, NULL) != NULL and isinstance(self._open, Text):
            yield from self._cite(told[GROUNDING])
        for part, first in parts[cited:]:
            yield from self._part(part, first=first)
        yield from self._extras(told)
        word = word_of(told.get("finishReason"))
        if word and not self.finished:
            yield from self.end()
            self.finished = True
            yield Finish(candidate=self._at, stop=parse_finish(word, calls=self._calls), native_stop=word)

    def end(self) -> Iterator[Event]:
        """Yield what was held back until the end."""
        yield from self._close()
        for name, value in self._held.items():
            yield ExtraDelta(candidate=self._at, origin=ORIGIN, name=name, value=value)
        self._held.clear()

    def _part(self, part: Part, *, first: bool) -> Iterator[Event]:
        if first and _goes_on(self._open, part):
            yield from self._more(part)
            return
        yield from self._close()
        match part:
            case Text() | Reasoning(seal=None):
                yield PartStart(candidate=self._at, index=self._count, part=replace(part, text=""))
                self._open = part
                yield from self._more(part)
            case Audio(source=Inline(media_type=media_type)):
                begun = replace(part, source=Inline(media_type, ""))
                yield PartStart(candidate=self._at, index=self._count, part=begun)
                self._open = part
                yield from self._more(part)
            case _:
                self._calls = self._calls or isinstance(part, ToolCall)
                yield PartStart(candidate=self._at, index=self._count, part=part)
                self._open = part
                yield from self._close()

    def _more(self, part: Part) -> Iterator[Event]:
        match part:
            case Text(text=text):
                self._texts.append(text)
                yield TextDelta(candidate=self._at, index=self._count, text=text)
            case Reasoning(text=text):
                yield TextDelta(candidate=self._at, index=self._count, text=text)
            case Audio(source=Inline(data=data)):
                yield AudioDelta(candidate=self._at, index=self._count, data=data)
            case _:
                pass

    def _close(self) -> Iterator[Event]:
        if self._open is None:
            return
        self._open = None
        self._before += self._texts
        self._texts = []
        yield PartEnd(candidate=self._at, index=self._count)
        self._count += 1

    def _cite(self, metadata: Raw) -> Iterator[Event]:
        for citation in citations(metadata, "".join(self._before), "".join(self._texts)):
            yield CitationDelta(candidate=self._at, index=self._count, citation=citation)

    def _extras(self, told: dict[str, Raw]) -> Iterator[Event]:
        for name, value in told.items():
            if name in _NO_WORD or value == NULL:
                continue
            if name in _PIECEMEAL or self.finished:
                yield ExtraDelta(candidate=self._at, origin=ORIGIN, name=name, value=value)
            else:
                self._held[name] = value


def _says_nothing(part: Part) -> bool:
    match part:
        case Text(text="", extras=extras) | Reasoning(text="", seal=None, extras=extras):
            return not own(extras)
        case _:
            return False


def _goes_on(before: Part | None, part: Part) -> bool:
    """Whether a part is more of the one before it: a signature begins one of its own."""
    match before, part:
        case (Text(extras=had), Text(extras=has)) | (Reasoning(extras=had), Reasoning(seal=None, extras=has)):
            return not own(had) and not own(has)
        case Audio(source=Inline(media_type=had)), Audio(source=Inline(media_type=has)):
            return had == has
        case _:
            return False


class StreamParser:
    """Reads one stream, message by message. There is none that ends it: it is complete when all candidates are."""

    __slots__ = ("_began", "_blocked", "_candidates", "_extras", "_model", "_over", "_searches", "_usage")

    def __init__(self) -> None:
        self._began = False
        self._blocked = False
        self._candidates: dict[int, _Candidate] = {}
        self._extras: dict[str, Raw] = {}
        self._searches = Searches()
        self._model = ""
        self._usage = NULL
        self._over = False

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one message tells.

        Raises:
            Garbled: it is not what the format says.
        """
        if self._over:
            return ()
        members = members_of(said.data)
        if members.get("error", NULL) != NULL:
            self._over = True
            return (Fail(error=parse_stream_error(said.data)),)
        if not members:
            raise garbled(f"a message that is no JSON object: {said.data[:80]!r}")
        try:
            return tuple(self._message(members))
        except (WireError, msgspec.ValidationError, *UNREADABLE) as error:
            raise garbled(str(error)) from error

    def end(self) -> tuple[Event, ...]:
        """Return the events that the end of the stream means: the last, a Fail where it came too early."""
        if self._over:
            return ()
        self._over = True
        finished = [candidate.finished for candidate in self._candidates.values()]
        if not (self._blocked or (finished and all(finished))):
            return (Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")),)
        return tuple(self.rest())

    def rest(self) -> Iterator[Event]:
        """Yield what was held back until the end."""
        for candidate in self._candidates.values():
            yield from candidate.end()
        for origin, members in usage_extras(self._usage).items():
            for name, value in members.items():
                yield ExtraDelta(candidate=None, origin=origin, name=name, value=value)

    def _message(self, members: dict[str, Raw]) -> Iterator[Event]:
        candidates = list_of(members.get("candidates"))
        self._searches.note(candidates)
        yield from self._head(members)
        for position, raw in enumerate(candidates):
            told = members_of(raw)
            index = number_of(told.get("index"))
            at = position if index is None else index
            yield from self._candidates.setdefault(at, _Candidate(at)).feed(told)
        word = blocked(members)
        if word and not self._candidates and not self._blocked:
            self._blocked = True
            yield Finish(candidate=0, stop=StopReason.CONTENT_FILTER, native_stop=word)
        yield from self._used(members)

    def _head(self, members: dict[str, Raw]) -> Iterator[Event]:
        extras = answer_extras(members)
        if not self._began:
            self._began = True
            head = head_of(members)
            self._model = head.model
            yield Start(
                id=head.id, model=head.model, created=head.created, service_tier=head.service_tier, extras=extras
            )
            yield from self._used(members)  # told early for formats that begin with it; it counts after the parts
        else:
            for name, value in extras.get(ORIGIN, {}).items():
                if self._extras.get(name) != value:
                    yield ExtraDelta(candidate=None, origin=ORIGIN, name=name, value=value)
        self._extras |= extras.get(ORIGIN, {})

    def _used(self, members: dict[str, Raw]) -> Iterator[Event]:
        raw = members.get(USAGE, NULL)
        usage = self._searches.added(None if raw == NULL else parse_usage(raw), self._model)
        if usage is not None:
            self._usage = raw
            yield UsageEvent(usage=usage, service_tier=tier_of(raw))
