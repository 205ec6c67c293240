"""Streams: they end once, with what the format ends them with or with one error; and cost what they cost."""

import json
from typing import Any

import pytest
from tests.pipeline.fakes import STREAM, Exchange, World

from komeet.core.errors import CutMidStream, KomeetError
from komeet.ledger.port import State
from komeet.pipeline.ports import Policy

CUT = CutMidStream("The connection was closed.")


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


HELLO = event(choices=[{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
DONE = b"data: [DONE]\n\n"
ERROR = event(error={"message": "overloaded", "code": 503})


def stream(*pieces: bytes, broken: KomeetError | None = None) -> World:
    """Make a call whose answer is these pieces."""
    world = World(exchanges=[Exchange(headers=STREAM, pieces=pieces, broken=broken)])
    world.answer(stream=True)
    return world


@pytest.mark.parametrize("broken", [None, CUT], ids=["ended", "cut"])
def test_an_error_of_the_provider_is_told_once_and_costs_nothing_before_content(broken: KomeetError | None) -> None:
    world = stream(ERROR, broken=broken)
    assert world.reply.body == ERROR
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.reason) == (State.VOIDED, "upstream_unavailable")
    assert world.records[0].error == "upstream_unavailable"


@pytest.mark.parametrize("broken", [None, CUT], ids=["ended", "cut"])
def test_an_error_after_content_is_told_once_and_settled(broken: KomeetError | None) -> None:
    world = stream(HELLO, ERROR, broken=broken)
    assert world.reply.body == HELLO + ERROR
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated, outcome.reason) == (State.SETTLED, True, "upstream_unavailable")


def test_nothing_is_added_to_a_stream_that_is_over() -> None:
    """Some providers close the connection behind `[DONE]` without ending their answer as HTTP would."""
    world = stream(HELLO, USAGE, DONE, broken=CUT)
    assert world.reply.body == HELLO + DONE
    assert world.reply.finished
    assert world.records[0].error == ""
    assert world.ledger.outcome().usage.output == 2


def test_a_stream_that_is_cut_before_it_is_over_ends_in_an_error() -> None:
    world = stream(HELLO, USAGE, broken=CUT)
    assert world.reply.body.startswith(HELLO + b'data: {"error":')
    assert b'"code":"upstream_cut"' in world.reply.body
    assert world.records[0].error == "upstream_cut"


def test_a_provider_that_does_not_stream_is_a_stream_to_the_caller() -> None:
    body = {
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    world = World(exchanges=[Exchange(pieces=[json.dumps(body).encode()])])
    reply = world.answer(stream=True)
    assert reply.headers[b"content-type"].startswith(b"text/event-stream")
    assert reply.headers[b"x-komeet-cost"] == b"0.000023"
    assert b'"content":"Hello"' in reply.body
    assert reply.body.endswith(DONE)
    assert world.ledger.outcome().cost == 23_000


@pytest.mark.parametrize("kind", [b"text/event-stream", b"Text/Event-Stream; charset=UTF-8"])
def test_a_provider_that_always_streams_is_whole_to_the_caller(kind: bytes) -> None:
    world = World(exchanges=[Exchange(headers={b"content-type": kind}, pieces=[HELLO, USAGE, DONE])])
    reply = world.answer()
    assert reply.headers[b"content-type"] == b"application/json"
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Hello"
    outcome = world.ledger.outcome()
    assert (outcome.cost, outcome.estimated) == (23_000, False)
    assert world.answer(stream=True).body == HELLO + DONE


@pytest.mark.parametrize("broken", [None, CUT], ids=["ended", "cut"])
@pytest.mark.parametrize("half", [b"d", b": kee", b"data: {", ERROR[:-2]])
def test_an_error_does_not_run_into_half_a_line(half: bytes, broken: KomeetError | None) -> None:
    """It would be no event, and the answer would pass as a whole one."""
    world = stream(HELLO.replace(b'"stop"', b"null"), half, broken=broken)
    last = world.reply.body.split(b"\n\n")[-2]
    assert json.loads(last.removeprefix(b"data: "))["error"]
    assert world.reply.body.count(b'"error"') == 1


def test_who_leaves_before_the_last_usage_pays_for_what_was_written() -> None:
    early = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3})
    world = stream(early, HELLO.replace(b'"stop"', b"null"), broken=CUT)
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated, outcome.usage.output) == (State.SETTLED, True, 5)


def test_a_caller_that_falls_behind_holds_the_provider_up() -> None:
    world = stream(HELLO, DONE)
    answer = world.fetcher.sendings[0].answer
    assert answer is not None
    assert world.reply.pause is not None
    assert world.reply.resume is not None
    world.reply.pause()
    assert answer.paused
    world.reply.resume()
    assert not answer.paused


def test_the_first_token_is_the_first_content() -> None:
    role = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    assert stream(b": wait\n\n", role, DONE).records[0].first_token_us is None
    assert stream(role, HELLO, DONE).records[0].first_token_us == 0


def test_the_last_event_of_a_stream_that_breaks_is_told_though_nothing_ended_it() -> None:
    begun = event(choices=[{"index": 0, "delta": {"content": "Hello"}}])
    for cut in (b"", b"\n", b"\n\n"):
        world = World(
            exchanges=[Exchange(headers=STREAM, pieces=(begun.rstrip() + cut,), broken=CUT)],
            policy=Policy(pass_through=False),
        )
        world.answer(stream=True)
        events = [json.loads(text[6:]) for text in world.reply.body.split(b"\n\n")[:-1]]
        assert "error" in events[-1]
        assert "Hello" in [choice["delta"].get("content") for each in events[:-1] for choice in each["choices"]]
