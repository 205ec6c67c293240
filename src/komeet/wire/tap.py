"""What the taps of all formats have in common: whole events go on as they came, and are read on their way."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.sse import Splitter, fields

_FIELD_STARTS: Final = b"deir:"
"""First bytes of the lines of an event stream: data, event, id, retry, and comments."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
_members: Final = msgspec.json.Decoder(dict[str, Raw])


class StreamTap:
    """A tap for one stream; a format says what an event means in `forwarded`."""

    __slots__ = (
        "_begun",
        "_splitter",
        "done",
        "error",
        "first_content",
        "model",
        "pieces",
        "service_tier",
        "unmetered",
        "usage",
    )

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._begun = False
        self.pieces: list[str] = []
        """What the model wrote."""
        self.unmetered = False
        """Whether the model has written since usage was last reported."""
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        self.first_content = False
        self.done = False
        """Whether the event that ends an answer came."""
        self.error: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, as far as its events tell."""
        return self.done

    def whole(self, data: bytes) -> bool:
        """Whether the data of the last event, which no blank line ended, was not cut short."""
        try:
            return bool(_members.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

    def forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the caller now: whole events, as they came.

        Raises:
            Garbled: the bytes are no event stream, or an event is above the limit.
        """
        if not self._begun:
            self._begun = begins(data)
        blocks = self._splitter.feed(data)
        if len(blocks) == 1:
            return self.forwarded(blocks[0])
        return b"".join([self.forwarded(block) for block in blocks])

    def end(self) -> tuple[bytes, bool]:
        """Return what is left to send on, and whether the answer was complete; never raises.

        What was cut short (an event, a comment, a line) is not sent on: what is said next would run into it.
        """
        rest = self._splitter.rest()
        event = fields(rest)
        if event is not None:
            rest = self.forwarded(rest) if self.whole(event.data) else b""
        complete = self.error is None and self.complete
        if self.unmetered and self.usage is not None and (not complete or self.usage.output == 0):
            self.usage = None  # it was reported before what was written last: it is not the usage of that
        if event is None:
            return (b"" if rest.strip() else rest), complete
        if rest and not complete:
            rest += b"\n\n"
        return rest, complete

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        return "".join(self.pieces)

    def wrote(self, text: str) -> None:
        """Note what the model wrote."""
        if text:
            self.pieces.append(text)
            self.first_content = self.unmetered = True

    def metered(self, usage: Usage | None) -> None:
        """Note what was reported, if anything was that can be believed."""
        if usage is not None:
            self.usage = usage
            self.unmetered = False


def begins(data: bytes) -> bool:
    """Return whether the first line has begun; what is clearly something else (a page, a JSON document) is Garbled."""
    start = data.lstrip(_BLANK)[:1]
    if start and start not in _FIELD_STARTS:
        error = Garbled("The provider answered with something that is not an event stream.")
        error.detail = f"it starts with {data[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    return bool(start)
