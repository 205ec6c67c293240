"""How a provider's stream is cut into messages: server-sent events, unless a format says otherwise."""

from typing import Final, Protocol

from komeet.wire.readable import readable
from komeet.wire.sse import Event, Splitter, fields

EVENT_STREAM: Final = b"text/event-stream"
"""The media type of server-sent events."""


class Framing(Protocol):
    """Cuts one stream into messages, however its bytes arrive."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the messages that `data` completes.

        Raises:
            Garbled: the bytes are not framed as the format says, or a message is longer than the limit.
        """
        ...

    def rest(self) -> list[Event]:
        """Return what the end of the stream completes: a last message that nothing ended. Raises as `feed` does."""
        ...


class EventStream:
    """Server-sent events; blocks without data (comments) are no messages."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = Splitter()

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; raises Garbled where one is longer than the limit."""
        return [said for block in self._splitter.feed(data) if (said := fields(readable(block))) is not None]

    def rest(self) -> list[Event]:
        """Return the event that no blank line ended, if there is one."""
        said = fields(readable(self._splitter.rest()))
        return [] if said is None else [said]
