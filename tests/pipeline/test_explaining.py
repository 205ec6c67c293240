"""What is explained is what happens: on random routes, keys and requests, each candidate in its order, and no other."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pipeline.fakes import Exchange, World, key
from tests.pipeline.test_failover import error_of, refused

from komeet.access.keys import Key
from komeet.core.money import Nano
from komeet.pipeline.explaining import Explanation, explain
from komeet.pipeline.ports import Policy
from komeet.routing.health import BreakerPolicy, HealthBook
from komeet.routing.retry import RetryPolicy
from komeet.routing.route import Condition, Group, Member, Order, Route, Span

NAMES = ("maker", "second", "third")
MODELS = st.sampled_from([f"{name}/{model}" for name in NAMES for model in ("m", "n")] + ["m", " gone"])
ORDERS = st.sampled_from([order for order in Order if order is not Order.LATENCY])
WHENS = st.sampled_from(
    [
        Condition(),
        Condition(tools=True),
        Condition(stream=False),
        Condition(input_tokens=Span(over=20)),
        Condition(tags=("eu",)),
        Condition(effort=("high",)),
    ]
)


@st.composite
def groups(draw: st.DrawFn) -> Group:
    members = draw(st.lists(st.builds(Member, MODELS, st.integers(1, 9)), min_size=1, max_size=4))
    return Group(members=tuple(members), order=draw(ORDERS), when=draw(WHENS))


@st.composite
def keys(draw: st.DrawFn) -> Key:
    models: tuple[str, ...] = draw(st.sampled_from([(), (), ("r",), ("m", "third/*"), ("second/m",)]))
    tags: tuple[str, ...] = draw(st.sampled_from([(), ("eu",)]))
    return key(models=models, tags=tags, budget=draw(st.sampled_from([None, Nano(10**12)])))


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALLS = st.fixed_dictionaries(
    {"model": st.sampled_from(["r", "r", "r", "m", "second/n", "nobody/x"])},
    optional={
        "tools": st.just([TOOL]),
        "stream": st.booleans(),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "messages": st.just([{"role": "user", "content": "word " * 50}]),
        "max_completion_tokens": st.integers(1, 100),
    },
)


def make(wanted: list[Group], one: Key, unpriced: str) -> World:
    return World(
        exchanges=[refused(500)],
        others=NAMES[1:],
        routes=(Route(name="r", groups=tuple(wanted)),),
        key=one,
        policy=Policy(unpriced="refuse" if unpriced == "refuse" else "allow"),
        retry=RetryPolicy(attempts=99, percent=0, reserve=0),
        health=HealthBook(BreakerPolicy(failures=10**6, share=2)),
    )


def explained(world: World, **fields: Any) -> Explanation:
    found: list[Explanation] = []

    async def ask() -> None:
        found.append(await explain(world.call(**fields), world.ports))

    world.run(ask())
    return found[0]


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(groups(), min_size=1, max_size=3), keys(), CALLS, st.sampled_from(["allow", "refuse"]))
def test_who_is_asked_is_who_was_named(wanted: list[Group], one: Key, fields: dict[str, Any], unpriced: str) -> None:
    world = make(wanted, one, unpriced)
    told = explained(world, **fields)
    assert not world.fetcher.sendings
    assert not world.ledger.holds
    world.answer(**fields)
    asked = [
        (sending.outgoing.origin.host.partition(".")[0], json.loads(sending.outgoing.body)["model"])
        for sending in world.fetcher.sendings
    ]
    assert asked == [(one.provider, one.model) for one in told.candidates if one.refused is None]
    holds = {(hold.provider, hold.model): hold for hold in world.ledger.holds}
    for candidate in told.candidates:
        if candidate.refused is None and candidate.most_cost is not None:
            assert holds[candidate.provider, candidate.model].amount == candidate.most_cost
    if told.refused is not None:
        assert world.reply.status == told.refused.status
        assert error_of(world)["message"] == told.refused.message


def test_who_is_left_out_is_said_with_the_reason() -> None:
    wanted = [
        Group(members=(Member("maker/m"),), when=Condition(tools=True)),
        Group(members=(Member(" gone"), Member("second/m"), Member("second/m"))),
    ]
    told = explained(make(wanted, key(models=("third/m", "r")), "allow"), model="r")
    assert [(one.provider, one.model) for one in told.candidates] == [("second", "m")]
    assert told.left_out[0].model == "group 1"
    assert "tools is false" in told.left_out[0].why


def test_what_would_be_left_alone_is_said() -> None:
    world = World(exchanges=[Exchange(status=500)], health=HealthBook(BreakerPolicy(failures=1)))
    world.answer()
    assert [one.open_breaker for one in explained(world).candidates] == [True]
