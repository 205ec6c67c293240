"""How streams are cut into messages: server-sent events, and the frames of AWS."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.fuzz.target import CUTS, Target, parted, pieces
from tests.wire.bedrock_converse import framed

from komeet.core.errors import Garbled
from komeet.wire.bedrock_converse.frames import Frames
from komeet.wire.framing import EventStream, Framing
from komeet.wire.readable import readable
from komeet.wire.sse import Event, Splitter

_LIMITS: Final = (64, 512, 1 << 20)


def server_sent(data: bytes) -> None:
    """Cut server-sent events; a second reader, from the standard's own words, must find the same."""
    options, stream = parted(data)
    limit, size = options.choose(0, _LIMITS), options.choose(1, CUTS)
    splitter = Splitter(limit)
    blocks: list[bytes] = []
    try:
        for piece in pieces(stream, size):
            blocks += splitter.feed(piece)
    except Garbled:
        assert len(stream) > limit
        return
    rest = splitter.rest()
    assert b"".join(blocks) + rest == stream, "the blocks are not the stream"
    assert all(len(block) <= limit for block in blocks)
    whole = _heard(EventStream, stream, 0)
    assert _heard(EventStream, stream, size) == whole
    assert whole == list(_as_the_standard_says(readable(stream)))


def _as_the_standard_says(stream: bytes) -> Iterator[Event]:
    """Yield the events (WHATWG HTML, 9.2.6), and the last one though no blank line ends it."""
    kind, said = b"", list[bytes]()
    for line in [*re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            if said:
                yield Event(kind or None, b"\n".join(said))
            kind, said = b"", []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            said.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")


def frames(data: bytes) -> None:
    """Cut frames of AWS: the bytes as they are, or lines that are put into frames whose checksums are right."""
    options, said = parted(data)
    size = options.choose(1, CUTS)
    stream = options.choose(0, (_as_is, _headed, _in_frames))(said)
    whole = _tried(stream, 0)
    assert _tried(stream, size) == whole, "cut otherwise, it says something else"
    if whole is None:
        return
    assert sum(len(each.data) + len(each.event or b"") for each in whole) <= 8 * len(stream) + 64


def _as_is(said: bytes) -> bytes:
    return said


def _headed(said: bytes) -> bytes:
    """Make one frame of each pair of lines: its headers as they are, its payload."""
    lines = said.split(b"\n")
    return b"".join([framed.frame(lines[at], b"".join(lines[at + 1 : at + 2])) for at in range(0, len(lines), 2)])


def _in_frames(said: bytes) -> bytes:
    """Make frames of lines: `name=value` is a header whose value is a string, and any other line is a payload."""
    out: list[bytes] = []
    headers = b""
    for line in said.split(b"\n"):
        name, equals, value = line.partition(b"=")
        if equals and 0 < len(name) < 256 and len(value) < 65536:
            headers += bytes([len(name)]) + name + b"\x07" + len(value).to_bytes(2, "big") + value
        else:
            out.append(framed.frame(headers, line))
            headers = b""
    return b"".join(out)


def in_frames_of_events(stream: bytes) -> bytes:
    """Make frames of server-sent events, so that an input is text: `event:` is the type, `data:` the payload."""
    out: list[bytes] = []
    for said in _as_the_standard_says(stream):
        kind = (said.event or b"")[:200].decode("latin-1")
        named = ":exception-type" if kind.endswith("Exception") else ":event-type"
        message = "exception" if named == ":exception-type" else "event"
        out.append(framed.frame(framed.text(named, kind) + framed.text(":message-type", message), said.data))
    return b"".join(out)


def _tried(stream: bytes, size: int) -> list[Event] | None:
    try:
        return _heard(Frames, stream, size)
    except Garbled:
        return None


def _heard(make: Callable[[], Framing], stream: bytes, size: int) -> list[Event]:
    framing = make()
    return [said for piece in pieces(stream, size) for said in framing.feed(piece)] + framing.rest()


def _server_sent_starts() -> Iterator[bytes]:
    yield b'22\ndata: {"a":1}\n\ndata: [DONE]\n\n'
    yield b"21\n\xef\xbb\xbf: hello\r\n\r\nevent: a\r\ndata:b\r\ndata: c\r\nid: 1\r\nretry: 10\r\n\r\n"
    yield b"00\ndata\rdata:\r\revent\n\ndata: x"
    yield b"03\n" + b"data: x\n\n" * 12
    yield b"11\ndata: a\n\n\n\n\r\ndata: \xc3\xa4\x85\xe2\x80\xa8\n\n" + b"x" * 600


def _frames_starts() -> Iterator[bytes]:
    yield b"00\n" + framed.event("messageStart", role="assistant") + framed.exception("throttlingException", "Slow")
    yield b"01\n" + framed.event("messageStop", stopReason="end_turn")[:-3]
    yield b'20\n:message-type=event\n:event-type=messageStart\n{"role":"assistant"}\n:message-type=other\nx'
    yield b"22\n:message-type=error\n:error-code=a\n:error-message=b\nx"
    yield b"23\n:message-type=exception\n:exception-type=throttlingException\n" + b'{"message":"Slow"}'
    for kind, size in ((0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)):
        yield b"10\n" + framed.header("a", kind, b"\x01" * size) + framed.text(":event-type", "x") + b"\n{}"
    yield b"10\n" + framed.header("a", 6, b"\x00\x02hi") + b"\n{}"


SSE: Final = Target(
    name="sse",
    holds="server-sent events: cut anywhere they are the same, put end to end they are the stream, and they say what"
    " the standard's own rules say",
    run=server_sent,
    starts=_server_sent_starts,
    most=1024,
)
FRAMES: Final = Target(
    name="frames",
    holds="AWS's event stream: cut anywhere it is the same; a wrong length or checksum is called so",
    run=frames,
    starts=_frames_starts,
)
