"""From the frames of ConverseStream to events."""

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec import Raw

from komeet.canonical.event import Event, ExtraDelta, Fail, Finish, Start, UsageEvent
from komeet.core.errors import CutMidStream
from komeet.wire import sse
from komeet.wire.bedrock_converse.answer import extras_of, garbled, members_of, text_of, tier_of
from komeet.wire.bedrock_converse.blocks import Block, begin
from komeet.wire.bedrock_converse.errors import is_exception, parse_exception
from komeet.wire.bedrock_converse.finish import parse_finish
from komeet.wire.bedrock_converse.usage import parse_usage
from komeet.wire.members import NULL


class StreamParser:
    """Reads one stream, event by event; events of an unknown type are skipped.

    Most blocks begin with their first delta, only calls and what is like them have a start of their own. Usage comes
    last, after the reason why the answer ended.
    """

    __slots__ = ("_at", "_begun", "_block", "_count", "_handlers", "_over", "_stopped")

    def __init__(self) -> None:
        self._at = -1
        """Bedrock's index of the block that is open."""
        self._block: Block | None = None
        self._count = 0
        self._begun = False
        self._stopped = False
        self._over = False
        self._handlers: Mapping[bytes, Callable[[dict[str, Raw]], Iterator[Event]]] = {
            b"messageStart": self._message_start,
            b"contentBlockStart": self._block_start,
            b"contentBlockDelta": self._block_delta,
            b"contentBlockStop": self._block_stop,
            b"messageStop": self._message_stop,
            b"metadata": self._metadata,
        }

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one frame tells; its type tells an exception from an event.

        Raises:
            Garbled: it is not what the format says.
        """
        if self._over:
            return ()
        kind = said.event or b""
        if is_exception(name := kind.decode("utf-8", "replace")):
            self._over = True
            return (Fail(error=parse_exception(name, said.data)),)
        handler = self._handlers.get(kind)
        if handler is None:
            return ()
        members = members_of(said.data)
        if not members:
            raise garbled(f"an event that is no JSON object: {said.data[:80]!r}")
        return tuple(handler(members))

    def end(self) -> tuple[Event, ...]:
        """Return the events that the end of the stream means: the last, a Fail where it came too early."""
        if self._over or self._stopped:
            return ()
        self._over = True
        return (Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")),)

    def _message_start(self, members: dict[str, Raw]) -> Iterator[Event]:  # noqa: ARG002 - it says a role only
        if not self._begun:
            self._begun = True
            yield Start()

    def _block_start(self, members: dict[str, Raw]) -> Iterator[Event]:
        for kind, value in members_of(members.get("start")).items():
            if value != NULL:
                yield from self._open(_index(members), kind, members_of(value))
                return

    def _block_delta(self, members: dict[str, Raw]) -> Iterator[Event]:
        at = _index(members)
        for kind, value in members_of(members.get("delta")).items():
            if value == NULL:
                continue
            if self._block is None or at != self._at or not self._block.takes(kind):
                yield from self._open(at, kind, {})
            assert self._block is not None
            yield from self._block.delta(kind, value)

    def _open(self, at: int, kind: str, start: dict[str, Raw]) -> Iterator[Event]:
        yield from self._close()
        if not self._begun:
            self._begun = True
            yield Start()
        self._block, self._at = begin(kind, start, self._count), at
        yield from self._block.begin()

    def _close(self) -> Iterator[Event]:
        block, self._block = self._block, None
        if block is not None:
            yield from block.end()
            self._count += block.said

    def _block_stop(self, members: dict[str, Raw]) -> Iterator[Event]:
        if _index(members) == self._at:
            yield from self._close()

    def _message_stop(self, members: dict[str, Raw]) -> Iterator[Event]:
        yield from self._close()
        yield from _extras(members)
        word = text_of(members.get("stopReason"))
        self._stopped = True
        if word:
            yield Finish(candidate=0, stop=parse_finish(word), native_stop=word)

    def _metadata(self, members: dict[str, Raw]) -> Iterator[Event]:
        yield from _extras(members)
        usage = parse_usage(members.get("usage", NULL))
        if usage is not None:
            yield UsageEvent(usage=usage, service_tier=tier_of(members))


def _extras(members: dict[str, Raw]) -> Iterator[Event]:
    for origin, extras in extras_of(members).items():
        for name, value in extras.items():
            yield ExtraDelta(candidate=None, origin=origin, name=name, value=value)


def _index(members: dict[str, Raw]) -> int:
    try:
        return msgspec.json.decode(members.get("contentBlockIndex", Raw(b"0")), type=int)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise garbled("the index of a block is no number") from error
