"""An answer that one model begins and another ends: what the caller has been told, and how the rest is told."""

from typing import Final, final

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
from komeet.canonical.part import Reasoning, Text
from komeet.canonical.request import Request
from komeet.canonical.turn import Role, Turn
from komeet.wire.format import StreamRenderer

_ASK: Final = (
    "Your answer was cut off. Go on exactly where it ends: do not repeat any of it, do not begin anew, and say nothing"
    " about the interruption."
)
_OVERHEAD: Final = 400
"""Bytes at most that the request grows by, besides the text."""


@final
class Story:
    """Writes one stream for the caller, whoever tells it (see `format.StreamRenderer`).

    Only text can be gone on with: what a model has begun to ask of tools, nobody else can end.
    """

    __slots__ = ("_ended", "_going_on", "_next", "_open", "_places", "_plain", "_renderer", "_text")

    def __init__(self, renderer: StreamRenderer) -> None:
        self._renderer: Final = renderer
        self._text: Final[list[str]] = []
        self._plain = True
        self._ended = False
        self._going_on = False
        self._open: int | None = None
        """The text that is being told."""
        self._next = 0
        """The index of the next part."""
        self._places: dict[int, int | None] = {}
        """Where the parts of who goes on stand; None: they are not told."""

    @property
    def text(self) -> str:
        """All that has been told."""
        return "".join(self._text)

    @property
    def can_go_on(self) -> bool:
        """Whether another model can tell the rest."""
        return bool(self._text) and self._plain and not self._ended

    def go_on(self) -> None:
        """Note that what follows is another's."""
        self._going_on = True
        self._places = {}

    def feed(self, event: Event) -> bytes:
        """Return what tells `event`, which has its place behind what was told before."""
        if not self._going_on:
            self._note(event)
            return self._renderer.feed(event)
        return b"".join([self._told(one) for one in self._placed(event)])

    def end(self) -> bytes:
        """Return what ends the stream."""
        self._ended = True
        return self._renderer.end()

    def _told(self, event: Event) -> bytes:
        self._note(event)
        return self._renderer.feed(event)

    def _note(self, event: Event) -> None:
        match event:
            case PartStart(candidate=candidate, index=index, part=part):
                self._next = max(self._next, index + 1)
                self._plain = self._plain and candidate == 0 and isinstance(part, Text | Reasoning)
                if isinstance(part, Text):
                    self._open = index
                    self._add(part.text)
            case TextDelta(index=index, text=text):
                if index == self._open:
                    self._add(text)
            case PartEnd(index=index):
                if index == self._open:
                    self._open = None
            case Finish() | Fail():
                self._ended = True
            case _:
                pass

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)

    def _placed(self, event: Event) -> tuple[Event, ...]:
        """Return the event of who goes on, in its place; nothing where it is told already, or is none of the answer."""
        match event:
            case Start():
                return ()
            case PartStart(index=index, part=part):
                return self._begun(index, part, event)
            case TextDelta() | ArgumentsDelta() | AudioDelta() | SealDelta() | CitationDelta():
                place = self._places.get(event.index)
                return () if place is None else (replace(event, index=place),)
            case PartEnd(index=index):
                place = self._places.get(index)
                return () if place is None else (replace(event, index=place, final=None),)
            case Finish():
                return (*self._closed(), event)
            case UsageEvent() | ExtraDelta() | Fail():
                return (event,)

    def _begun(self, index: int, part: object, event: PartStart) -> tuple[Event, ...]:
        if isinstance(part, Reasoning):
            self._places[index] = None  # it is about going on, and would stand in the middle of a text
            return ()
        if isinstance(part, Text) and self._open is not None and self._open not in self._places.values():
            self._places[index] = self._open
            return (TextDelta(candidate=0, index=self._open, text=part.text),) if part.text else ()
        closed = self._closed()
        self._places[index] = self._next
        return (*closed, replace(event, index=self._next))

    def _closed(self) -> tuple[Event, ...]:
        """Return what ends the text that was begun before, where nobody else ends it."""
        if self._open is None or self._open in self._places.values():
            return ()
        return (PartEnd(candidate=0, index=self._open),)


def asked_on(request: Request, told: str) -> Request:
    """Return the request for the rest of an answer.

    Args:
        request: as the caller made it.
        told: what of the answer has been told; it is taken off the output limit, a token for four characters.
    """
    begun = Turn(role=Role.ASSISTANT, parts=(Text(text=told),))
    further = Turn(role=Role.USER, parts=(Text(text=_ASK),))
    limit = None if request.output_limit is None else max(1, request.output_limit - len(told) // 4)
    return replace(request, turns=(*request.turns, begun, further), output_limit=limit)


def grown_by(told: str) -> int:
    """Return the bytes at most by which that makes a request longer."""
    return 2 * len(told.encode("utf-8", "replace")) + _OVERHEAD
