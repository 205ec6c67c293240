"""From a Responses stream to events."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.event import Event, ExtraDelta, Fail, Finish, Start, UsageEvent
from komeet.canonical.part import Refusal, Text
from komeet.core.errors import CutMidStream, WireError
from komeet.wire import sse
from komeet.wire.json import encode_object
from komeet.wire.members import INT, NULL, OBJECT
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.openai_responses.answer import (
    FALSY,
    created_of,
    error_of,
    item_parts,
    output_items,
    reason_of,
    tier_of,
)
from komeet.wire.openai_responses.content import citation
from komeet.wire.openai_responses.finish import COMPLETED, INCOMPLETE, parse_finish
from komeet.wire.openai_responses.members import OWN, REASONING_TEXT, Members
from komeet.wire.openai_responses.parse_response import garbled, without_taken
from komeet.wire.openai_responses.searches import Searches
from komeet.wire.openai_responses.stream_items import Output
from komeet.wire.openai_responses.usage import parse_usage

_object: Final = msgspec.json.Decoder(dict[str, Raw])


class StreamParser:
    """Reads one stream, event by event.

    The whole items that a provider says once more count: one that sends no deltas tells the same. What runs at the
    provider is told once it is done.
    """

    __slots__ = ("output", "over", "searches", "started")

    def __init__(self) -> None:
        self.output = Output()
        self.searches = Searches()
        self.started = False
        self.over = False

    def feed(self, said: sse.Event) -> tuple[Event, ...]:
        """Return what one server-sent event tells.

        Raises:
            Garbled: it is not what the format says.
        """
        if self.over or said.data == b"[DONE]":
            return ()
        try:
            members = Members(_object.decode(said.data))
            kind = members.fitting_text("type") or (said.event or b"").decode("ascii", "replace")
            handler = _HANDLERS.get(kind)
            if handler is None:
                nested = members.peek("error")
                handler = _ignored if nested is None or bytes(nested) in FALSY else _error
            return tuple(handler(self, members))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, WireError) as cause:
            raise garbled(str(cause)) from cause

    def end(self) -> tuple[Event, ...]:
        """Return what the end of the stream means: a Fail where it came too early."""
        if self.over:
            return ()
        self.over = True
        return (Fail(error=CutMidStream("The provider ended its stream before the answer was complete.")),)


_Handler = Callable[[StreamParser, Members], Iterator[Event]]


def _ignored(_: StreamParser, __: Members) -> Iterator[Event]:
    return iter(())


def _response(parser: StreamParser, members: Members) -> Iterator[Event]:
    yield from _start(parser, members.inside("response"))


def _start(parser: StreamParser, response: Members) -> Iterator[Event]:
    if parser.started:
        return
    parser.started = True
    yield Start(
        id=response.fitting_text("id"),
        model=response.fitting_text("model"),
        created=created_of(response),
        service_tier=tier_of(response),
        extras={OWN: {}},
    )


def _terminal(status: str) -> _Handler:
    def handle(parser: StreamParser, members: Members) -> Iterator[Event]:
        response = members.inside("response")
        yield from _start(parser, response)
        parser.over = True
        items = output_items(response)
        for index, item in enumerate(items):
            if not parser.output.is_done(index, item):
                yield from parser.output.finish(index, item)
        yield from parser.output.close()
        parser.searches.note_all(items)
        usage = response.raw("usage")
        parsed = parser.searches.added(None if usage is None else parse_usage(usage))
        if parsed is not None:
            yield UsageEvent(usage=parsed, service_tier=tier_of(response))
        told = response.fitting_text("status") or status
        stop, native = parse_finish(told, reason_of(response), parser.output.parts)
        for origin, extras in without_taken(response).items():
            for name, value in extras.items():
                if value != NULL:
                    yield ExtraDelta(candidate=None, origin=origin, name=name, value=value)
        yield Finish(candidate=0, stop=stop, native_stop=native)

    return handle


def _failed(parser: StreamParser, members: Members) -> Iterator[Event]:
    parser.over = True
    response = members.fitting("response", OBJECT) or {}
    error = error_of(response) or parse_stream_error(b'"the provider could not answer"')
    yield Fail(error=error)


def _error(parser: StreamParser, members: Members) -> Iterator[Event]:
    parser.over = True
    nested = members.raw("error")
    told = Raw(encode_object({name: raw for name in ("message", "code") if (raw := members.raw(name)) is not None}))
    yield Fail(error=parse_stream_error(told if nested is None or bytes(nested) in FALSY else nested))


def _item(members: Members) -> dict[str, Raw]:
    return members.take("item", OBJECT, "an object") or {}


def _at(members: Members, name: str = "output_index") -> int:
    return members.take(name, INT, "an integer") or 0


def _item_added(parser: StreamParser, members: Members) -> Iterator[Event]:
    return parser.output.add(_at(members), _item(members))


def _item_done(parser: StreamParser, members: Members) -> Iterator[Event]:
    at, item = _at(members), _item(members)
    parser.searches.note(at, item)
    return parser.output.finish(at, item)


def _part_added(parser: StreamParser, members: Members) -> Iterator[Event]:
    at, place = _at(members), _at(members, "content_index")
    match (members.within("part") or Members({})).fitting_text("type"):
        case "output_text":
            return parser.output.begin_text(at, place, Text())
        case "refusal":
            return parser.output.begin_text(at, place, Refusal())
        case _:
            return iter(())


def _part_done(parser: StreamParser, members: Members) -> Iterator[Event]:
    at, place = _at(members), _at(members, "content_index")
    part = members.take("part", OBJECT, "an object") or {}
    if part.get("type") in (Raw(b'"output_text"'), Raw(b'"refusal"')):
        content = Raw(b"[" + encode_object(part) + b"]")
        parts = item_parts({"type": Raw(b'"message"'), "content": content}, "part")
        parser.output.keep(at, place, parts[0])
    return iter(())


def _text_delta(parser: StreamParser, members: Members) -> Iterator[Event]:
    delta = members.text("delta") or ""
    return parser.output.text(_at(members), _at(members, "content_index"), Text(), delta)


def _refusal_delta(parser: StreamParser, members: Members) -> Iterator[Event]:
    delta = members.text("delta") or ""
    return parser.output.text(_at(members), _at(members, "content_index"), Refusal(), delta)


def _annotation(parser: StreamParser, members: Members) -> Iterator[Event]:
    raw = members.raw("annotation")
    if raw is None:
        return iter(())
    return parser.output.cite(_at(members), _at(members, "content_index"), citation(raw))


def _summary_delta(parser: StreamParser, members: Members) -> Iterator[Event]:
    delta = members.text("delta") or ""
    return parser.output.reason(_at(members), "summary", _at(members, "summary_index"), delta)


def _reasoning_delta(parser: StreamParser, members: Members) -> Iterator[Event]:
    delta = members.text("delta") or ""
    return parser.output.reason(_at(members), REASONING_TEXT, _at(members, "content_index"), delta)


def _arguments_delta(parser: StreamParser, members: Members) -> Iterator[Event]:
    return parser.output.argue(_at(members), members.text("delta") or "")


_HANDLERS: Final[Mapping[str, _Handler]] = {
    "response.created": _response,
    "response.in_progress": _response,
    "response.queued": _response,
    "response.completed": _terminal(COMPLETED),
    "response.incomplete": _terminal(INCOMPLETE),
    "response.failed": _failed,
    "response.cancelled": _failed,
    "error": _error,
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.content_part.added": _part_added,
    "response.content_part.done": _part_done,
    "response.output_text.delta": _text_delta,
    "response.output_text.annotation.added": _annotation,
    "response.refusal.delta": _refusal_delta,
    "response.reasoning_summary_text.delta": _summary_delta,
    "response.reasoning_text.delta": _reasoning_delta,
    "response.function_call_arguments.delta": _arguments_delta,
    "response.custom_tool_call_input.delta": _arguments_delta,
}
"""By the type of the event; all others tell of progress, or say once more what deltas have said."""
