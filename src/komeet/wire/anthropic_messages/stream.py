"""From a Messages stream to events."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.event import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.part import Opaque, Part, Reasoning, Seal, ServerTool, Text, ToolCall
from komeet.core.errors import CutMidStream, WireError
from komeet.wire import sse
from komeet.wire.anthropic_messages.answer import USAGE, garbled, members_of, message_extras, text_of
from komeet.wire.anthropic_messages.content import NO_INPUT, SIGNATURE, UNSIGNED, parse_block, parse_citation
from komeet.wire.anthropic_messages.errors import parse_stream_error
from komeet.wire.anthropic_messages.finish import parse_finish
from komeet.wire.anthropic_messages.members import ORIGIN, signed
from komeet.wire.anthropic_messages.usage import UsageReader
from komeet.wire.json import encode_object
from komeet.wire.members import NULL

_STOP: Final = frozenset({"stop_reason", "stop_sequence"})


class _Block:
    """A block of which more may come."""

    __slots__ = ("index", "initial", "part", "pieces", "raw", "signature")

    def __init__(self, index: int, part: Part, raw: dict[str, Raw]) -> None:
        self.index = index
        self.part = part
        self.raw = raw
        self.initial = bytes(raw.get("input", NO_INPUT))
        self.pieces: list[str] = []
        self.signature: list[str] = []

    def begin(self) -> PartStart:
        match self.part:
            case ToolCall() as call:
                self.part = replace(call, arguments=b"")
            case Reasoning(seal=None) as thought:
                self.part = replace(thought, extras={})
            case _:
                pass
        return PartStart(candidate=0, index=self.index, part=self.part)

    def delta(self, kind: str, delta: Mapping[str, Raw]) -> Iterator[Event]:
        match kind, self.part:
            case "text_delta", Text():
                yield TextDelta(candidate=0, index=self.index, text=text_of(delta.get("text")))
            case "thinking_delta", Reasoning():
                text = text_of(delta.get("thinking"))
                self.pieces.append(text)
                yield TextDelta(candidate=0, index=self.index, text=text)
            case "signature_delta", Reasoning():
                self.signature.append(text_of(delta.get(SIGNATURE)))
            case "input_json_delta", ToolCall():
                data = text_of(delta.get("partial_json"))
                if data:
                    self.pieces.append(data)
                    yield ArgumentsDelta(candidate=0, index=self.index, data=data.encode())
            case "input_json_delta", ServerTool() | Opaque():
                self.pieces.append(text_of(delta.get("partial_json")))
            case _, Opaque():
                for name, value in delta.items():
                    if name != "type" and value != NULL:
                        self.raw[name] = _joined(self.raw.get(name, NULL), value)
            case "citations_delta", Text():
                citation = parse_citation(delta.get("citation", NULL))
                yield CitationDelta(candidate=0, index=self.index, citation=citation)
            case _:
                pass  # a delta of a kind that is not known here

    def end(self) -> Iterator[Event]:
        final: Part | None = None
        match self.part:
            case ToolCall() if not self.pieces:
                yield ArgumentsDelta(candidate=0, index=self.index, data=self.initial)
            case Reasoning(seal=None) as thought:
                signature = "".join(self.signature) or text_of(self.raw.get(SIGNATURE))
                if signature:
                    value = Raw(msgspec.json.encode(signature))
                    seal = Seal(origin=ORIGIN, name=SIGNATURE, value=value)
                    yield SealDelta(candidate=0, index=self.index, seal=seal)
                else:
                    text = thought.text + "".join(self.pieces)
                    final = replace(thought, text=text, extras=signed(UNSIGNED))
            case ServerTool() | Opaque() as part:
                told = "".join(self.pieces)
                value = Raw(encode_object({**self.raw, "input": _json(told)} if told else self.raw))
                final = replace(part, value=value) if self.raw != members_of(part.value) or told else None
            case _:
                pass
        yield PartEnd(candidate=0, index=self.index, final=final)


def _joined(before: Raw, more: Raw) -> Raw:
    """Put a delta of an unknown kind to what is known: strings end to end, else the last one counts."""
    if not (bytes(before).startswith(b'"') and bytes(more).startswith(b'"')):
        return more
    return Raw(msgspec.json.encode(text_of(before) + text_of(more)))


def _json(text: str) -> Raw:
    """Return JSON as it was written, or as a string where it is broken."""
    try:
        msgspec.json.decode(text, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return Raw(msgspec.json.encode(text))
    return Raw(text.encode())


class StreamParser:
    """Reads one stream, event by event; events of an unknown type are skipped, as Anthropic asks of its clients."""

    __slots__ = ("_blocks", "_count", "_handlers", "_over", "_sequence", "_stop", "_usage")

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._count = 0
        self._usage = UsageReader()
        self._stop = ""
        self._sequence: str | None = None
        self._over = False
        self._handlers: Mapping[str, Callable[[dict[str, Raw]], Iterator[Event]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one server-sent event tells.

        Raises:
            Garbled: it is not what the format says.
        """
        if self._over:
            return ()
        members = members_of(said.data)
        kind = text_of(members.get("type")) or (said.event or b"").decode("ascii", "replace")
        if kind == "error" or members.get("error", NULL) != NULL:
            self._over = True
            return (Fail(error=parse_stream_error(said.data)),)
        if not members:
            raise garbled(f"an event that is no JSON object: {said.data[:80]!r}")
        handler = self._handlers.get(kind)
        try:
            return tuple(handler(members)) if handler is not None else ()
        except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise garbled(str(error)) from error

    def end(self) -> tuple[Event, ...]:
        """Return the events that the end of the stream means: the last, a Fail where it came too early."""
        if self._over:
            return ()
        if self._stop and not self._blocks:
            return tuple(self._message_stop({}))
        self._over = True
        return (Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")),)

    def _message_start(self, members: dict[str, Raw]) -> Iterator[Event]:
        message = members_of(members.get("message", NULL))
        yield Start(
            id=text_of(message.get("id")),
            model=text_of(message.get("model")),
            service_tier=text_of(members_of(message.get(USAGE, NULL)).get("service_tier")) or None,
            extras=message_extras(message),
        )
        yield from self._used(message.get(USAGE, NULL))

    def _used(self, raw: Raw) -> Iterator[Event]:
        usage = None if raw == NULL else self._usage.take(raw)
        if usage is not None:
            yield UsageEvent(usage=usage)

    def _block_start(self, members: dict[str, Raw]) -> Iterator[Event]:
        at = _index(members)
        if at in self._blocks:
            raise garbled(f"block {at} begins twice")
        raw = members.get("content_block", NULL)
        block = _Block(self._count, parse_block(raw, "content_block"), members_of(raw))
        self._blocks[at] = block
        self._count += 1
        yield block.begin()

    def _block_delta(self, members: dict[str, Raw]) -> Iterator[Event]:
        block = self._blocks.get(_index(members))
        if block is None:
            raise garbled("a delta of a block that is not open")
        delta = members_of(members.get("delta", NULL))
        yield from block.delta(text_of(delta.get("type")), delta)

    def _block_stop(self, members: dict[str, Raw]) -> Iterator[Event]:
        block = self._blocks.pop(_index(members), None)
        if block is not None:
            yield from block.end()

    def _message_delta(self, members: dict[str, Raw]) -> Iterator[Event]:
        delta = members_of(members.get("delta", NULL))
        self._stop = text_of(delta.get("stop_reason")) or self._stop
        self._sequence = text_of(delta.get("stop_sequence")) or self._sequence
        usage = members.get(USAGE, NULL)
        told = {name: value for name, value in delta.items() if name not in _STOP}
        told |= {name: value for name, value in members.items() if name not in ("type", "delta", USAGE)}
        for origin, extras in message_extras({**told, USAGE: usage}).items():
            for name, value in extras.items():
                yield ExtraDelta(candidate=None, origin=origin, name=name, value=value)
        yield from self._used(usage)

    def _message_stop(self, members: dict[str, Raw]) -> Iterator[Event]:  # noqa: ARG002 - handlers are alike
        for block in self._blocks.values():
            yield from block.end()
        self._over = True
        if self._stop:
            yield Finish(
                candidate=0, stop=parse_finish(self._stop), native_stop=self._stop, stop_sequence=self._sequence
            )


def _index(members: dict[str, Raw]) -> int:
    return msgspec.json.decode(members.get("index", Raw(b"0")), type=int)
