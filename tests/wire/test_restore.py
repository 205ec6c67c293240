"""What a provider's format made of a caller's tools is unmade on the way back."""

import json
from collections.abc import Iterable

import pytest

from komeet.canonical.event import ArgumentsDelta, Event, Finish, PartEnd, PartStart
from komeet.canonical.fold import fold
from komeet.canonical.part import Part, Text, ToolCall
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.response import StopReason
from komeet.canonical.tool import CustomTool, FunctionTool, Namespace
from komeet.wire.restore import Restorer
from komeet.wire.structured import JSON_TOOL

SHELL = CustomTool(name="shell")
FILES = Namespace(name="files", tools=(FunctionTool(name="read"), CustomTool(name="patch")))


def call(name: str, pieces: Iterable[str], index: int = 0) -> list[Event]:
    return [
        PartStart(candidate=0, index=index, part=ToolCall(id=f"c{index}", name=name)),
        *[ArgumentsDelta(candidate=0, index=index, data=piece.encode()) for piece in pieces],
        PartEnd(candidate=0, index=index),
    ]


def restored(request: Request, events: list[Event]) -> tuple[tuple[Part, ...], StopReason | None]:
    restorer = Restorer(request)
    finish = Finish(candidate=0, stop=StopReason.TOOL_CALLS, native_stop="tool_use")
    told = [said for event in [*events, finish] for said in restorer.feed(event)]
    candidate = fold(told).candidates[0]
    return candidate.parts, candidate.stop


def asked(*tools: FunctionTool | CustomTool | Namespace, schema: bytes | None = None) -> Request:
    output = None if schema is None else JsonOutput(schema=schema)
    return Request(model="m", turns=(), tools=tools, output=output)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_text_of_a_custom_tool_comes_out_of_its_function(size: int) -> None:
    whole = json.dumps({"input": 'echo "ü"\n'})
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    parts, stop = restored(asked(SHELL), call("shell", pieces))
    assert parts == (ToolCall(id="c0", name="shell", arguments='echo "ü"\n'.encode(), custom=True),)
    assert stop is StopReason.TOOL_CALLS


@pytest.mark.parametrize("words", ["ls", '{"command": "ls"}', '{"input": 7}', ""])
def test_words_that_do_not_keep_to_the_schema_are_the_input(words: str) -> None:
    parts, _ = restored(asked(SHELL), call("shell", [words]))
    assert parts == (ToolCall(id="c0", name="shell", arguments=words.encode(), custom=True),)


def test_a_tool_of_a_group_goes_by_its_own_name_again() -> None:
    parts, _ = restored(
        asked(FILES, FunctionTool(name="read")),
        [*call("files__read", ["{}"]), *call("read", ["{}"], 1), *call("files__patch", ['{"input": "p"}'], 2)],
    )
    assert parts == (
        ToolCall(id="c0", namespace="files", name="read", arguments=b"{}"),
        ToolCall(id="c1", name="read", arguments=b"{}"),
        ToolCall(id="c2", namespace="files", name="patch", arguments=b"p", custom=True),
    )


def test_the_arguments_of_the_tool_that_is_the_answer_are_the_answer() -> None:
    parts, stop = restored(asked(schema=b"{}"), call(JSON_TOOL, ['{"a"', ": 1}"]))
    assert (parts, stop) == ((Text(text='{"a": 1}'),), StopReason.STOP)


def test_beside_a_real_call_the_answer_does_not_end_the_turn() -> None:
    parts, stop = restored(
        asked(FunctionTool(name="f"), schema=b"{}"), [*call(JSON_TOOL, ["{}"]), *call("f", ["{}"], 1)]
    )
    assert [type(part) for part in parts] == [Text, ToolCall]
    assert stop is StopReason.TOOL_CALLS


def test_a_callers_own_tool_of_that_name_stays_a_call() -> None:
    parts, _ = restored(asked(FunctionTool(name=JSON_TOOL), schema=b"{}"), call(JSON_TOOL, ["{}"]))
    assert parts == (ToolCall(id="c0", name=JSON_TOOL, arguments=b"{}"),)


def test_there_is_nothing_to_do_for_plain_functions() -> None:
    assert Restorer(asked(FunctionTool(name="f"))).idle
    assert not Restorer(asked(FILES)).idle
