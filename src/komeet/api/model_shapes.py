"""The list of models in the words of each library: OpenAI's, Anthropic's, Google's."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

import msgspec
from msgspec import Struct

from komeet.api.catalog import ending
from komeet.routing.listed import Listed


class Shape(Protocol):
    """One library's words."""

    def list(self, listing: Sequence[Listed], *, at: int) -> bytes:
        """Return the body that lists them, as of `at` (Unix milliseconds)."""
        ...

    def one(self, listed: Listed, *, at: int) -> bytes:
        """Return the body that tells of one."""
        ...


class _Named(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All but the first four members, and `shutdown_date`, are extensions."""

    id: str
    object: str
    created: int
    owned_by: str
    provider: str
    type: str = ""
    context_window: int | None = None
    output_limit: int | None = None
    features: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    priced: bool = False
    deprecated_at: str | None = None
    shutdown_at: str | None = None
    shutdown_date: str | None = None
    """The same as `shutdown_at`, where OpenAI's libraries look for it."""
    successor: str | None = None


class OpenAI:
    """As https://platform.openai.com/docs/api-reference/models says."""

    def list(self, listing: Sequence[Listed], *, at: int) -> bytes:
        """Return `{"object": "list", "data": […]}`."""
        return msgspec.json.encode({"object": "list", "data": [self._row(listed, at) for listed in listing]})

    def one(self, listed: Listed, *, at: int) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed, at))

    @staticmethod
    def _row(listed: Listed, at: int) -> _Named:
        end = ending(listed, at)
        return _Named(
            id=listed.id,
            object="model",
            created=0,
            owned_by=listed.provider,
            provider=listed.provider,
            type=listed.type,
            context_window=listed.window,
            output_limit=listed.output_limit,
            features=listed.features,
            efforts=listed.efforts,
            priced=listed.price is not None,
            shutdown_date=end.get("shutdown_at"),
            **end,
        )


class Anthropic:
    """As https://docs.claude.com/en/api/models-list says: one page with all of them."""

    def list(self, listing: Sequence[Listed], *, at: int) -> bytes:
        """Return `{"data": […], "has_more": false, …}`."""
        first = listing[0].id if listing else None
        last = listing[-1].id if listing else None
        rows = [self._row(listed, at) for listed in listing]
        return msgspec.json.encode({"data": rows, "has_more": False, "first_id": first, "last_id": last})

    def one(self, listed: Listed, *, at: int) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed, at))

    @staticmethod
    def _row(listed: Listed, at: int) -> dict[str, object]:
        end = listed.ending(at=at)
        return {
            "type": "model",
            "id": listed.id,
            "display_name": listed.model,
            "created_at": "1970-01-01T00:00:00Z",  # what is not known, as the library's documentation has it
            "max_input_tokens": listed.window,
            "max_tokens": listed.output_limit,
            "lifecycle": "active" if end is None else "deprecated",
            "deprecated_at": _moment(None if end is None else end.deprecated),
            "retires_at": _moment(None if end is None else end.shutdown),
        }


class Gemini:
    """As https://ai.google.dev/api/models says: one page with all of them."""

    def list(self, listing: Sequence[Listed], *, at: int) -> bytes:
        """Return `{"models": […]}`."""
        return msgspec.json.encode({"models": [self._row(listed, at) for listed in listing]})

    def one(self, listed: Listed, *, at: int) -> bytes:
        """Return one line of the list."""
        return msgspec.json.encode(self._row(listed, at))

    @staticmethod
    def _row(listed: Listed, at: int) -> dict[str, object]:  # noqa: ARG004 - shapes are alike
        row: dict[str, object] = {
            "name": f"models/{listed.id}",
            "displayName": listed.model,
            "description": f"{listed.model} at {listed.provider}",
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        }
        limits = {"inputTokenLimit": listed.window, "outputTokenLimit": listed.output_limit}
        return row | {name: limit for name, limit in limits.items() if limit is not None}


def _moment(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"


def choose_shape(path: str, headers: Mapping[bytes, bytes]) -> Shape:
    """Return the shape that the library expects: its path tells, or a header that it always sends."""
    if path.startswith("/v1beta/") or b"x-goog-api-key" in headers:
        return Gemini()
    if b"anthropic-version" in headers:
        return Anthropic()
    return OpenAI()
