"""The name of an entry: a digest of everything that changes an answer, and of whose it is before all else."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.core.http import Headers

_HOW: Final = frozenset({"stream", "stream_options"})
"""Members that say how an answer is sent and not what it says."""
_HEADERS: Final = (b"anthropic-beta", b"anthropic-version", b"openai-beta")
"""Headers that may change an answer, whatever the caller's format makes of them."""


class Question(Struct, frozen=True, kw_only=True):
    """What was asked, by whom, and who would be asked for the answer."""

    tenant: str
    """Who shares answers: an organisation, or a key."""
    version: str
    """Of Komeet, whose translation may change."""
    format: str
    """The caller's."""
    model: str
    """As it was asked for."""
    answerers: bytes
    """Who may be asked, and how: another route, alias or address makes it another question."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Those that change an answer."""
    members: tuple[tuple[str, bytes], ...] = ()
    """The members of the body, sorted, each as it was written but for white space."""


def digest_of(question: Question) -> bytes:
    """Return the 32 bytes under which the answer is kept; of two questions that differ they differ."""
    digest = hashlib.blake2b(digest_size=32, person=b"komeet.cache")
    for piece in _pieces(question):
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.digest()


def members_of(fields: Mapping[str, Raw]) -> tuple[tuple[str, bytes], ...]:
    """Return what a body says, whatever the order of its members, and whether or not it is to be streamed.

    Only what cannot have a meaning is ignored: the order of the top level, and white space between tokens. What is
    inside (the properties of a schema, say) reaches the model in the order in which it was written, and numbers and
    texts count as they were written.

    Args:
        fields: the top level of a body that was checked to be JSON.
    """
    return tuple(sorted((name, _tight(value)) for name, value in fields.items() if name not in _HOW))


def _tight(value: Raw) -> bytes:
    return msgspec.json.format(bytes(value), indent=-1)


def headers_of(headers: Mapping[bytes, bytes], understood: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that change an answer.

    Args:
        headers: of the request.
        understood: those that the caller's format hands on.
    """
    named = {name: headers[name] for name in _HEADERS if name in headers}
    return tuple(sorted((named | dict(understood)).items()))


def _pieces(question: Question) -> Iterator[bytes]:
    """Yield what is hashed; each list after its length, so that nothing can pass for something else."""
    for text in (question.tenant, question.version, question.format, question.model):
        yield text.encode("utf-8", "surrogatepass")
    yield question.answerers
    yield from _pairs(question.headers)
    yield from _pairs((name.encode("utf-8", "surrogatepass"), value) for name, value in question.members)


def _pairs(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    listed = list(pairs)
    yield b"%d" % len(listed)
    for name, value in listed:
        yield name
        yield value
