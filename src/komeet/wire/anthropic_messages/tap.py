"""Reads along as a Messages stream is forwarded, and meters it from the same bytes."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamAuth, UpstreamError
from komeet.wire.anthropic_messages.answer import USAGE, members_of, text_of
from komeet.wire.anthropic_messages.errors import parse_stream_error, render_stream_error
from komeet.wire.anthropic_messages.usage import UsageReader
from komeet.wire.members import NULL
from komeet.wire.sse import Splitter, fields

_FIELD_STARTS: Final = b"deir:"
"""First bytes of the lines of an event stream: data, event, id, retry, and comments."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"


class _Delta(Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _Said(Struct):
    type: str = ""
    delta: Raw = NULL
    message: Raw = NULL
    content_block: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


_said: Final[Decoder[_Said]] = Decoder(_Said)
_delta: Final[Decoder[_Delta]] = Decoder(_Delta)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MessagesTap:
    """A tap for one stream."""

    __slots__ = (
        "_begun",
        "_pieces",
        "_splitter",
        "_stopped",
        "_unmetered",
        "_usage",
        "done",
        "error",
        "first_content",
        "model",
        "service_tier",
        "usage",
    )

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._begun = False
        self._pieces: list[str] = []
        self._usage = UsageReader()
        self._stopped = False
        """Whether the provider has said why the answer ended."""
        self._unmetered = False
        """Whether the model has written since usage was last reported."""
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        self.first_content = False
        self.done = False
        """Whether `message_stop` came."""
        self.error: UpstreamError | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the caller now: whole events, as they came.

        An error that is about our operator's credential is said in our own words.

        Raises:
            Garbled: the bytes are no event stream, or an event is above the limit.
        """
        if not self._begun:
            self._begun = _begins(data)
        return b"".join([self._forwarded(block) for block in self._splitter.feed(data)])

    def end(self) -> tuple[bytes, bool]:
        """Return what is left to send on, and whether the answer was complete; never raises.

        What was cut short (an event, a comment, a line) is not sent on: what is said next would run into it.
        """
        rest = self._splitter.rest()
        event = fields(rest)
        if event is not None:
            rest = self._forwarded(rest) if members_of(event.data) else b""
        complete = self.error is None and (self.done or self._stopped)
        if self._unmetered and self.usage is not None and (not complete or self.usage.output == 0):
            self.usage = None  # it was reported before what was written last: it is not the usage of that
        if event is None:
            return (b"" if rest.strip() else rest), complete
        if rest and not complete:
            rest += b"\n\n"
        return rest, complete

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        return "".join(self._pieces)

    def _forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        event = fields(block)
        if event is None:
            return block
        try:
            said = _said.decode(event.data)
        except _UNREADABLE:
            return block
        kind = said.type or (event.event or b"").decode("ascii", "replace")
        if kind == "error" or said.error != NULL:
            self.error = parse_stream_error(event.data)
            return render_stream_error(self.error) if isinstance(self.error, UpstreamAuth) else block
        self._read(kind, said)
        return block

    def _read(self, kind: str, said: _Said) -> None:
        match kind:
            case "content_block_delta":
                self._wrote(said.delta)
            case "content_block_start":
                begun = members_of(said.content_block)
                name = text_of(begun.get("name")) or text_of(begun.get("text"))
                if name:
                    self._pieces.append(name)
                    self.first_content = self._unmetered = True
            case "message_start":
                message = members_of(said.message)
                self.model = text_of(message.get("model")) or self.model
                self._used(message.get(USAGE, NULL))
            case "message_delta":
                self._stopped = self._stopped or bool(text_of(members_of(said.delta).get("stop_reason")))
                self._used(said.usage)
            case "message_stop":
                self.done = True
            case _:
                pass

    def _wrote(self, raw: Raw) -> None:
        try:
            delta = _delta.decode(raw)
        except _UNREADABLE:
            return
        text = delta.text or delta.thinking or delta.partial_json
        if text:
            self._pieces.append(text)
            self.first_content = self._unmetered = True

    def _used(self, raw: Raw) -> None:
        if raw == NULL:
            return
        self.service_tier = text_of(members_of(raw).get("service_tier")) or self.service_tier
        usage = self._usage.take(raw)
        if usage is not None:
            self.usage = usage
            self._unmetered = False


def _begins(data: bytes) -> bool:
    """Return whether the first line has begun; what is clearly something else (a page, a JSON document) is Garbled."""
    start = data.lstrip(_BLANK)[:1]
    if start and start not in _FIELD_STARTS:
        error = Garbled("The provider answered with something that is not an event stream.")
        error.detail = f"it starts with {data[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    return bool(start)
