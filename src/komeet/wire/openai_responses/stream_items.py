"""The items of a stream while they are being written, and the events that tell of their parts."""

from collections.abc import Iterator

from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    PartEnd,
    PartStart,
    SealDelta,
    TextDelta,
)
from komeet.canonical.extras import Extras
from komeet.canonical.part import Citation, Part, Reasoning, Refusal, Text, ToolCall
from komeet.wire.openai_responses.answer import item_parts, of_message
from komeet.wire.openai_responses.members import ORIGIN, REASONING_TEXT, Members


class _Piece:
    """A part of which more may come."""

    __slots__ = ("citations", "ended", "final", "index", "sent")

    def __init__(self, index: int) -> None:
        self.index = index
        self.sent: list[str] = []
        self.citations = 0
        self.ended = False
        self.final: Part | None = None
        """What the provider said of the piece alone, once it was complete."""


class Item:
    """An item of the output of which more may come."""

    __slots__ = ("done", "kind", "members", "mode", "pieces", "section")

    def __init__(self, kind: str, members: dict[str, Raw]) -> None:
        self.kind = kind
        self.members = members
        self.pieces: dict[int, _Piece] = {}
        """By their place in the content."""
        self.mode = ""
        """Of a reasoning: whether its summary or its own text is told."""
        self.section = 0
        self.done = False


