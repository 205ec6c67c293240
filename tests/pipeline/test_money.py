"""What is held before a call, and what is posted after it."""

import dataclasses
import json
from typing import Any

import pytest
from tests.pipeline.fakes import Exchange, World, key

from komeet.catalog.profile import Profile
from komeet.core.money import Nano
from komeet.ledger.port import State
from komeet.pipeline.ports import Policy

OUTPUT = 10_000
"""Nano-dollars for a token of output."""


def whole(**usage: Any) -> Exchange:
    body: dict[str, Any] = {"choices": [{"message": {"content": "Hello"}}]}
    return Exchange(pieces=[json.dumps(body | ({"usage": usage} if usage else {})).encode()])


USED = whole(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 30_000}])
def test_without_a_budget_the_model_s_own_limit_bounds_the_hold(fields: dict[str, Any]) -> None:
    """Less would look as if the provider had billed more than it may."""
    world = World(exchanges=[USED], profile=Profile(output_limit=30_000))
    world.answer(**fields)
    assert 30_000 * OUTPUT < world.ledger.holds[0].amount < 30_000 * OUTPUT * 1.01


def test_with_a_budget_a_limit_is_set_and_sent_and_held() -> None:
    world = World(exchanges=[USED], key=key(budget=Nano(10**9)), policy=Policy(budget_output_tokens=500))
    world.answer()
    assert json.loads(world.fetcher.sendings[0].outgoing.body)["max_tokens"] == 500
    assert 500 * OUTPUT < world.ledger.holds[0].amount < 500 * OUTPUT * 1.5


def test_the_limit_shrinks_to_what_is_left_of_the_budget() -> None:
    room = 3_000_000
    world = World(exchanges=[USED], key=key(budget=Nano(room)), room=room)
    assert world.answer().status == 200
    limit = json.loads(world.fetcher.sendings[0].outgoing.body)["max_tokens"]
    assert 16 <= limit < 500
    assert room - OUTPUT < world.ledger.holds[0].amount <= room


@pytest.mark.parametrize(
    ("room", "fields"), [(1_000, {}), (3_000_000, {"max_tokens": 1_000})], ids=["a stump", "the caller's own limit"]
)
def test_what_does_not_fit_is_not_sent(room: int, fields: dict[str, Any]) -> None:
    world = World(exchanges=[USED], key=key(budget=Nano(room)), room=room)
    assert world.answer(**fields).status == 402
    assert not world.fetcher.sendings
    assert not world.ledger.outcomes
    assert world.records[0].error == "budget_exceeded"


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -3, "completion_tokens": 2},
        {"prompt_tokens": 3, "completion_tokens": -2},
        {"prompt_tokens": 3, "completion_tokens": 2**62},
        {"prompt_tokens": "3", "completion_tokens": 2},
        {"completion_tokens": 2},
    ],
)
def test_numbers_that_cannot_be_true_are_counted_here(usage: dict[str, Any]) -> None:
    world = World(exchanges=[whole(**usage)])
    reply = world.answer()
    outcome = world.ledger.outcome()
    assert (outcome.state, outcome.estimated, outcome.usage.output) == (State.SETTLED, True, 5)
    assert reply.headers[b"x-komeet-usage"] == b"estimated"
    assert reply.headers[b"x-komeet-cost"] != b"0"


def test_what_is_billed_above_the_hold_is_posted_in_full() -> None:
    world = World(exchanges=[whole(prompt_tokens=3, completion_tokens=10**6)])
    world.answer(max_tokens=5)
    assert world.ledger.outcome().cost == 3 * 1_000 + 10**6 * OUTPUT > world.ledger.holds[0].amount


def test_an_unknown_price_is_said_and_never_zero() -> None:
    world = World(exchanges=[USED])
    assert world.answer(model="maker/new").headers[b"x-komeet-cost"] == b"unpriced"
    outcome, record = world.ledger.outcome(), world.records[0]
    assert (outcome.unpriced, record.unpriced) == (True, True)
    for refusing in (World(policy=Policy(unpriced="refuse")), World(key=key(budget=Nano(10**9)))):
        assert refusing.answer(model="maker/new").status == 403
        assert not refusing.ledger.holds


def test_a_refusal_says_no_cost() -> None:
    world = World(exchanges=[dataclasses.replace(USED, status=400)])
    assert b"x-komeet-cost" not in world.answer().headers


def test_the_cost_of_every_place_is_the_same() -> None:
    world = World(exchanges=[USED])
    reply = world.answer()
    outcome, record = world.ledger.outcome(), world.records[0]
    assert outcome.cost == record.cost == 3 * 1_000 + 2 * OUTPUT
    assert reply.headers[b"x-komeet-cost"] == b"0.000023"
    assert record.usage == outcome.usage
    assert (record.request_id, record.attempt_id) == (world.ledger.holds[0].request_id, outcome.attempt_id)


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_are_kept_for_keys_that_ask_for_it_and_no_more_than_a_mebibyte(stream: bool) -> None:
    text = "x" * 300_000
    exchange = dataclasses.replace(USED, pieces=[USED.pieces[0].replace(b"Hello", text.encode() * 4)])
    for wanted in (False, True):
        world = World(exchanges=[exchange], key=key(store_bodies=wanted))
        reply = world.answer(stream=stream, messages=[{"role": "user", "content": text * 4}])
        record = world.records[0]
        if wanted:
            assert record.request_body is not None
            assert record.response_body is not None
            assert len(record.request_body) == len(record.response_body) == 1 << 20
            assert reply.body.startswith(record.response_body)
        else:
            assert record.request_body is record.response_body is None
