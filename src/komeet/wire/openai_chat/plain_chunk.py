"""The usual event of a stream, text and nothing else, read in one go.

Most events are such, and reading one member by member takes some five times as long.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.wire.members import NULL


class _Delta(Struct, forbid_unknown_fields=True):
    content: str
    role: Raw = NULL
    refusal: None = None


class _Choice(Struct, forbid_unknown_fields=True):
    delta: _Delta
    index: int = 0
    logprobs: None = None
    finish_reason: None = None


class PlainChunk(Struct, forbid_unknown_fields=True):
    """A chunk that adds text to one candidate; the members that say nothing after the first are passed over."""

    choices: tuple[_Choice]
    system_fingerprint: Raw = NULL
    id: Raw = NULL
    object: Raw = NULL
    created: Raw = NULL
    model: Raw = NULL
    service_tier: Raw = NULL
    obfuscation: Raw = NULL
    usage: None = None


_decoder: Final = msgspec.json.Decoder(PlainChunk)


def read_plain(data: bytes) -> PlainChunk | None:
    """Return the chunk if there is nothing to it but text; None where it has to be read member by member."""
    try:
        chunk = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return chunk if chunk.choices[0].delta.content else None
