"""An answer that one model begins and another ends is one answer to its caller, wherever the first one broke off."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.event import ArgumentsDelta, Event, Finish, PartEnd, PartStart, Start, TextDelta
from komeet.canonical.fold import fold
from komeet.canonical.part import Reasoning, Text, ToolCall
from komeet.canonical.request import Request
from komeet.canonical.response import StopReason
from komeet.canonical.turn import Role, Turn
from komeet.wire.continued import Story, asked_on, grown_by
from komeet.wire.format import Asked
from komeet.wire.formats import BOTH_ROLES

FINISH = Finish(candidate=0, stop=StopReason.STOP)


class Notes:
    """A renderer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def feed(self, event: Event) -> bytes:
        self.events.append(event)
        return b"x"

    def end(self) -> bytes:
        return b"."


def answer(*pieces: str, thinking: str = "") -> list[Event]:
    """A text in pieces, after some reasoning."""
    thought: list[Event] = []
    if thinking:
        thought = [
            PartStart(candidate=0, index=0, part=Reasoning()),
            TextDelta(candidate=0, index=0, text=thinking),
            PartEnd(candidate=0, index=0),
        ]
    index = 1 if thinking else 0
    said: list[Event] = [TextDelta(candidate=0, index=index, text=piece) for piece in pieces]
    begun = PartStart(candidate=0, index=index, part=Text(text=""))
    return [Start(model="m"), *thought, begun, *said, PartEnd(candidate=0, index=index), FINISH]


TEXTS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4)


@given(TEXTS, TEXTS, TEXTS, st.booleans(), st.booleans(), st.integers(0, 10), st.integers(0, 10))
def test_wherever_it_breaks_it_is_one_answer(
    first: list[str], second: list[str], third: list[str], thinks: bool, rethinks: bool, cut: int, again: int
) -> None:
    notes = Notes()
    story = Story(notes)
    whole = answer(*first, thinking="hm" if thinks else "")
    for event in whole[: min(cut, len(whole) - 1)]:
        story.feed(event)
    told = story.text
    assert "".join(first).startswith(told)
    assert story.can_go_on == bool(told)
    if not told:
        return
    story.go_on()
    further = answer(*second, thinking="so" if rethinks else "")
    for event in further[: min(again, len(further) - 1)]:
        story.feed(event)
    assert "".join([told, *second]).startswith(story.text)
    told = story.text
    story.go_on()
    for event in answer(*third):
        story.feed(event)
    assert not story.can_go_on
    assert story.text == "".join([told, *third])
    (candidate,) = fold(notes.events).candidates
    texts = [part.text for part in candidate.parts if isinstance(part, Text)]
    assert "".join(texts) == story.text
    assert [part.text for part in candidate.parts if isinstance(part, Reasoning)] == (["hm"] if thinks else [])
    assert candidate.stop is StopReason.STOP


def test_what_was_asked_of_a_tool_is_not_gone_on_with_but_may_follow() -> None:
    call = PartStart(candidate=0, index=1, part=ToolCall(id="c", name="f", arguments=b""))
    ending: list[Event] = [
        ArgumentsDelta(candidate=0, index=1, data=b"{}"), PartEnd(candidate=0, index=1), FINISH
    ]  # fmt: skip
    story = Story(Notes())
    for event in [*answer("Hello")[:-1], call]:
        story.feed(event)
    assert not story.can_go_on
    notes = Notes()
    story = Story(notes)
    for event in answer("Hel")[:3]:
        story.feed(event)
    story.go_on()
    for event in [*answer("lo")[:-1], call, *ending]:
        story.feed(event)
    text, asked = fold(notes.events).candidates[0].parts
    assert text == Text(text="Hello")
    assert isinstance(asked, ToolCall)
    assert asked.arguments == b"{}"


def test_who_has_nothing_to_add_but_a_tool_call_ends_the_text_first() -> None:
    notes = Notes()
    story = Story(notes)
    for event in answer("Hello")[:3]:
        story.feed(event)
    story.go_on()
    call = PartStart(candidate=0, index=0, part=ToolCall(id="c", name="f", arguments=b"{}"))
    for event in [Start(), call, PartEnd(candidate=0, index=0), FINISH]:
        story.feed(event)
    text, asked = fold(notes.events).candidates[0].parts
    assert text == Text(text="Hello")
    assert isinstance(asked, ToolCall)


@given(st.text(max_size=200), st.one_of(st.none(), st.integers(1, 100)))
def test_the_rest_is_asked_for_within_what_is_left(told: str, limit: int | None) -> None:
    question = Turn(role=Role.USER, parts=(Text(text="Hi"),))
    asked = asked_on(Request(model="m", turns=(question,), output_limit=limit), told)
    first, begun, further = asked.turns
    assert first == question
    assert begun == Turn(role=Role.ASSISTANT, parts=(Text(text=told),))
    assert further.role is Role.USER
    assert asked.output_limit is None if limit is None else 1 <= (asked.output_limit or 0) <= limit
    written = "".join(part.text for turn in (begun, further) for part in turn.parts if isinstance(part, Text))
    assert len(written.encode("utf-8", "replace")) < grown_by(told)


QUESTIONS: Mapping[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai_responses": {"input": "Hi"},
    "anthropic_messages": {"max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("cut", range(3, 7))
@pytest.mark.parametrize("thinking", ["", "hm"])
def test_each_format_tells_one_answer(name: str, cut: int, thinking: str) -> None:
    wire = BOTH_ROLES[name]
    body = json.dumps({"model": "m", "stream": True} | QUESTIONS[name]).encode()
    envelope = wire.parse_envelope(body, {})
    asked = Asked(envelope=envelope, request=wire.parse_request(envelope), id="1", created=1)
    story = Story(wire.stream_renderer(asked))
    out = [story.feed(event) for event in answer("One ", "two ", "three ")[:cut]]
    told = story.text
    story.go_on()
    out += [story.feed(event) for event in answer("four ", "five.", thinking=thinking)]
    parser, framing = wire.stream_parser(), wire.framing()
    heard = [event for said in framing.feed(b"".join(out) + story.end()) for event in parser.feed(said)]
    (candidate,) = fold([*heard, *parser.end()]).candidates
    assert "".join(part.text for part in candidate.parts if isinstance(part, Text)) == told + "four five."
    assert len(candidate.parts) == (2 if cut == 6 and name != "openai_chat" else 1), "behind one that has ended"
    assert candidate.stop is StopReason.STOP
