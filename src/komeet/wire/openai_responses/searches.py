"""Searches that ran at the provider: OpenAI charges each, and tells them by the items of the output alone.

Of a call to the web only `search` is charged, not what opens or reads a page that was found.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.usage import Usage
from komeet.wire.members import OBJECT
from komeet.wire.openai_responses.members import Members

_SIGN: Final = b"_search_call"


class Searches:
    """Counts the items of one answer, each once, though a stream says them twice."""

    __slots__ = ("_files", "_web")

    def __init__(self) -> None:
        self._web: set[int] = set()
        self._files: set[int] = set()

    def note(self, at: int, item: Mapping[str, Raw]) -> None:
        """Note the item at this place of the output; what is no search, or failed, is nothing."""
        if _SIGN not in bytes(item.get("type", b"")):
            return
        members = Members(dict(item))
        if members.fitting_text("status") == "failed":
            return
        match members.fitting_text("type"):
            case "web_search_call":
                action = Members(members.fitting("action", OBJECT) or {}).fitting_text("type")
                if action in ("", "search"):
                    self._web.add(at)
            case "file_search_call":
                self._files.add(at)
            case _:
                pass

    def note_all(self, items: Iterable[Mapping[str, Raw]]) -> None:
        """Note every item of an output, in order."""
        for at, item in enumerate(items):
            self.note(at, item)

    def added(self, usage: Usage | None) -> Usage | None:
        """Return the usage with the searches, unless the provider has counted them itself."""
        if usage is None or not (self._web or self._files):
            return usage
        return replace(
            usage,
            web_searches=usage.web_searches or len(self._web),
            storage_searches=usage.storage_searches or len(self._files),
        )
