"""What a stream has told of one of its answers, as far as what follows depends on it."""

from msgspec import Raw, Struct

from komeet.canonical.extras import join
from komeet.canonical.part import Citation, Seal
from komeet.wire.openai_chat.citations import annotations
from komeet.wire.openai_chat.sealed import DETAILS, is_foreign, render_detail

Json = dict[str, object]


class Words(Struct):
    """A text or a refusal."""

    name: str
    """The member that its deltas go by."""
    citations: list[Citation] = []
    offset: int = 0
    """Where it begins in the content, in characters."""
    length: int = 0


class Thought(Struct):
    """A reasoning."""

    name: str
    pieces: list[str] = []
    seals: list[Seal] = []
    """Of another format: they are told when the reasoning is complete."""


class Call(Struct):
    """A tool call."""

    number: int
    """Its own among the calls of the answer."""
    custom: bool
    empty: bool
    """Whether it has no arguments yet."""


class Spoken:
    """One answer of the stream."""

    __slots__ = ("_foreign", "_length", "_told", "_waiting", "begun", "parts")

    def __init__(self) -> None:
        self.begun = False
        self.parts: dict[int, Words | Thought | Call] = {}
        self._length = 0
        """Characters of the content."""
        self._told = 0
        """Entries of the reasoning that is kept for the next turn."""
        self._foreign = False
        self._waiting: list[str] = []
        """Reasoning without a seal, which is kept only if another has one."""

    def say(self, part: Words | Thought, text: str) -> None:
        """Count a piece of a text, and remember one of a reasoning."""
        match part:
            case Thought(pieces=pieces):
                pieces.append(text)
            case Words(name="content"):
                if not part.length:
                    part.offset = self._length
                part.length += len(text)
                self._length += len(text)
            case Words():
                pass

    def cite(self, index: int, citation: Citation) -> None:
        """Remember a source of a text."""
        part = self.parts.get(index)
        if isinstance(part, Words):
            part.citations.append(citation)

    def sources(self) -> list[Json]:
        """Return the annotations of all texts."""
        words = [part for part in self.parts.values() if isinstance(part, Words)]
        return [each for part in words for each in annotations(part.citations, part.offset, part.length)]

    def seal(self, index: int, seal: Seal) -> Json:
        """Return the delta that says a piece of a seal; that of another format is remembered."""
        if not is_foreign(seal):
            return {seal.name: seal.value}
        part = self.parts.get(index)
        if isinstance(part, Thought):
            part.seals.append(seal)
        return {}

    def keep(self, thought: Thought) -> Json:
        """Return the delta that keeps a complete reasoning for the next turn, if another format sealed one of them."""
        text = "".join(thought.pieces)
        if not thought.seals and not self._foreign:
            self._waiting.append(text)
            return {}
        entries: list[tuple[str, Seal | None]] = [(waiting, None) for waiting in self._waiting]
        entries.append((text, _whole(thought.seals)))
        self._waiting.clear()
        self._foreign = True
        first = self._told
        self._told += len(entries)
        return {DETAILS: [render_detail(said, seal, first + i) for i, (said, seal) in enumerate(entries)]}


def _whole(seals: list[Seal]) -> Seal | None:
    if not seals:
        return None
    value: Raw = join([seal.value for seal in seals])
    return Seal(origin=seals[-1].origin, name=seals[-1].name, value=value)
