"""Extras of a stream come in pieces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.extras import join


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([], b"null"),
        ([b"null", b"null"], b"null"),
        ([b"null", b'"a"', b"null"], b'"a"'),
        ([b"[1]", b"[]", b"[ 2 , 3 ]"], b"[1,2 , 3]"),
        ([b'"a"', b'"b"'], b'"b"'),
        ([b"[1]", b'"b"'], b'"b"'),
        ([b'{"a":[1],"b":1}', b'{"a":[2],"c":null}', b'{"b":2}'], b'{"a":[1,2],"b":2,"c":null}'),
    ],
)
def test_pieces_are_joined_by_their_kind(pieces: list[bytes], whole: bytes) -> None:
    assert bytes(join([Raw(piece) for piece in pieces])) == whole


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2), max_size=4), min_size=1
    )
)
def test_arrays_end_to_end(pieces: list[list[object]]) -> None:
    joined = join([Raw(json.dumps(piece).encode()) for piece in pieces])
    assert json.loads(bytes(joined)) == [item for piece in pieces for item in piece]
