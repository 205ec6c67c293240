"""Cost and charge of an attempt, the version of what they were made by, and prices that change while a call runs."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import CREDENTIAL, PRICE, Exchange, FakeBook, FakeEstimator, World, key
from tests.pipeline.test_money import USED, whole
from tests.pipeline.test_streams import DONE, HELLO, STREAM, USAGE

from komeet.canonical.usage import Usage
from komeet.catalog.own import OwnPrice, OwnPrices
from komeet.catalog.price import price_from_dollars
from komeet.catalog.profiles import Profiles
from komeet.core.money import Nano, Ratio
from komeet.core.secrets import Secret
from komeet.ledger.port import State
from komeet.metering.charge import Sale, Sales
from komeet.pipeline.ports import Policy
from komeet.providers.provider import Provider, make
from komeet.routing.directory import Directory
from komeet.routing.health import HealthBook
from komeet.routing.route import Router

COST = 3 * 1_000 + 2 * 10_000
"""Of `USED`, at the price book's price."""


def with_own(world: World, *own: OwnPrice) -> World:
    provider = make(name="maker", base_url="https://maker.example/v1", credential=Secret(CREDENTIAL), price_id="maker")
    known = Directory[Provider](
        (provider,), FakeBook({"m": PRICE}), Profiles([("maker", ["*"], world.profile)]), world.clock, OwnPrices(own)
    )
    world.ports = replace(world.ports, directory=known, router=Router(known, (), HealthBook()))
    return world


def with_sales(world: World, *sales: Sale) -> World:
    world.ports = replace(world.ports, sales=Sales(sales))
    return world


def own(dollars: int, *, since: int = 0) -> OwnPrice:
    price = price_from_dollars(input=Decimal(dollars), output=Decimal(10 * dollars), version=f"own {dollars}")
    return OwnPrice(provider="maker", model="m", since=since, price=price)


def test_without_a_rule_the_charge_is_the_cost() -> None:
    world = World(exchanges=[USED])
    reply = world.answer()
    outcome, hold = world.ledger.outcome(), world.ledger.holds[0]
    assert (outcome.cost, outcome.charge, outcome.price_version) == (COST, COST, "configuration")
    assert hold.charge == hold.amount
    assert reply.headers[b"x-komeet-cost"] == b"0.000023"


def test_cost_and_charge_are_two_amounts_and_the_caller_is_told_the_charge() -> None:
    world = with_own(World(exchanges=[USED], key=key(organisation="acme")), own(3))
    rules = (
        Sale(organisation="other", basis="cost", version="of another"),
        Sale(organisation="acme", basis="list", ratio=Ratio(4, 5), version="0.8 of list"),
    )
    reply = with_sales(world, *rules).answer()
    outcome, hold = world.ledger.outcome(), world.ledger.holds[0]
    assert (outcome.cost, outcome.charge) == (3 * COST, COST * 4 // 5)
    assert outcome.price_version == "own 3; 0.8 of list"
    assert reply.headers[b"x-komeet-cost"] == b"0.0000184"
    assert hold.charge is not None
    assert hold.amount > 3 * hold.charge


def test_a_streamed_call_is_charged_by_the_same_rule() -> None:
    world = World(exchanges=[Exchange(headers=STREAM, pieces=[HELLO, USAGE, DONE])])
    with_sales(world, Sale(basis="cost", ratio=Ratio(2, 1), version="2 of cost")).answer(stream=True)
    outcome = world.ledger.outcome()
    assert outcome.state is State.SETTLED
    assert outcome.cost > 0
    assert outcome.charge == 2 * outcome.cost


def test_a_limit_shrinks_to_what_the_budget_pays_for_at_what_is_charged() -> None:
    room = 30_000_000
    world = with_sales(
        World(exchanges=[USED], key=key(budget=Nano(room)), room=room),
        Sale(basis="cost", ratio=Ratio(3, 1), version=""),
    )
    assert world.answer().status == 200
    hold = world.ledger.holds[0]
    assert hold.charge is not None
    assert hold.amount <= room
    assert hold.charge <= room


class Slow(FakeEstimator):
    """Counts while the price changes."""

    def __init__(self, world: World, until: int) -> None:
        self.world = world
        self.until = until

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        self.world.clock.unix = self.until
        return await super().estimate(prompt, output, encoding, messages=messages)


def test_a_price_that_changes_while_a_call_runs_is_not_that_call_s() -> None:
    world = World(exchanges=[whole(), USED])
    change = world.clock.unix + 1_000
    with_own(world, own(1), own(7, since=change))
    world.ports = replace(world.ports, estimator=Slow(world, change))
    world.answer()
    assert world.clock.unix == change
    first = world.ledger.outcomes[-1]
    assert first.price_version == "own 1"
    assert first.cost == first.usage.input * 1_000 + first.usage.output * 10_000
    world.answer()
    second = world.ledger.outcomes[-1]
    assert (second.cost, second.price_version) == (7 * COST, "own 7")


def test_a_model_without_a_price_is_refused_with_a_budget_unless_the_policy_allows_it() -> None:
    for policy, status in ((Policy(), 403), (Policy(unpriced_with_budget="allow"), 200)):
        world = World(exchanges=[USED], key=key(budget=Nano(10**9)), policy=policy)
        assert world.answer(model="unknown").status == status
    outcome, hold = world.ledger.outcome(), world.ledger.holds[0]
    assert (outcome.unpriced, outcome.cost, outcome.charge) == (True, 0, 0)
    assert (hold.amount, hold.charge) == (0, 0)
    assert world.records[0].unpriced


@pytest.mark.parametrize("more", [{}, {"budget": Nano(10**9)}])
def test_policy_refuses_models_without_a_price_to_everybody(more: dict[str, Any]) -> None:
    world = World(exchanges=[USED], key=key(**more), policy=Policy(unpriced="refuse"))
    assert world.answer(model="unknown").status == 403
    assert not world.fetcher.sendings
