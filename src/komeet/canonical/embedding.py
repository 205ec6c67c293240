"""A call for embeddings, and its answer, in no provider's words."""

import math
from array import array
from base64 import b64decode, b64encode
from enum import StrEnum
from sys import byteorder
from typing import Final, TypeAlias

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.usage import Usage

Tokens: TypeAlias = tuple[int, ...]
"""A text as the ids of its tokens."""

_FLOAT: Final = 4
"""Bytes of a number."""


class Purpose(StrEnum):
    """What vectors are compared for: some models make other ones for a question than for what may answer it."""

    DOCUMENT = "document"
    QUERY = "query"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"
    SIMILARITY = "similarity"
    QUESTION = "question"
    FACT = "fact"
    CODE_QUERY = "code_query"


class Encoding(StrEnum):
    """How the numbers of a vector are written."""

    FLOAT = "float"
    """An array of numbers."""
    BASE64 = "base64"
    """Their bytes: 32-bit IEEE 754, little-endian."""


class Floats(Struct, frozen=True):
    """A vector as the numbers that a provider wrote."""

    values: list[float]


class Packed(Struct, frozen=True):
    """A vector as base64 of 32-bit numbers."""

    text: str


Vector: TypeAlias = Floats | Packed


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """Texts to make vectors of."""

    model: str
    inputs: tuple[str, ...] | tuple[Tokens, ...]
    """Never empty, and nothing in it is empty."""
    dimensions: int | None = None
    encoding: Encoding = Encoding.FLOAT
    input_type: str | None = None
    """The purpose in the caller's words."""
    purpose: Purpose | None = None
    """The same, where the words are known."""
    user: str | None = None
    extras: Extras = {}


class EmbeddingResponse(Struct, frozen=True, kw_only=True):
    """Vectors, in the order of the inputs."""

    vectors: tuple[Vector, ...]
    model: str = ""
    """The model that answered; empty: not said."""
    usage: Usage | None = None
    """None: not reported, or not to be believed."""
    extras: Extras = {}


def pack(values: list[float]) -> Packed | None:
    """Return numbers as base64; None: one of them is beyond what 32 bits can say, or is no number."""
    numbers = array("f", values)
    if not math.isfinite(sum(numbers)):  # the sum has 64 bits: it is infinite only where one of them is
        return None
    if byteorder == "big":
        numbers.byteswap()
    return Packed(b64encode(numbers.tobytes()).decode("ascii"))


def unpack(packed: Packed) -> Floats | None:
    """Return the numbers that base64 says; None: it is no base64 of 32-bit numbers, or one of them is no number."""
    try:
        data = b64decode(packed.text, validate=True)
    except ValueError:
        return None
    if len(data) % _FLOAT:
        return None
    numbers = array("f", data)
    if byteorder == "big":
        numbers.byteswap()
    values = numbers.tolist()
    return Floats(values) if math.isfinite(sum(values)) else None
