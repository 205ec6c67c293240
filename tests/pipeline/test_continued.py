"""A stream that breaks is ended by another model, where its caller allowed it: marked, and each part is paid for."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import STREAM, Exchange, World
from tests.pipeline.test_failover import CUT, THREE, refused, states

from komeet.core.errors import CutMidStream
from komeet.ledger.port import State
from komeet.pipeline.call import CONTINUE, Call
from komeet.routing.retry import RetryPolicy


def chunk(text: str = "", **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}} | more
    return b"data: " + json.dumps({"id": "c", "model": "m-1", "choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\n'
DONE = b"data: [DONE]\n\n"
FIRST = (chunk("One "), chunk("two "), chunk("three "))
REST = Exchange(headers=STREAM, pieces=(chunk("four "), chunk("five."), chunk(finish_reason="stop"), USAGE, DONE))
OVERLOADED = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'


def breaking(*pieces: bytes) -> Exchange:
    return Exchange(headers=STREAM, pieces=pieces, broken=CutMidStream("cut"))


def made(*exchanges: Exchange, allowed: bool = True, retry: RetryPolicy | None = None, **fields: Any) -> World:
    one = World(exchanges=exchanges, others=("second", "third"), routes=(THREE,), retry=retry or RetryPolicy())
    call = one.call(model="r", stream=True, **fields)
    if allowed:
        allow(call, b"allow")
    one.finish(call)
    return one


def allow(call: Call, word: bytes) -> None:
    """Put the header on a call that has arrived."""
    call.request = replace(call.request, headers=dict(call.request.headers) | {CONTINUE: word})


def events(world: World) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in world.reply.body.split(b"\n\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def text(world: World) -> str:
    choices = [choice for event in events(world) for choice in event.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("ending", ["cut", "error", "early"])
def test_another_model_ends_what_one_began(count: int, ending: str) -> None:
    first = {
        "cut": breaking(*FIRST[:count]),
        "error": Exchange(headers=STREAM, pieces=(*FIRST[:count], OVERLOADED)),
        "early": Exchange(headers=STREAM, pieces=FIRST[:count]),
    }[ending]
    one = made(first, REST)
    told = "One two three "[: [4, 8, 14][count - 1]]
    assert text(one) == told + "four five."
    assert one.reply.body.count(DONE) == 1
    assert one.reply.body.count(b": komeet: continued by second/m\n\n") == 1
    assert not any("error" in event for event in events(one))
    assert [event["id"] for event in events(one) if event["choices"]] == ["c"] * (count + 3)
    asked = json.loads(one.fetcher.sendings[1].outgoing.body)
    assert [turn["role"] for turn in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][1]["content"] == told
    assert states(one) == [State.SETTLED, State.SETTLED]
    assert [outcome.reason for outcome in one.ledger.outcomes if outcome.reason == "continued"] == ["continued"]
    (record,) = one.records
    assert (record.status, record.error, record.attempts) == (200, "", 2)
    assert record.trail[1].why.endswith("it goes on with what was begun")


def test_without_leave_it_ends_in_an_error() -> None:
    one = made(breaking(*FIRST), REST, allowed=False)
    assert text(one) == "One two three "
    assert events(one)[-1]["error"]
    assert len(one.fetcher.sendings) == 1


def test_where_nobody_can_end_it_the_caller_is_told_once() -> None:
    one = made(breaking(*FIRST), refused(500), breaking(chunk("four ")))
    assert text(one) == "One two three four "
    assert [("error" in event) for event in events(one)].count(True) == 1
    assert "error" in events(one)[-1]
    assert one.reply.finished
    assert DONE not in one.reply.body
    assert len(one.fetcher.sendings) == len(one.ledger.outcomes) == 3


def test_a_third_ends_what_two_began() -> None:
    one = made(breaking(*FIRST[:1]), breaking(chunk("two ")), REST)
    assert text(one) == "One two four five."
    assert json.loads(one.fetcher.sendings[2].outgoing.body)["messages"][1]["content"] == "One two "


def test_who_sends_no_stream_cannot_go_on() -> None:
    one = made(breaking(*FIRST), CUT, REST)
    assert text(one) == "One two three four five."


def test_a_tool_call_is_not_gone_on_with() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    one = made(breaking(chunk(delta={"tool_calls": [call]})), REST)
    assert "error" in events(one)[-1]
    assert len(one.fetcher.sendings) == 1


def test_the_rest_has_only_the_tokens_that_are_left() -> None:
    one = made(breaking(*FIRST), REST, max_tokens=100)
    assert json.loads(one.fetcher.sendings[1].outgoing.body)["max_tokens"] == 100 - len("One two three ") // 4


def test_another_word_in_the_header_is_a_mistake() -> None:
    one = World(exchanges=[REST])
    call = one.call(stream=True)
    allow(call, b"yes")
    assert one.finish(call).status == 400
    assert b"x-komeet-continue" in one.reply.body
    assert one.fetcher.sendings == []
