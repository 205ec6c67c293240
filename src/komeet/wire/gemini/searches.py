"""Searches that Gemini ran to ground an answer: it charges them, and tells them by the queries alone.

Google's page on grounding: Gemini 3 is charged by query, of which empty ones, and those that are asked twice, do not
count; the models before by prompt, however many queries that took.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.usage import Usage
from komeet.wire.gemini.answer import GROUNDING, list_of, members_of, text_of
from komeet.wire.members import NULL

_QUERIES: Final = "webSearchQueries"
_BY_PROMPT: Final = ("gemini-1", "gemini-2")


class Searches:
    """Gathers the queries of one answer, which a stream may say more than once."""

    __slots__ = ("_queries",)

    def __init__(self) -> None:
        self._queries: set[str] = set()

    def note(self, candidates: Iterable[Raw]) -> None:
        """Note what the candidates of an answer, or of a chunk of one, were grounded with."""
        for raw in candidates:
            if _QUERIES.encode() in bytes(raw):
                metadata = members_of(members_of(raw).get(GROUNDING, NULL))
                self._queries.update(text_of(query) for query in list_of(metadata.get(_QUERIES)))

    def added(self, usage: Usage | None, model: str) -> Usage | None:
        """Return the usage with what is charged of them; `model` is the one that answered."""
        count = len(self._queries - {""})
        if usage is None or not count:
            return usage
        by_prompt = model.rpartition("/")[2].startswith(_BY_PROMPT)
        return replace(usage, web_searches=1 if by_prompt else count)
