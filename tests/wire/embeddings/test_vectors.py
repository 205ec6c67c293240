"""Vectors go from numbers to base64 and back without a bit lost."""

import base64
import contextlib
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.embedding import Encoding, Floats, Packed, pack, unpack
from komeet.core.errors import Garbled
from komeet.wire.embeddings.vectors import read_vector, write_vector

NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40)


@given(NUMBERS)
def test_numbers_of_32_bits_survive_the_way_there_and_back(values: list[float]) -> None:
    packed = pack(values)
    assert packed is not None
    assert unpack(packed) == Floats(values)


@given(NUMBERS)
def test_base64_is_little_endian_32_bit_numbers_as_client_libraries_read_it(values: list[float]) -> None:
    packed = pack(values)
    assert packed is not None
    assert base64.b64decode(packed.text) == struct.pack(f"<{len(values)}f", *values)


@given(NUMBERS.map(lambda values: base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()))
def test_base64_survives_the_way_there_and_back(text: str) -> None:
    floats = unpack(Packed(text))
    assert floats is not None
    assert pack(floats.values) == Packed(text)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-3e38, max_value=3e38), max_size=40))
def test_longer_numbers_are_rounded_to_the_nearest(values: list[float]) -> None:
    packed = pack(values)
    assert packed is not None
    assert unpack(packed) == Floats([struct.unpack("<f", struct.pack("<f", value))[0] for value in values])


@given(NUMBERS, st.sampled_from(Encoding))
def test_what_is_written_as_it_was_read_is_the_same(values: list[float], encoding: Encoding) -> None:
    written = msgspec.json.encode(write_vector(Floats(values), encoding))
    again = write_vector(read_vector(Raw(written)), encoding)
    assert msgspec.json.encode(again) == written


@pytest.mark.parametrize(
    "raw", [b"null", b"{}", b"5", b'["a"]', b"[[1]]", b"[1e999]", b'"\\ud800"', b"[" * 100_000 + b"]" * 100_000]
)
def test_what_is_no_vector_is_garbled(raw: bytes) -> None:
    with pytest.raises(Garbled):
        read_vector(Raw(raw))


@pytest.mark.parametrize("text", ["A", "AAA", "AAAA", "****", "ä", "AADAfw=="])
def test_base64_that_is_no_numbers_is_garbled_where_numbers_are_wanted(text: str) -> None:
    """The last one is not a number (NaN), for which JSON has no word."""
    with pytest.raises(Garbled):
        write_vector(Packed(text), Encoding.FLOAT)


def test_numbers_beyond_32_bits_are_garbled_where_base64_is_wanted() -> None:
    with pytest.raises(Garbled):
        write_vector(Floats([1e300]), Encoding.BASE64)


@given(st.text(max_size=30))
def test_nothing_else_escapes(text: str) -> None:
    with contextlib.suppress(Garbled):
        write_vector(Packed(text), Encoding.FLOAT)
