"""Vectors as JSON says them, both ways, and the checks that every provider's answer undergoes."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.embedding import EmbeddingRequest, Encoding, Floats, Packed, Vector, pack, unpack
from komeet.core.errors import Garbled

_NUMBERS: Final[Decoder[list[float]]] = Decoder(list[float])
_TEXT: Final[Decoder[str]] = Decoder(str)


def read_vector(raw: Raw) -> Vector:
    """Return the vector that is an array of numbers, or a string of base64; raises Garbled where it is neither."""
    try:
        return Packed(_TEXT.decode(raw)) if bytes(memoryview(raw)[:1]) == b'"' else Floats(_NUMBERS.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise Garbled("The provider answered with an embedding that is neither numbers nor base64.") from cause


def encoding_of(raw: Raw) -> Encoding | None:
    """Return how a vector is written, told from its first byte; None: in neither way."""
    return {b'"': Encoding.BASE64, b"[": Encoding.FLOAT}.get(bytes(memoryview(raw)[:1]))


def write_vector(vector: Vector, encoding: Encoding) -> str | list[float]:
    """Return the vector for JSON.

    Raises:
        Garbled: it holds what is no number, or none of 32 bits, so that it cannot be written in this way.
    """
    match vector, encoding:
        case Floats(values=values), Encoding.FLOAT:
            return values
        case Packed(text=text), Encoding.BASE64:
            return text
        case Floats(values=values), Encoding.BASE64:
            packed = pack(values)
            if packed is not None:
                return packed.text
        case Packed() as packed, Encoding.FLOAT:
            floats = unpack(packed)
            if floats is not None:
                return floats.values
    raise Garbled("The provider answered with an embedding that is no vector of 32-bit numbers.")


def one_each(vectors: Iterable[Vector], request: EmbeddingRequest) -> tuple[Vector, ...]:
    """Return the vectors; raises Garbled where there is not one for each input, as nobody could tell whose they are."""
    found = tuple(vectors)
    if len(found) != len(request.inputs):
        raise Garbled(f"The provider answered {len(request.inputs)} inputs with {len(found)} embeddings.")
    return found
