"""Frames: however the bytes are cut, the same events; what is damaged is never read as something else."""

import struct
from contextlib import suppress
from itertools import pairwise
from typing import Any
from zlib import crc32

import botocore.eventstream
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.bedrock_converse.framed import event, exception, frame, header, text

from komeet.core.errors import Garbled
from komeet.wire.bedrock_converse.frames import Frames
from komeet.wire.sse import Event

STREAM = (
    event("messageStart", role="assistant")
    + event("contentBlockDelta", contentBlockIndex=0, delta={"text": "é"})
    + exception("throttlingException", "Too fast.")
)
EVERY_TYPE = b"".join(
    [
        header("true", 0),
        header("false", 1),
        header("byte", 2, b"\x01"),
        header("short", 3, b"\x00\x01"),
        header("integer", 4, bytes(4)),
        header("long", 5, bytes(8)),
        header("bytes", 6, b"\x00\x02ab"),
        header("string", 7, b"\x00\x02ab"),
        header("timestamp", 8, bytes(8)),
        header("uuid", 9, bytes(16)),
    ]
)


def _all(pieces: list[bytes]) -> list[Event]:
    frames = Frames()
    return [said for piece in pieces for said in frames.feed(piece)] + frames.rest()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert _all([STREAM[a:b] for a, b in pairwise(places)]) == _all([STREAM])


def test_an_event_and_an_exception_are_named_by_their_types() -> None:
    assert [said.event for said in _all([STREAM])] == [b"messageStart", b"contentBlockDelta", b"throttlingException"]
    assert _all([STREAM])[2].data == b'{"message": "Too fast."}'


def test_headers_of_every_type_are_passed_over() -> None:
    assert _all([frame(EVERY_TYPE + text(":event-type", "x"), b"{}")]) == [Event(b"x", b"{}")]


def test_an_error_frame_tells_code_and_message() -> None:
    headers = text(":message-type", "error") + text(":error-code", "InternalError") + text(":error-message", "Oh.")
    assert _all([frame(headers, b"")]) == [Event(b"error", b'{"code":"InternalError","message":"Oh."}')]


def test_a_frame_of_an_unknown_kind_says_nothing() -> None:
    assert _all([frame(text(":message-type", "hologram") + text(":event-type", "x"), b"")]) == []


def test_the_library_of_aws_reads_the_same() -> None:
    buffer: Any = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(STREAM + frame(EVERY_TYPE + text(":event-type", "x"), b"{}"))
    theirs = [message.payload for message in buffer]
    ours = _all([STREAM + frame(EVERY_TYPE + text(":event-type", "x"), b"{}")])
    assert [said.data for said in ours] == theirs


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(at: int, flip: int) -> None:
    damaged = bytearray(STREAM)
    damaged[at] ^= flip
    with pytest.raises(Garbled):
        _all([bytes(damaged)])


@given(st.binary(max_size=64))
def test_bytes_that_are_no_frames_are_garbled_or_wait_for_more(data: bytes) -> None:
    with suppress(Garbled):
        assert _all([data]) == []


@given(st.binary(max_size=40))
def test_headers_that_are_none_are_garbled(headers: bytes) -> None:
    with suppress(Garbled):
        _all([frame(headers, b"{}")])


@pytest.mark.parametrize(
    "headers",
    [header("x", 10), header("x", 7, b"\x00\x09ab"), header("x", 4, b"\x00"), b"\x05ab", b"\x01"],
)
def test_a_header_of_an_unknown_type_or_cut_short_is_garbled(headers: bytes) -> None:
    with pytest.raises(Garbled):
        _all([frame(headers, b"{}")])


@pytest.mark.parametrize("lengths", [(15, 0), (0, 0), (20, 5), (1 << 31, 0), (20, 1 << 31)])
def test_lengths_that_do_not_fit_are_garbled_at_once(lengths: tuple[int, int]) -> None:
    packed = struct.pack(">II", *lengths)
    with pytest.raises(Garbled):
        Frames().feed(packed + struct.pack(">I", crc32(packed)))


def test_a_frame_above_the_limit_is_garbled() -> None:
    long = frame(text(":event-type", "x"), bytes(200))
    assert len(Frames(len(long)).feed(long)) == 1
    with pytest.raises(Garbled, match="more than"):
        Frames(len(long) - 1).feed(long[:12])


def test_what_is_cut_off_at_the_end_says_nothing() -> None:
    frames = Frames()
    assert frames.feed(STREAM[:-1]) == _all([STREAM])[:2]
    assert frames.rest() == []
