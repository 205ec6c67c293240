"""Event streams: however the bytes are cut, the same events; put together again, the same bytes."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from komeet.core.errors import Garbled
from komeet.wire.sse import Event, Splitter, fields

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [
        b'data: {"a":1}',
        b"data:x",
        b"data",
        b"data:  two spaces",
        b": comment",
        b":",
        b"event: error",
        b"event:",
        b"id: 1",
        b"retry: 10",
        b"unknown",
        b"data: \xc3\xa9",
        b"",
        b"",
    ]
)
STREAMS = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(LINES, ENDS), max_size=12),
    st.sampled_from([b"", b"data: cut"]),
).map(lambda parts: parts[0] + b"".join([line + end for line, end in parts[1]]) + parts[2])
CUTS = st.lists(st.integers(0, 400), max_size=8)


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(places)]


def _oracle(stream: bytes) -> list[tuple[bytes | None, bytes]]:
    """The events of a whole stream, by the letter of the specification."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[tuple[bytes | None, bytes]] = []
    event: bytes | None = None
    data: list[bytes] = []
    *lines, _ = text.split(b"\n")
    for line in lines:
        if not line:
            if data:
                events.append((event, b"\n".join(data)))
            event, data = None, []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value or None
    return events


def _events(blocks: list[bytes]) -> list[tuple[bytes | None, bytes]]:
    found = [fields(block) for block in blocks]
    return [(event.event, event.data) for event in found if event is not None]


@settings(deadline=None, max_examples=500)
@given(STREAMS, CUTS)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [10, 11])
@example(b"data: a\r\n\r\n\ndata: b\n\n", [10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_any_cut_gives_the_same_events_and_bytes(stream: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    blocks = [block for piece in _cut(stream, cuts) for block in splitter.feed(piece)]
    rest = splitter.rest()
    assert b"".join(blocks) + rest == stream
    assert _events(blocks) == _oracle(stream)
    assert splitter.rest() == b""


@settings(deadline=None, max_examples=200)
@given(STREAMS, st.integers(1, 4))
def test_small_reads_give_the_same_events_and_bytes(stream: bytes, size: int) -> None:
    splitter = Splitter()
    blocks = [block for at in range(0, len(stream), size) for block in splitter.feed(stream[at : at + size])]
    assert b"".join(blocks) + splitter.rest() == stream
    assert _events(blocks) == _oracle(stream)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_garbage_goes_through_as_it_is(pieces: list[bytes]) -> None:
    splitter = Splitter()
    blocks = [block for piece in pieces for block in splitter.feed(piece)]
    for block in blocks:
        fields(block)
    assert b"".join(blocks) + splitter.rest() == b"".join(pieces)


def test_one_event_a_read_is_passed_on_without_a_copy() -> None:
    splitter = Splitter()
    splitter.feed(b": hello\n\n")
    event = b'data: {"a":1}\n\n'
    assert splitter.feed(event)[0] is event


def test_no_event_waits_for_the_line_feed_of_a_cut_line_end() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: a\r\n\r") == [b"data: a\r\n\r"]
    assert splitter.feed(b"\ndata: b\r\n\r\n") == [b"\ndata: b\r\n\r\n"]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_an_event_above_the_limit_is_refused(size: int) -> None:
    stream = b"data: " + b"x" * 92 + b"\n\n"
    assert len(stream) == 100
    Splitter(limit=100).feed(stream)
    splitter = Splitter(limit=99)
    with pytest.raises(Garbled):
        for start in range(0, len(stream), size):
            splitter.feed(stream[start : start + size])
    second = Splitter(limit=99)
    second.feed(b"data: a\n\n")
    with pytest.raises(Garbled):
        second.feed(stream)


def test_the_limit_is_for_one_event_not_for_a_read() -> None:
    splitter = Splitter(limit=20)
    assert len(splitter.feed(b"data: a\n\n" * 10)) == 10
    assert len(splitter.feed(b"data: a\n\n" * 10)) == 10


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b'data: {"a":1}\n\n', Event(None, b'{"a":1}')),
        (b"data: a\r\n\r\n", Event(None, b"a")),
        (b"data:a\ndata: b\n\n", Event(None, b"a\nb")),
        (b"event: error\ndata: x\n\n", Event(b"error", b"x")),
        (b"data\n\n", Event(None, b"")),
        (b": comment\n\n", None),
        (b"event: ping\n\n", None),
        (b"\n", None),
    ],
)
def test_fields(block: bytes, event: Event | None) -> None:
    assert fields(block) == event
