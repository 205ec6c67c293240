"""How many calls are under way: refused early above it, counted again when one ends, however it ends."""

import asyncio
import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import World, interruptions, key

from komeet.core.errors import LimitExceeded, Overloaded, Unavailable
from komeet.pipeline.admission import Admission
from komeet.pipeline.call import Call


def call_of(world: World, name: str) -> Call:
    call = world.call()
    call.key = replace(key(), id=name)
    return call


def test_as_many_as_may_be() -> None:
    world, admission = World(), Admission(3, 2)
    calls = [call_of(world, name) for name in "aabc"]
    for each in calls[:3]:
        admission.enter(each)
    with pytest.raises(Overloaded) as refused:
        admission.enter(calls[3])
    assert (refused.value.http_status, refused.value.retry_after) == (503, 1.0)
    admission.leave(calls[3])
    assert admission.running == 3
    admission.leave(calls[0])
    admission.leave(calls[0])
    assert admission.running == 2
    admission.enter(calls[3])


def test_as_many_as_a_key_may_have() -> None:
    world, admission = World(), Admission(100, 2)
    calls = [call_of(world, name) for name in "aaab"]
    for each in calls[:2]:
        admission.enter_key(each)
    with pytest.raises(LimitExceeded) as refused:
        admission.enter_key(calls[2])
    assert (refused.value.http_status, refused.value.retry_after) == (429, 1.0)
    admission.leave(calls[2])
    admission.enter_key(calls[3])
    admission.leave(calls[0])
    admission.enter_key(calls[2])
    for each in calls:
        admission.leave(each)
    assert admission.each == {}, "keys that have no call are not remembered"


@pytest.mark.parametrize(
    ("most", "each", "status", "code"), [(0, 9, 503, "overloaded"), (9, 0, 429, "rate_limit_exceeded")]
)
def test_a_call_too_many_sends_nothing_and_says_when_to_come_again(
    most: int, each: int, status: int, code: str
) -> None:
    world = World()
    world.ports = replace(world.ports, admission=Admission(most, each))
    reply = world.answer()
    assert (reply.status, reply.headers[b"retry-after"]) == (status, b"1")
    assert json.loads(reply.body)["error"]["code"] == code
    assert world.ledger.holds == []
    assert world.records[0].error == code


@pytest.mark.parametrize("error", [asyncio.CancelledError, lambda: Unavailable("Out of reach."), ValueError])
def test_however_a_call_ends_it_is_no_longer_counted(error: Callable[[], BaseException]) -> None:
    admission = Admission(1, 1)

    def make() -> World:
        world = World()
        world.ports = replace(world.ports, admission=admission)
        return world

    for _ in interruptions(make, error):
        assert admission.running == 0
        assert admission.each == {}
