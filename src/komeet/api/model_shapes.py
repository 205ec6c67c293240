"""The list of models in the words of each library: OpenAI's, Anthropic's, Google's."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from komeet.routing.directory import Listed


class Shape(Protocol):
    """One library's words."""

    def list(self, listing: Sequence[Listed]) -> bytes:
        """Return the body that lists them."""
        ...

    def one(self, listed: Listed) -> bytes:
        """Return the body that tells of one."""
        ...


class _Named(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`provider`, `context_window` and `priced` are extensions."""

    id: str
    object: str
    created: int
    owned_by: str
    provider: str
    context_window: int | None = None
    priced: bool = False


class OpenAI:
    """As https://platform.openai.com/docs/api-reference/models says."""

    def list(self, listing: Sequence[Listed]) -> bytes:
        """Return `{"object": "list", "data": […]}`."""
        return msgspec.json.encode({"object": "list", "data": [self._row(listed) for listed in listing]})

    def one(self, listed: Listed) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed))

    @staticmethod
    def _row(listed: Listed) -> _Named:
        return _Named(
            id=listed.id,
            object="model",
            created=0,
            owned_by=listed.provider,
            provider=listed.provider,
            context_window=listed.context_window,
            priced=listed.price is not None,
        )


class Anthropic:
    """As https://docs.claude.com/en/api/models-list says: one page with all of them."""

    def list(self, listing: Sequence[Listed]) -> bytes:
        """Return `{"data": […], "has_more": false, …}`."""
        first = listing[0].id if listing else None
        last = listing[-1].id if listing else None
        rows = [self._row(listed) for listed in listing]
        return msgspec.json.encode({"data": rows, "has_more": False, "first_id": first, "last_id": last})

    def one(self, listed: Listed) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed))

    @staticmethod
    def _row(listed: Listed) -> dict[str, object]:
        return {
            "type": "model",
            "id": listed.id,
            "display_name": listed.model,
            "created_at": "1970-01-01T00:00:00Z",  # what is not known, as the library's documentation has it
            "max_input_tokens": listed.context_window,
        }


class Gemini:
    """As https://ai.google.dev/api/models says: one page with all of them."""

    def list(self, listing: Sequence[Listed]) -> bytes:
        """Return `{"models": […]}`."""
        return msgspec.json.encode({"models": [self._row(listed) for listed in listing]})

    def one(self, listed: Listed) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed))

    @staticmethod
    def _row(listed: Listed) -> dict[str, object]:
        row: dict[str, object] = {
            "name": f"models/{listed.id}",
            "displayName": listed.model,
            "description": f"{listed.model} at {listed.provider}",
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        }
        return row if listed.context_window is None else row | {"inputTokenLimit": listed.context_window}


def choose_shape(path: str, headers: Mapping[bytes, bytes]) -> Shape:
    """Return the shape that the library expects: its path tells, or a header that it always sends."""
    if path.startswith("/v1beta/") or b"x-goog-api-key" in headers:
        return Gemini()
    if b"anthropic-version" in headers:
        return Anthropic()
    return OpenAI()
