"""What a call used, in one convention, whatever the provider's own is."""

from typing import Final

from msgspec import Struct

APART: Final = frozenset({"web_searches", "storage_searches", "audio_ms"})
"""Classes that are no tokens, and no part of a total."""


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens by class, and what else is charged.

    A total contains its classes: `cache_read` is part of `input`, `reasoning` of `output`. Each wire format
    normalises its provider's convention to this one where it parses usage, and nowhere else.
    """

    input: int = 0
    """All input tokens, cached or not."""
    cache_read: int = 0
    """Part of `input` that was read from a prompt cache."""
    cache_write: int = 0
    """Part of `input` that was written to a prompt cache."""
    cache_write_1h: int = 0
    """Part of `cache_write` that is to be kept for an hour, where that is charged apart."""
    input_audio: int = 0
    """Part of `input` that is audio."""
    cache_read_audio: int = 0
    """Part of both `cache_read` and `input_audio`."""
    input_image: int = 0
    """Part of `input` that is images."""
    cache_read_image: int = 0
    """Part of both `cache_read` and `input_image`."""
    output: int = 0
    """All output tokens, reasoning included."""
    reasoning: int = 0
    """Part of `output` that is reasoning."""
    output_audio: int = 0
    """Part of `output` that is audio."""
    output_image: int = 0
    """Part of `output` that is images."""
    web_searches: int = 0
    """Searches that the provider ran, and charges each: of the web, or of the documents that it reranks."""
    storage_searches: int = 0
    """The same of files that the caller keeps with the provider."""
    audio_ms: int = 0
    """Milliseconds of sound, where a provider charges those."""
