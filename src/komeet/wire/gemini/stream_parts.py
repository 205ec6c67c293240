"""One part of an answer, written as it comes: texts and thoughts piece by piece, anything else when it is complete."""

from typing import TypeAlias

from msgspec.structs import replace

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    Event,
    PartEnd,
    PartStart,
    SealDelta,
    TextDelta,
)
from komeet.canonical.extras import Extras
from komeet.canonical.fold import fold
from komeet.canonical.part import Citation, Reasoning, Refusal, Text
from komeet.wire.gemini.answer_out import Signing
from komeet.wire.gemini.grounding import Grounding
from komeet.wire.gemini.parts_in import SIGNED_THOUGHT

PartEvent: TypeAlias = PartStart | TextDelta | ArgumentsDelta | AudioDelta | SealDelta | CitationDelta | PartEnd


class Spoken:
    """What the parts of one candidate share."""

    __slots__ = ("grounding", "signing")

    def __init__(self) -> None:
        self.signing = Signing()
        self.grounding = Grounding()


class TextWriter:
    """A text, or a refusal."""

    __slots__ = ("_begun", "_citations", "_extras", "_part", "_spoken")

    def __init__(self, part: Text | Refusal, spoken: Spoken) -> None:
        self._part = part
        self._extras: Extras = part.extras
        """Until they are written."""
        self._spoken = spoken
        self._begun = spoken.grounding.pieces
        self._citations: list[Citation] = []

    def begin(self) -> list[object]:
        """Return what can be written of it at once."""
        if isinstance(self._part, Text):
            self._citations += self._part.citations
        return self._write(self._part.text)

    def more(self, event: PartEvent) -> list[object]:
        """Return what can be written of it now."""
        match event:
            case TextDelta(text=text):
                return self._write(text)
            case CitationDelta(citation=citation):
                self._citations.append(citation)
            case _:
                pass
        return []

    def end(self) -> list[object]:
        """Return what is left of it."""
        for citation in self._citations:
            self._spoken.grounding.cite(citation, self._begun)
        return self._put("") if self._extras else []

    def _write(self, text: str) -> list[object]:
        if not text:
            return []
        self._spoken.grounding.add_text(text)
        return self._put(text)

    def _put(self, text: str) -> list[object]:
        extras, self._extras = self._extras, {}
        return self._spoken.signing.put(Text(text=text, extras=extras))


class ThoughtWriter:
    """A reasoning whose seal, if there will be one, comes behind its words."""

    __slots__ = ("_events", "_extras", "_part", "_spoken", "_wrote")

    def __init__(self, event: PartStart, part: Reasoning, spoken: Spoken) -> None:
        self._part = part
        self._extras: Extras = part.extras
        """Until they are written."""
        self._events: list[Event] = [replace(event, part=replace(part, text=""))]
        """What is told of its seal."""
        self._spoken = spoken
        self._wrote = False

    def begin(self) -> list[object]:
        """Return what can be written of it at once."""
        return self._write(self._part.text)

    def more(self, event: PartEvent) -> list[object]:
        """Return what can be written of it now."""
        match event:
            case TextDelta(text=text):
                return self._write(text)
            case SealDelta():
                self._events.append(event)
            case PartEnd(final=Reasoning() as final):
                self._events.append(replace(event, final=replace(final, text="")))
            case _:
                pass
        return []

    def end(self) -> list[object]:
        """Return the seal: on a thought without words, where they were written already."""
        (candidate,) = fold(self._events).candidates
        (part,) = candidate.parts
        if not isinstance(part, Reasoning) or part.seal is None:
            return []
        return self._spoken.signing.put(
            replace(part, field=SIGNED_THOUGHT if self._wrote else part.field, extras=self._extras)
        )

    def _write(self, text: str) -> list[object]:
        if not text:
            return []
        self._wrote = True
        extras, self._extras = self._extras, {}
        return self._spoken.signing.put(Reasoning(text=text, extras=extras))


class WholeWriter:
    """A part that is written when it is complete."""

    __slots__ = ("_events", "_spoken")

    def __init__(self, event: PartStart, spoken: Spoken) -> None:
        self._events: list[Event] = [event]
        self._spoken = spoken

    def begin(self) -> list[object]:
        """Return what can be written of it at once: nothing."""
        return []

    def more(self, event: PartEvent) -> list[object]:
        """Return what can be written of it now: nothing."""
        self._events.append(event)
        return []

    def end(self) -> list[object]:
        """Return the part."""
        (candidate,) = fold(self._events).candidates
        return [told for part in candidate.parts for told in self._spoken.signing.put(part)]


PartWriter: TypeAlias = TextWriter | ThoughtWriter | WholeWriter


def part_writer(event: PartStart, spoken: Spoken) -> PartWriter:
    """Return what writes the part that begins."""
    match event.part:
        case Text() | Refusal() as part:
            return TextWriter(part, spoken)
        case Reasoning(seal=None) as part:
            return ThoughtWriter(event, part, spoken)
        case _:
            return WholeWriter(event, spoken)
