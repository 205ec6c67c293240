"""Reads along as a Chat Completions stream is forwarded, and meters it from the same bytes.

A stream is complete when every candidate that began has a finish reason, or `[DONE]` came. On record are streams
without `[DONE]` (Hugging Face's router) and without a finish reason (OpenRouter's), and none that was whole and had
neither. One that carried an error is not complete, nor is one with an event that is no JSON: whatever that was, nobody
can read it, and who leaves it out has a part of an answer.
"""

from contextlib import suppress

import msgspec
from msgspec import Raw

from komeet.core.errors import Garbled, UpstreamAuth
from komeet.wire.openai_chat.chunk import FALSY, NULL, Choice, Chunk, decode_chunk, gather, members_of, text_of
from komeet.wire.openai_chat.errors import parse_stream_error, render_stream_error
from komeet.wire.openai_chat.usage import parse_usage
from komeet.wire.sse import fields
from komeet.wire.tap import StreamTap

_DONE = b"[DONE]"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ChatTap(StreamTap):
    """A tap for one stream.

    The chunk with nothing but usage is taken out as the arguments say. An error that is about our operator's
    credential, or that the caller's library would not see, is said in our own words. A whole answer
    whose `[DONE]` is missing gets one.

    Args:
        include_usage: whether the caller asked for usage.
        drop_unasked_usage: whether the chunk that has nothing but usage is taken out where the caller did not ask.
    """

    __slots__ = ("_drops_usage", "_finished", "_garbled", "_started", "events", "opaque")

    def __init__(self, *, include_usage: bool, drop_unasked_usage: bool = True) -> None:
        super().__init__()
        self._drops_usage = drop_unasked_usage and not include_usage
        self._started: set[int] = set()
        self._finished: set[int] = set()
        self._garbled = False
        self.events = 0
        """Events with data, `[DONE]` not counted."""
        self.opaque = 0
        """Of these, those that are not as the format says; what is JSON is forwarded all the same."""

    @property
    def finished(self) -> bool:
        """Whether every candidate that began has a finish reason."""
        return bool(self._finished) and self._started == self._finished

    @property
    def complete(self) -> bool:
        return self.done or self.finished

    def whole(self, data: bytes) -> bool:
        return data == _DONE or super().whole(data)

    def forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        if self._garbled:
            self._read_on(block)
            return b""
        if block.startswith(b"data: {"):  # the usual case, without looking for lines: JSON may end in white space
            try:
                chunk = decode_chunk(block[6:])
            except _UNREADABLE:
                pass
            else:
                return self._metered(chunk, block)
        event = fields(block)
        if event is None:
            return block
        if event.data == _DONE:
            self.done = True
            return block
        try:
            chunk = decode_chunk(event.data)
        except _UNREADABLE:
            if not _is_json(event.data):
                return self._garble(event.data)
            chunk = self._salvage(event.data)
        if event.event == b"error" and bytes(chunk.error) in FALSY:
            self.events += 1
            self.error = parse_stream_error(event.data)
            return render_stream_error(self.error)
        return self._metered(chunk, block)

    def end(self) -> tuple[bytes, bool]:
        rest, complete = super().end()
        if complete and not self.done:
            rest = rest.rstrip(b"\r\n") + b"\n\n" if rest.strip() else rest
            rest += b"data: " + _DONE + b"\n\n"
        return rest, complete

    def _garble(self, data: bytes) -> bytes:
        """End the caller's stream, since what follows would hide that something is missing."""
        self.events += 1
        self.opaque += 1
        self._garbled = self.first_content = self.unmetered = True  # it may have been content
        self.error = Garbled("The provider sent an event that is not JSON.")
        self.error.detail = f"it starts with {data[:80].decode('ascii', 'backslashreplace')!r}"
        return render_stream_error(self.error)

    def _read_on(self, block: bytes) -> None:
        """Meter what still comes: it is billed."""
        event = fields(block)
        if event is not None:
            with suppress(*_UNREADABLE):
                self._metered(decode_chunk(event.data), block)

    def _metered(self, chunk: Chunk, block: bytes) -> bytes:
        self.events += 1
        if not self.model and chunk.model:
            self.model = chunk.model
        if chunk.service_tier:
            self.service_tier = chunk.service_tier
        choices = chunk.choices
        if choices:
            for choice in choices:
                self._read_choice(choice)
        if chunk.usage != NULL or chunk.x_groq:
            reported = self._read_usage(chunk)
            if reported and choices == [] and self._drops_usage and chunk.error == NULL:
                return b""
        if chunk.error != NULL and bytes(chunk.error) not in FALSY:
            self.error = parse_stream_error(chunk.error)
            if isinstance(self.error, UpstreamAuth):
                return render_stream_error(self.error)
        return block

    def _read_choice(self, choice: Choice) -> None:
        self._started.add(choice.index)
        delta = choice.delta
        if delta is not None and gather(delta, self.pieces):
            self.first_content = self.unmetered = True
        if choice.finish_reason:
            self._finished.add(choice.index)
        if choice.usage != NULL:
            self.metered(parse_usage(choice.usage))

    def _read_usage(self, chunk: Chunk) -> bool:
        """Keep the usage that can be believed; return whether there was any at all."""
        raw = chunk.usage if chunk.usage != NULL or chunk.x_groq is None else chunk.x_groq.usage
        self.metered(parse_usage(raw))
        return raw != NULL

    def _salvage(self, data: bytes) -> Chunk:
        """Read what can be read of an event that does not fit the types."""
        self.opaque += 1
        members = members_of(data)
        return Chunk(
            model=text_of(members.get("model")),
            choices=[] if members.get("choices") == Raw(b"[]") else None,
            usage=members.get("usage", NULL),
            error=members.get("error", NULL),
            service_tier=text_of(members.get("service_tier")),
        )


def _is_json(data: bytes) -> bool:
    """Whether a library could read the data of an event; it need not have any."""
    try:
        msgspec.json.decode(data, type=Raw)
    except _UNREADABLE:
        return not data.strip()
    return True
