"""The blocks of a stream while they are still coming; one is open at a time, and one that says nothing is no part."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec
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
from komeet.canonical.extras import join
from komeet.canonical.part import Opaque, Part, Reasoning, Text, ToolCall
from komeet.wire.bedrock_converse.answer import (
    REDACTED,
    SERVER_CALL,
    SIGNATURE,
    citation,
    garbled,
    image,
    members_of,
    seal_of,
    server_tool,
    text_of,
)
from komeet.wire.bedrock_converse.members import ORIGIN
from komeet.wire.json import encode_object

_NO_INPUT: Final = b"{}"


class Block(Protocol):
    """A block of which more may come."""

    index: int
    said: bool
    """Whether it has become a part."""

    def takes(self, kind: str) -> bool:
        """Whether a delta of this kind is more of it."""
        ...

    def begin(self) -> Iterator[Event]:
        """Yield what is told before the first delta."""
        ...

    def delta(self, kind: str, value: Raw) -> Iterator[Event]:
        """Yield what one delta tells."""
        ...

    def end(self) -> Iterator[Event]:
        """Yield what is left to tell."""
        ...


def begin(kind: str, start: dict[str, Raw], index: int) -> Block:
    """Return the block that begins as `start` says, or with a delta of `kind` where it says nothing."""
    match kind:
        case "text" | "citation":
            return _Spoken(index)
        case "reasoningContent":
            return _Thought(index)
        case "toolUse" if text_of(start.get("type")) != SERVER_CALL:
            if not start:
                raise garbled("a delta of a call that never began")
            return _Call(index, start)
        case _:
            return _Held(index, kind, start)


class _Spoken:
    """A text, with the sources that it names."""

    __slots__ = ("index", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.said = False

    def takes(self, kind: str) -> bool:
        return kind in ("text", "citation")

    def begin(self) -> Iterator[Event]:
        return iter(())

    def delta(self, kind: str, value: Raw) -> Iterator[Event]:
        if kind == "citation":
            yield from self._speak()
            yield CitationDelta(candidate=0, index=self.index, citation=citation(value))
        elif text := text_of(value):
            yield from self._speak()
            yield TextDelta(candidate=0, index=self.index, text=text)

    def end(self) -> Iterator[Event]:
        if self.said:
            yield PartEnd(candidate=0, index=self.index)

    def _speak(self) -> Iterator[Event]:
        if not self.said:
            self.said = True
            yield PartStart(candidate=0, index=self.index, part=Text())


class _Thought:
    """A reasoning; what seals it comes after its text, and may come in pieces."""

    __slots__ = ("_redacted", "_signature", "index", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.said = False
        self._signature: list[str] = []
        self._redacted: list[str] = []

    def takes(self, kind: str) -> bool:
        return kind == "reasoningContent"

    def begin(self) -> Iterator[Event]:
        return iter(())

    def delta(self, kind: str, value: Raw) -> Iterator[Event]:  # noqa: ARG002 - there is but one kind
        members = members_of(value)
        self._signature.append(text_of(members.get(SIGNATURE)))
        self._redacted.append(text_of(members.get(REDACTED)))
        text = text_of(members.get("text"))
        if text:
            yield from self._speak()
            yield TextDelta(candidate=0, index=self.index, text=text)

    def end(self) -> Iterator[Event]:
        signature, redacted = "".join(self._signature), _joined([piece for piece in self._redacted if piece])
        if signature or redacted:
            yield from self._speak()
            seal = seal_of(REDACTED, redacted) if redacted else seal_of(SIGNATURE, signature)
            yield SealDelta(candidate=0, index=self.index, seal=seal)
        if self.said:
            yield PartEnd(candidate=0, index=self.index)

    def _speak(self) -> Iterator[Event]:
        if not self.said:
            self.said = True
            yield PartStart(candidate=0, index=self.index, part=Reasoning())


class _Call:
    """A call of one of the caller's tools."""

    __slots__ = ("_argued", "_start", "index", "said")

    def __init__(self, index: int, start: dict[str, Raw]) -> None:
        self.index = index
        self.said = False
        self._start = start
        self._argued = False

    def takes(self, kind: str) -> bool:
        return kind == "toolUse"

    def begin(self) -> Iterator[Event]:
        self.said = True
        call = ToolCall(id=text_of(self._start.get("toolUseId")), name=text_of(self._start.get("name")))
        yield PartStart(candidate=0, index=self.index, part=call)

    def delta(self, kind: str, value: Raw) -> Iterator[Event]:  # noqa: ARG002 - there is but one kind
        data = text_of(members_of(value).get("input"))
        if data:
            self._argued = True
            yield ArgumentsDelta(candidate=0, index=self.index, data=data.encode())

    def end(self) -> Iterator[Event]:
        if not self._argued:
            yield ArgumentsDelta(candidate=0, index=self.index, data=_NO_INPUT)
        yield PartEnd(candidate=0, index=self.index)


class _Held:
    """A block that is told when it is complete: of a tool of the provider's, a picture, or of an unknown kind."""

    __slots__ = ("_kind", "_pieces", "_start", "index", "said")

    def __init__(self, index: int, kind: str, start: dict[str, Raw]) -> None:
        self.index = index
        self.said = False
        self._kind = kind
        self._start = start
        self._pieces: list[Raw] = []

    def takes(self, kind: str) -> bool:
        return kind == self._kind

    def begin(self) -> Iterator[Event]:
        return iter(())

    def delta(self, kind: str, value: Raw) -> Iterator[Event]:  # noqa: ARG002 - there is but one kind
        self._pieces.append(value)
        return iter(())

    def end(self) -> Iterator[Event]:
        self.said = True
        yield PartStart(candidate=0, index=self.index, part=self._part())
        yield PartEnd(candidate=0, index=self.index)

    def _part(self) -> Part:
        match self._kind:
            case "toolUse":
                told = "".join([text_of(members_of(piece).get("input")) for piece in self._pieces])
                return server_tool(self._kind, {**self._start, "input": _json(told or "{}")})
            case "toolResult":
                return server_tool(self._kind, {**self._start, "content": join(self._pieces or [Raw(b"[]")])})
            case _:
                members = {**self._start, **members_of(join(self._pieces))}
                picture = image(text_of(members.get("format")), members_of(members.get("source")))
                if self._kind == "image" and picture is not None:
                    return picture
                return Opaque(origin=ORIGIN, value=Raw(encode_object({self._kind: Raw(encode_object(members))})))


def _json(text: str) -> Raw:
    """Return JSON as it was written, or as a string where it is broken."""
    try:
        msgspec.json.decode(text, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return Raw(msgspec.json.encode(text))
    return Raw(text.encode())


def _joined(pieces: Sequence[str]) -> str:
    """Join pieces of base64, each of which may be padded."""
    if len(pieces) < 2:
        return "".join(pieces)
    try:
        return b64encode(b"".join([b64decode(piece, validate=True) for piece in pieces])).decode("ascii")
    except (NotBase64, ValueError) as error:
        raise garbled("a redacted reasoning is not base64") from error
