"""From candidate to candidate: one answer, one outcome for each attempt, and the first one's error if none answers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.pipeline.fakes import JSON, STREAM, Exchange, World, interruptions, key

from komeet.core.errors import ConnectFailed, CutMidStream, Garbled, UpstreamTimedOut
from komeet.core.money import Nano
from komeet.ledger.port import State
from komeet.routing.health import BreakerPolicy, HealthBook
from komeet.routing.retry import RetryPolicy
from komeet.routing.route import Group, Member, Route

THREE = Route(name="r", groups=(Group(members=(Member("maker/m"), Member("second/m"), Member("third/m"))),))
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MESSAGE = {"role": "assistant", "content": "Hello"}
WELL = Exchange(
    pieces=(json.dumps({"model": "m-1", "choices": [{"index": 0, "message": MESSAGE}], "usage": USAGE}).encode(),)
)


def chunk(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


STREAMS = Exchange(headers=STREAM, pieces=(chunk(content="Hello"), chunk(), b"data: [DONE]\n\n"))
FAILS = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'


def refused(status: int, message: str = "no", code: str | None = None, **headers: str) -> Exchange:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    said = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Exchange(status=status, headers=JSON | said, pieces=(body,))


UNREACHABLE = Exchange(unreachable=ConnectFailed("No connection."))
SILENT = Exchange(silent=UpstreamTimedOut("It sent nothing.", phase="first byte"))
CUT = Exchange(pieces=(b'{"choi',), broken=CutMidStream("cut"))


def world(*exchanges: Exchange, retry: RetryPolicy | None = None, **more: Any) -> World:
    return World(exchanges=exchanges, others=("second", "third"), routes=(THREE,), retry=retry or RetryPolicy(), **more)


def asked(world: World) -> list[str]:
    return [sending.outgoing.origin.host.partition(".")[0] for sending in world.fetcher.sendings]


def states(world: World) -> list[State]:
    by_attempt = {outcome.attempt_id: outcome.state for outcome in world.ledger.outcomes}
    return [by_attempt[hold.attempt_id] for hold in world.ledger.holds]


def error_of(world: World) -> dict[str, Any]:
    return json.loads(world.reply.body)["error"]


@pytest.mark.parametrize(
    ("failing", "state"),
    [
        (refused(500), State.VOIDED),
        (refused(503), State.VOIDED),
        (refused(529), State.VOIDED),
        (refused(429), State.VOIDED),
        (refused(401), State.VOIDED),
        (refused(404), State.VOIDED),
        (UNREACHABLE, State.VOIDED),
        (SILENT, State.ORPHAN),
        (CUT, State.ORPHAN),
        (Exchange(headers={b"content-type": b"text/html"}, pieces=(b"<html>",)), State.ORPHAN),
    ],
    ids=["500", "503", "529", "429", "401", "404", "unreachable", "silent", "cut", "a web page"],
)
def test_the_next_one_answers_and_each_attempt_is_in_the_books(failing: Exchange, state: State) -> None:
    one = world(failing, WELL)
    reply = one.answer(model="r")
    assert (reply.status, reply.headers[b"x-komeet-provider"]) == (200, b"second")
    assert asked(one) == ["maker", "second"]
    assert states(one) == [state, State.SETTLED]
    (record,) = one.records
    assert (record.attempts, record.provider, record.error, record.model_asked) == (2, "second", "", "r")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_caller_s_own_mistake_is_nobody_else_s_business(status: int) -> None:
    one = world(refused(status), WELL)
    assert one.answer(model="r").status == status
    assert asked(one) == ["maker"]


def test_a_content_filter_is_not_got_round() -> None:
    one = world(refused(400, "The response was filtered.", "content_filter"), WELL)
    assert one.answer(model="r").status == 400
    assert error_of(one)["code"] == "content_filter"
    assert asked(one) == ["maker"]


def test_a_prompt_that_is_too_long_goes_to_a_model_that_reads_more() -> None:
    too_long = refused(400, "This model's maximum context length is 8 tokens.", "context_length_exceeded")
    one = world(too_long, WELL)
    assert one.answer(model="r").status == 200
    assert asked(one) == ["maker", "second"]
    alone = World(exchanges=[too_long], retry=RetryPolicy())
    assert alone.answer().status == 400
    assert error_of(alone)["message"].startswith("This model's maximum")


def test_a_fallback_s_refusal_does_not_blame_the_caller_for_the_first_one_s_failure() -> None:
    one = world(refused(500), refused(400, "Prefilling is not supported."), refused(400, "Nor here."))
    assert one.answer(model="r").status == 502
    assert "maker" in error_of(one)["message"]
    assert asked(one) == ["maker", "second", "third"]
    assert set(states(one)) == {State.VOIDED}


def test_where_all_fail_the_caller_is_told_of_the_first() -> None:
    one = world(refused(503), refused(500), UNREACHABLE)
    assert one.answer(model="r").status == 503
    assert len(one.fetcher.sendings) == 3


def test_no_more_attempts_than_are_allowed() -> None:
    one = world(refused(503), refused(500), WELL, retry=RetryPolicy(attempts=2))
    assert one.answer(model="r").status == 503
    assert asked(one) == ["maker", "second"]


def test_alone_it_is_asked_again_after_a_moment() -> None:
    one = World(exchanges=[refused(500), WELL], retry=RetryPolicy())
    assert one.answer().status == 200
    assert asked(one) == ["maker", "maker"]
    assert states(one) == [State.VOIDED, State.SETTLED]
    assert one.slept == [0.1875]


def test_retry_after_is_honoured_or_handed_on() -> None:
    one = World(exchanges=[refused(429, retry_after="2"), WELL], retry=RetryPolicy())
    assert one.answer().status == 200
    assert 2 <= one.slept[0] < 2.2
    late = World(exchanges=[refused(429, retry_after="60"), WELL], retry=RetryPolicy())
    reply = late.answer()
    assert (reply.status, reply.headers[b"retry-after"]) == (429, b"60")
    assert not late.slept


def test_who_limits_us_is_left_alone_while_there_are_others() -> None:
    one = world(refused(429, retry_after="10"), WELL)
    one.answer(model="r")
    one.answer(model="r")
    assert asked(one) == ["maker", "second", "second"]
    one.clock.advance(11)
    one.answer(model="r")
    assert asked(one)[-1] == "maker"


@pytest.mark.parametrize("broken", [SILENT, CUT, Exchange(pieces=(b"<html>",), broken=Garbled("?"))])
def test_what_may_have_been_billed_is_not_repeated_at_the_same_place(broken: Exchange) -> None:
    one = World(exchanges=[broken, WELL], retry=RetryPolicy())
    assert one.answer().status in {502, 504}
    assert len(one.fetcher.sendings) == 1


def test_the_caller_leaving_ends_it_whatever_was_to_follow() -> None:
    for ended in interruptions(lambda: world(refused(500), WELL), asyncio.CancelledError, model="r"):
        assert len(ended.ledger.outcomes) == len(ended.ledger.holds)
        assert len(ended.fetcher.sendings) <= 2
        assert len(ended.records) == 1


@pytest.mark.parametrize(
    "pieces",
    [(), (FAILS,), (b": nothing yet\n\n",)],
    ids=["nothing", "an error", "a comment"],
)
def test_a_stream_that_breaks_before_there_is_anything_to_show_is_had_elsewhere(pieces: Sequence[bytes]) -> None:
    broken = Exchange(headers=STREAM, pieces=pieces, broken=None if FAILS in pieces else CutMidStream("cut"))
    one = world(broken, STREAMS)
    reply = one.answer(model="r", stream=True)
    if pieces and pieces[0].startswith(b":"):
        assert b"error" in reply.body  # the comment was shown: whoever waits on the way knows of it
        return
    assert (reply.status, reply.headers[b"x-komeet-provider"]) == (200, b"second")
    assert reply.body.count(b"[DONE]") == 1
    assert b"overloaded" not in reply.body
    assert len(states(one)) == 2
    assert len(one.records) == 1


@pytest.mark.parametrize("shown", range(1, 4))
def test_a_stream_that_has_been_shown_ends_in_an_error_and_nobody_else_is_asked(shown: int) -> None:
    pieces = tuple(chunk(content=f"{number} ") for number in range(shown))
    one = world(Exchange(headers=STREAM, pieces=pieces, broken=CutMidStream("cut")), STREAMS)
    body = one.answer(model="r", stream=True).body
    assert asked(one) == ["maker"]
    assert body.count(b'"error"') == 1
    assert b"[DONE]" not in body


def test_each_counts_once_though_two_ways_lead_to_it() -> None:
    twice = Route(name="r", groups=(Group(members=(Member("maker/m"), Member("maker/m"))),))
    one = World(exchanges=[UNREACHABLE], routes=(twice,), retry=RetryPolicy(attempts=9, reserve=0, percent=0))
    assert one.answer(model="r").status == 502
    assert asked(one) == ["maker"]


def test_a_key_is_led_only_to_what_it_may_use() -> None:
    one = world(refused(500), WELL, key=key(models=("third/m",)))
    one.answer(model="r")
    assert asked(one) == ["third", "third"]
    assert one.reply.status == 200
    none = world(WELL, key=key(models=("x",)))
    assert none.answer(model="r").status == 403
    by_name = world(refused(500), WELL, key=key(models=("r",)))
    assert by_name.answer(model="r").status == 200
    assert asked(by_name) == ["maker", "second"]


def test_what_a_budget_has_no_room_for_is_not_sent_anywhere() -> None:
    one = world(WELL, key=key(budget=Nano(1)), room=1)
    assert one.answer(model="r").status == 402
    assert not one.fetcher.sendings


def test_a_breaker_opens_refuses_quickly_and_closes_again() -> None:
    health = HealthBook(BreakerPolicy(failures=3, seconds=1))
    one = World(exchanges=[refused(500)], health=health)
    assert [one.answer().status for _ in range(4)] == [502, 502, 502, 503]
    assert len(one.fetcher.sendings) == 3
    assert one.reply.headers[b"retry-after"] == b"1"
    assert len(one.ledger.holds) == len(one.ledger.outcomes) == 3
    one.clock.advance(1)
    one.fetcher.exchanges = [WELL]
    assert [one.answer().status for _ in range(2)] == [200, 200]


def test_a_storm_is_not_made_worse() -> None:
    """U11 in small: everything fails for 30 s at 100 calls a second."""
    one = World(
        exchanges=[refused(500)], retry=RetryPolicy(), health=HealthBook(BreakerPolicy(failures=10**9, share=2))
    )
    for _ in range(3_000):
        one.answer()
        one.clock.now = one.clock.now + 0.01 - sum(one.slept)
        one.slept.clear()
    assert len(one.fetcher.sendings) <= 1.15 * 3_000
    behind = World(exchanges=[refused(500)], retry=RetryPolicy())
    for _ in range(3_000):
        behind.answer()
        behind.clock.now = behind.clock.now + 0.01 - sum(behind.slept)
        behind.slept.clear()
    assert len(behind.fetcher.sendings) < 100


def test_a_later_attempt_has_only_the_time_that_is_left() -> None:
    one = world(refused(500), WELL)
    call = one.call(model="r")
    one.clock.advance(50)
    one.finish(call)
    first, second = (sending.outgoing.deadlines.total for sending in one.fetcher.sendings)
    assert second == first - 50
