"""The way back from what a provider's format made of a caller's tools: free text, groups, an answer by a tool."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from komeet.canonical.event import ArgumentsDelta, Event, Finish, PartEnd, PartStart, TextDelta
from komeet.canonical.part import Text, ToolCall
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.response import StopReason
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, flat_name
from komeet.wire.structured import JSON_TOOL


class _Input(Struct):
    input: str


_input: Final = msgspec.json.Decoder(_Input)


class Restorer:
    """Renames and unwraps the tool calls of one answer as the caller's request knows them.

    A custom tool that went out as a function has its text in `{"input": …}`: it is held back until the call is
    complete. The tool whose arguments are the answer becomes the answer.
    """

    __slots__ = ("_calls", "_customs", "_groups", "_held", "_schema", "_texts")

    def __init__(self, request: Request) -> None:
        self._customs: set[str] = set()
        self._groups: dict[str, tuple[str, str]] = {}
        """By flat name: the group and the name in it."""
        self._held: dict[tuple[int, int], list[bytes]] = {}
        """Arguments of calls of custom tools."""
        self._texts: set[tuple[int, int]] = set()
        """Parts that are the answer, written as arguments."""
        self._calls: set[int] = set()
        """Candidates that really ask for a tool."""
        names = set[str]()
        for group, tool in _callable(request):
            name = flat_name(group, tool.name)
            names.add(name)
            if group:
                self._groups[name] = (group, tool.name)
            if isinstance(tool, CustomTool):
                self._customs.add(name)
        output = request.output
        self._schema = isinstance(output, JsonOutput) and output.schema is not None and JSON_TOOL not in names

    @property
    def idle(self) -> bool:
        """Whether there is nothing that it would change."""
        return not (self._customs or self._groups or self._schema)

    def feed(self, event: Event) -> Iterator[Event]:
        """Yield what the caller is told instead of `event`."""
        match event:
            case PartStart(part=ToolCall() as call):
                yield self._begin(event, call)
            case ArgumentsDelta(candidate=candidate, index=index, data=data):
                at = (candidate, index)
                if at in self._texts:
                    yield TextDelta(candidate=candidate, index=index, text=data.decode("utf-8", "replace"))
                elif at in self._held:
                    self._held[at].append(data)
                else:
                    yield event
            case PartEnd(candidate=candidate, index=index):
                at = (candidate, index)
                held = self._held.pop(at, None)
                if held is not None:
                    yield ArgumentsDelta(candidate=candidate, index=index, data=_unwrapped(b"".join(held)))
                    yield replace(event, final=None)
                elif at in self._texts:
                    yield replace(event, final=None)
                else:
                    yield replace(event, final=self._final(event))
            case Finish(candidate=candidate, stop=StopReason.TOOL_CALLS) if self._is_answer(candidate):
                yield replace(event, stop=StopReason.STOP, native_stop="")
            case _:
                yield event

    def _begin(self, event: PartStart, call: ToolCall) -> PartStart:
        at = (event.candidate, event.index)
        if self._schema and call.name == JSON_TOOL:
            self._texts.add(at)
            return replace(event, part=Text(text=call.arguments.decode("utf-8", "replace")))
        self._calls.add(event.candidate)
        if call.name in self._customs and not call.custom:
            self._held[at] = [call.arguments]
            call = replace(call, custom=True, arguments=b"")
        return replace(event, part=self._named(call))

    def _final(self, event: PartEnd) -> object:
        return self._named(event.final) if isinstance(event.final, ToolCall) else event.final

    def _named(self, call: ToolCall) -> ToolCall:
        group = self._groups.get(call.name)
        return call if group is None or call.namespace else replace(call, namespace=group[0], name=group[1])

    def _is_answer(self, candidate: int) -> bool:
        return candidate not in self._calls and any(found == candidate for found, _ in self._texts)


def _callable(request: Request) -> Iterator[tuple[str, FunctionTool | CustomTool]]:
    for tool in request.tools:
        match tool:
            case FunctionTool() | CustomTool():
                yield "", tool
            case Namespace(name=name, tools=tools):
                yield from ((name, inside) for inside in tools)
            case HostedTool() | _:
                pass


def _unwrapped(arguments: bytes) -> bytes:
    try:
        return _input.decode(arguments).input.encode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return arguments  # the model did not keep to the schema: its words are the input
