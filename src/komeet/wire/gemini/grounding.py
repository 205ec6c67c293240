"""Where an answer's statements are from: Gemini's `groundingMetadata`, which counts in bytes, and citations."""

from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Raw

from komeet.canonical.part import Citation
from komeet.wire.gemini.answer import list_of, members_of, number_of, text_of
from komeet.wire.gemini.members import ORIGIN
from komeet.wire.members import NULL

Json: TypeAlias = dict[str, object]

_SOURCES: Final = ("web", "maps", "retrievedContext")
"""Kinds of sources that may have an address."""


def citations(metadata: Raw, before: str, text: str) -> Iterator[Citation]:
    """Yield the sources that have an address, of each statement in the last text of an answer.

    Args:
        metadata: `groundingMetadata`.
        before: the texts of the answer before the last one.
        text: the last one.
    """
    told = members_of(metadata)
    sources = [(raw, *_address(raw)) for raw in list_of(told.get("groundingChunks"))]
    for support in [members_of(each) for each in list_of(told.get("groundingSupports"))]:
        start, end = _span(members_of(support.get("segment", NULL)), before, text)
        for index in [number_of(each) for each in list_of(support.get("groundingChunkIndices"))]:
            if index is not None and index < len(sources) and sources[index][1]:
                raw, url, title = sources[index]
                yield Citation(origin=ORIGIN, value=raw, url=url, title=title, start=start, end=end)


class Grounding:
    """Sources that other formats' answers name, for the texts of one candidate, end to end."""

    __slots__ = ("_chunks", "_supports", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._chunks: list[Json] = []
        self._supports: list[Json] = []

    def add_text(self, text: str) -> None:
        """Note what the candidate says."""
        self._texts.append(text)

    def cite(self, citation: Citation, begun: int) -> None:
        """Note a source of a text that began after `begun` pieces."""
        if citation.origin == ORIGIN or not citation.url:
            return
        web: Json = {"web": {"uri": citation.url, "title": citation.title}}
        if web not in self._chunks:
            self._chunks.append(web)
        before, text = "".join(self._texts[:begun]).encode(), "".join(self._texts[begun:])
        start = 0 if citation.end is None else max(0, citation.start or 0)
        words = text[start : citation.end]
        at = len(before) + len(text[:start].encode())
        segment: Json = {"startIndex": at} if at else {}
        segment |= {"endIndex": at + len(words.encode()), "text": words}
        self._supports.append({"segment": segment, "groundingChunkIndices": [self._chunks.index(web)]})

    @property
    def pieces(self) -> int:
        """How many pieces of text there are."""
        return len(self._texts)

    def told(self) -> Json:
        """Return the metadata; empty where no source was named."""
        return {"groundingChunks": self._chunks, "groundingSupports": self._supports} if self._supports else {}


def _address(raw: Raw) -> tuple[str, str]:
    """Return the address and the title of a source; empty where it has none."""
    told = members_of(raw)
    for kind in _SOURCES:
        source = members_of(told.get(kind, NULL))
        if source:
            return text_of(source.get("uri")), text_of(source.get("title"))
    return "", ""


def _span(segment: dict[str, Raw], before: str, text: str) -> tuple[int | None, int | None]:
    """Return where in the last text a statement is, in characters; nowhere, if it is not where it is said to be."""
    start, end = number_of(segment.get("startIndex")) or 0, number_of(segment.get("endIndex")) or 0
    words = text_of(segment.get("text"))
    for skipped in ("", before):
        data = (skipped + text).encode()
        if words and data[start:end] == words.encode():
            first = len(data[:start].decode("utf-8", "replace")) - len(skipped)
            if first >= 0:
                return first, first + len(words)
    at = text.find(words) if words else -1
    return (at, at + len(words)) if at >= 0 else (None, None)
