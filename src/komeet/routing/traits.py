"""What a call is like, as far as a route may depend on it."""

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from komeet.canonical.part import Image, Part, Text, ToolResult
from komeet.canonical.request import JsonOutput, Request

_BYTES_PER_TOKEN = 4
_ANSWER = 1_024
"""Tokens that an answer is taken for where nobody limits it to less."""
_REMEMBERED = 4_096
"""Characters of the first words of a conversation that tell it from others."""


class Traits(Struct, frozen=True, kw_only=True):
    """A call, seen from afar."""

    stream: bool = False
    tools: bool = False
    json_schema: bool = False
    images: bool = False
    effort: str | None = None
    input_tokens: int = 0
    """About: a token for four bytes."""
    output_limit: int | None = None
    service_tier: str | None = None
    key: str = ""
    """The key's name."""
    tags: tuple[str, ...] = ()
    """The key's."""
    conversation: bytes = b""
    """The same for all calls of a conversation, whoever answers: a digest of how it begins."""

    @property
    def expected_output(self) -> int:
        """Tokens that the answer may have."""
        return _ANSWER if self.output_limit is None else min(self.output_limit, _ANSWER)


def traits_of(request: Request, *, size: int, key: str, tags: tuple[str, ...]) -> Traits:
    """Return what a call is like.

    Args:
        request: the call.
        size: bytes of its text.
        key: the name of its key.
        tags: those of its key.
    """
    return Traits(
        stream=bool(request.stream),
        tools=bool(request.tools),
        json_schema=isinstance(request.output, JsonOutput) and request.output.schema is not None,
        images=any(isinstance(part, Image) for part in _parts(request)),
        effort=request.effort,
        input_tokens=size // _BYTES_PER_TOKEN,
        output_limit=request.output_limit,
        service_tier=request.service_tier,
        key=key,
        tags=tags,
        conversation=_conversation(request),
    )


def _parts(request: Request) -> Iterator[Part]:
    for turn in request.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts


def _conversation(request: Request) -> bytes:
    """Return a digest of what stays as a conversation goes on: the caller's own name for it, or how it begins."""
    if request.prompt_cache_key is not None:
        return hashlib.blake2b(request.prompt_cache_key.encode(), digest_size=16).digest()
    words: list[str] = []
    for turn in request.turns:
        words += [f"{turn.role}:{part.text}" for part in turn.parts if isinstance(part, Text)]
        if turn.role == "user":
            break
    return hashlib.blake2b("\n".join(words)[:_REMEMBERED].encode("utf-8", "replace"), digest_size=16).digest()