class Output:
    """The parts of one answer. Only calls of tools stay open while another part is written."""

    __slots__ = ("_count", "_done", "_items", "_open", "parts")

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._done: set[bytes] = set()
        """Ids of items that are complete."""
        self._count = 0
        self._open: tuple[Item, _Piece] | None = None
        self.parts: list[Part] = []
        """Those that are complete."""

    def add(self, at: int, item: dict[str, Raw]) -> Iterator[Event]:
        """Begin an item; a call of a tool tells its name at once."""
        members = Members(item)
        kind = members.fitting_text("type")
        found = self._items[at] = Item(kind, item)
        if kind not in ("function_call", "custom_tool_call") or not members.fitting_text("name"):
            return
        custom = kind == "custom_tool_call"
        call = item_parts({**item, "input" if custom else "arguments": Raw(b'""')}, f"output[{at}]")[0]
        yield from self._begin(found, 0, call)

    def begin_text(self, at: int, place: int, part: Part) -> Iterator[Event]:
        """Begin a piece of a message, unless it has begun."""
        item = self._items.get(at)
        if item is None or item.done:
            item = self._items[at] = Item("message", {})
        piece = item.pieces.get(place)
        if piece is None or piece.ended:
            members = {name: item.members[name] for name in ("id", "phase") if name in item.members}
            yield from self._begin(item, place, of_message(part, members))

    def text(self, at: int, place: int, part: Part, text: str) -> Iterator[Event]:
        """Add to a piece of a message; `part` says of which kind it is."""
        yield from self.begin_text(at, place, part)
        piece = self._items[at].pieces[place]
        yield self._text(piece, text)

    def cite(self, at: int, place: int, citation: Citation) -> Iterator[Event]:
        """Add a source to a text."""
        yield from self.begin_text(at, place, Text())
        piece = self._items[at].pieces[place]
        piece.citations += 1
        yield CitationDelta(candidate=0, index=piece.index, citation=citation)

    def reason(self, at: int, mode: str, section: int, text: str) -> Iterator[Event]:
        """Add to a reasoning; sections are told apart by an empty line. Only one of its two modes is told."""
        item = self._items.get(at)
        if item is None or item.done:
            item = self._items[at] = Item("reasoning", {})
        if item.mode not in ("", mode):
            return
        if not item.mode:
            item.mode, item.section = mode, section
            field = REASONING_TEXT if mode == REASONING_TEXT else ""
            named: Extras = {ORIGIN: {"id": item.members["id"]}} if "id" in item.members else {}
            yield from self._begin(item, 0, Reasoning(field=field, extras=named))
        piece = item.pieces[0]
        if piece.ended:
            return
        if section != item.section:
            item.section = section
            text = f"\n\n{text}" if piece.sent else text
        yield self._text(piece, text)

    def argue(self, at: int, text: str) -> Iterator[Event]:
        """Add to the arguments of a call; without a name they wait for the whole item."""
        item = self._items.get(at)
        piece = None if item is None else item.pieces.get(0)
        if piece is not None and not piece.ended:
            piece.sent.append(text)
            yield ArgumentsDelta(candidate=0, index=piece.index, data=text.encode())

    def keep(self, at: int, place: int, part: Part) -> None:
        """Remember what a piece of a message is, now that it is complete."""
        item = self._items.get(at)
        piece = None if item is None else item.pieces.get(place)
        if item is not None and piece is not None:
            members = {"id": item.members["id"]} if "id" in item.members else {}
            piece.final = of_message(part, members)

    def finish(self, at: int, item: dict[str, Raw]) -> Iterator[Event]:
        """End an item as the provider says it once more, whole; tell what has not been told of it."""
        known = self._items.get(at)
        if known is None or known.done:
            known = self._items[at] = Item(Members(item).fitting_text("type"), item)
        known.done = True
        if "id" in item:
            self._done.add(bytes(item["id"]))
        for place, part in enumerate(item_parts(item, f"output[{at}]")):
            piece = known.pieces.get(place)
            if piece is None:
                yield from self._begin(known, place, _begun(part))
                piece = known.pieces[place]
            if not piece.ended:
                yield from self._rest(piece, part)
                yield from self._end(known, piece, part)
        for piece in known.pieces.values():
            if not piece.ended:
                yield from self._end(known, piece, None)

    def is_done(self, at: int, item: dict[str, Raw]) -> bool:
        """Whether an item of the whole answer has been told."""
        if "id" in item and bytes(item["id"]) in self._done:
            return True
        known = self._items.get(at)
        return known is not None and known.done and known.kind == Members(item).fitting_text("type")

    def close(self) -> Iterator[Event]:
        """End what is still open."""
        for item in self._items.values():
            for piece in item.pieces.values():
                if not piece.ended:
                    yield from self._end(item, piece, None)

    def _begin(self, item: Item, place: int, part: Part) -> Iterator[Event]:
        if self._open is not None:
            held, open_piece = self._open
            yield from self._end(held, open_piece, open_piece.final)
        piece = item.pieces[place] = _Piece(self._count)
        self._count += 1
        if not isinstance(part, ToolCall):
            self._open = (item, piece)
        yield PartStart(candidate=0, index=piece.index, part=part)

    def _end(self, item: Item, piece: _Piece, final: Part | None) -> Iterator[Event]:
        piece.ended = True
        if self._open is not None and self._open[1] is piece:
            self._open = None
        self.parts.append(_nothing(item) if final is None else final)
        yield PartEnd(candidate=0, index=piece.index, final=final)

    def _text(self, piece: _Piece, text: str) -> TextDelta:
        piece.sent.append(text)
        return TextDelta(candidate=0, index=piece.index, text=text)

    def _rest(self, piece: _Piece, part: Part) -> Iterator[Event]:
        match part:
            case Text(text=text, citations=citations):
                yield from self._rest_of_text(piece, text)
                for citation in citations[piece.citations :]:
                    yield CitationDelta(candidate=0, index=piece.index, citation=citation)
            case Refusal(text=text):
                yield from self._rest_of_text(piece, text)
            case Reasoning(text=text, seal=seal):
                yield from self._rest_of_text(piece, text)
                if seal is not None:
                    yield SealDelta(candidate=0, index=piece.index, seal=seal)
            case ToolCall(arguments=arguments):
                rest = _tail(arguments.decode("utf-8", "replace"), piece)
                if rest:
                    yield ArgumentsDelta(candidate=0, index=piece.index, data=rest.encode())
            case _:
                pass

    def _rest_of_text(self, piece: _Piece, text: str) -> Iterator[Event]:
        rest = _tail(text, piece)
        if rest:
            yield self._text(piece, rest)


def _tail(text: str, piece: _Piece) -> str:
    """Return what of `text` has not been told."""
    sent = "".join(piece.sent)
    return text[len(sent) :] if text.startswith(sent) else ""


def _begun(part: Part) -> Part:
    """Return a part as it is before anything is written."""
    match part:
        case Text(extras=extras):
            return Text(extras=extras)
        case Refusal(extras=extras):
            return Refusal(extras=extras)
        case Reasoning(field=field):
            return Reasoning(field=field)
        case ToolCall(id=name, name=tool, custom=custom, namespace=namespace, extras=extras):
            return ToolCall(id=name, name=tool, custom=custom, namespace=namespace, extras=extras)
        case _:
            return part


def _nothing(item: Item) -> Part:
    """Return the kind of a part that no one has said whole."""
    match item.kind:
        case "function_call" | "custom_tool_call":
            return ToolCall()
        case "reasoning":
            return Reasoning()
        case _:
            return Text()
