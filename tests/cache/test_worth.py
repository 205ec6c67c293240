"""Which calls are answered again, and with which answers."""

import pytest
from msgspec import Raw

from komeet.cache.worth import is_repeatable, is_worth_keeping
from komeet.canonical.extent import Extent
from komeet.canonical.part import Audio, Inline, Opaque, Part, Reasoning, Refusal, ServerTool, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason

PLAIN = Extent(bytes=10)
SAID = Text(text="Hello.")


def answer(*parts: Part, stop: StopReason | None = StopReason.STOP) -> Response:
    return Response(candidates=(Candidate(parts=parts, stop=stop),))


def test_a_plain_call_is_repeatable() -> None:
    assert is_repeatable({"model": Raw(b'"m"'), "store": Raw(b"false"), "conversation": Raw(b"null")}, PLAIN)


@pytest.mark.parametrize("name", ["store", "background", "previous_response_id", "conversation"])
def test_what_is_kept_elsewhere_is_not(name: str) -> None:
    assert not is_repeatable({name: Raw(b"true")}, PLAIN)


@pytest.mark.parametrize(
    "extent",
    [Extent(bytes=1, candidates=2), Extent(bytes=1, hosted_tools=True), Extent(bytes=1, external=True)],
)
def test_what_may_differ_by_itself_is_not(extent: Extent) -> None:
    assert not is_repeatable({}, extent)


def test_whole_answers_are_worth_keeping() -> None:
    assert is_worth_keeping(answer(SAID))
    assert is_worth_keeping(answer(Reasoning(text="hm"), SAID))
    assert is_worth_keeping(answer(ToolCall(id="c", name="f", arguments=b"{}"), stop=StopReason.TOOL_CALLS))


@pytest.mark.parametrize("stop", [None, *(set(StopReason) - {StopReason.STOP, StopReason.TOOL_CALLS})])
def test_those_that_ended_otherwise_are_not(stop: StopReason | None) -> None:
    assert not is_worth_keeping(answer(SAID, stop=stop))


@pytest.mark.parametrize(
    "part",
    [
        Refusal(text="No."),
        ServerTool(origin="o", kind="web_search_call", value=Raw(b"{}")),
        Opaque(origin="o", value=Raw(b"{}")),
        Audio(source=Inline("audio/wav", ""), id="audio_1", expires_at=5),
    ],
    ids=lambda part: type(part).__name__,
)
def test_nor_those_that_hold_something_else(part: Part) -> None:
    assert not is_worth_keeping(answer(SAID, part))


def test_nor_those_that_hold_nothing() -> None:
    assert not is_worth_keeping(Response())
    assert not is_worth_keeping(answer())
