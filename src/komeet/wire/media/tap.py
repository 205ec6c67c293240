"""Read along as pictures and sound are forwarded: event streams with usage in their last event, and plain bytes."""

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage
from komeet.core.errors import KomeetError, UpstreamAuth, UpstreamError
from komeet.wire.media.usage import parse_usage
from komeet.wire.members import NULL
from komeet.wire.openai_errors import parse_stream_error, told_error
from komeet.wire.sse import fields
from komeet.wire.tap import StreamTap

_DONE: Final = b"[DONE]"
_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})


class Events(NamedTuple):
    """Which events a stream has."""

    last: frozenset[str]
    """Types that end an answer, and report usage."""
    text: frozenset[str] = frozenset()
    """Types that carry what was written, in `delta`."""


class _Event(Struct):
    type: str = ""
    delta: str = ""
    model: str = ""
    usage: Raw = NULL
    error: Raw = NULL


_event: Final = Decoder(_Event)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MediaTap(StreamTap):
    """A tap for one stream of events.

    Args:
        events: which there are.
        answers: how many are asked for: each has an event that ends it, whose usage is its own.
    """

    __slots__ = ("_answers", "_ended", "_events")

    def __init__(self, events: Events, answers: int = 1) -> None:
        super().__init__()
        self._events: Final = events
        self._answers: Final = answers
        self._ended = 0

    @property
    def complete(self) -> bool:
        return self.done or self._ended > 0

    def whole(self, data: bytes) -> bool:
        return data == _DONE or super().whole(data)

    def forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        said = fields(block)
        if said is None:
            return block
        if said.data == _DONE:
            self.done = True
            return block
        try:
            event = _event.decode(said.data)
        except _UNREADABLE:
            event = _Event()
        if bytes(event.error) not in _NO_ERROR or said.event == b"error":
            self.error = parse_stream_error(said.data if event.error == NULL else event.error)
            return render_stream_error(self.error) if isinstance(self.error, UpstreamAuth) else block
        self._metered(event)
        return block

    def _metered(self, event: _Event) -> None:
        self.model = self.model or event.model
        if event.type in self._events.last:
            self._ended += 1
            self.done = self._ended >= self._answers
            self.first_content = True
            told = parse_usage(event.usage)
            self.metered(told if self.usage is None or told is None else _sum(self.usage, told))
        elif event.type in self._events.text:
            self.wrote(event.delta)
        elif event.type:
            self.first_content = True


class BytesTap:
    """A tap for an answer that is no text: it is forwarded, and its bytes are counted."""

    __slots__ = ("size",)

    usage: Usage | None = None
    model: str = ""
    service_tier: str | None = None
    done: bool = False
    error: UpstreamError | None = None

    def __init__(self) -> None:
        self.size = 0

    @property
    def first_content(self) -> bool:
        return self.size > 0

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the caller now."""
        self.size += len(data)
        return data

    def end(self) -> tuple[bytes, bool]:
        """Return nothing more; an answer without a byte is none."""
        return b"", self.size > 0

    def output_text(self) -> str:
        """Return nothing: no text was written."""
        return ""


def render_stream_error(error: KomeetError) -> bytes:
    """Return the event that ends a stream in an error."""
    return b"data: " + told_error(error) + b"\n\n"


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__})
