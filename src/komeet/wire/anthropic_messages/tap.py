"""Reads along as a Messages stream is forwarded, and meters it from the same bytes."""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.core.errors import UpstreamAuth
from komeet.wire.anthropic_messages.answer import USAGE, members_of, text_of
from komeet.wire.anthropic_messages.errors import parse_stream_error, render_stream_error
from komeet.wire.anthropic_messages.usage import UsageReader
from komeet.wire.members import NULL
from komeet.wire.sse import fields
from komeet.wire.tap import StreamTap


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


class MessagesTap(StreamTap):
    """A tap for one stream; an error that is about our operator's credential is said in our own words."""

    __slots__ = ("_stopped", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._usage = UsageReader()
        self._stopped = False
        """Whether the provider has said why the answer ended."""

    @property
    def complete(self) -> bool:
        return self.done or self._stopped

    def forwarded(self, block: bytes) -> bytes:
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
                self._delta(said.delta)
            case "content_block_start":
                begun = members_of(said.content_block)
                name = text_of(begun.get("name")) or text_of(begun.get("text"))
                self.wrote(name)
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

    def _delta(self, raw: Raw) -> None:
        try:
            delta = _delta.decode(raw)
        except _UNREADABLE:
            return
        self.wrote(delta.text or delta.thinking or delta.partial_json)

    def _used(self, raw: Raw) -> None:
        if raw == NULL:
            return
        self.service_tier = text_of(members_of(raw).get("service_tier")) or self.service_tier
        self.metered(self._usage.take(raw))
