"""In which order candidates are asked, and for which calls."""

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.catalog.price import ModelPrice, price_from_dollars
from komeet.catalog.profile import Profile
from komeet.core.errors import ModelNotFound
from komeet.core.money import Decimal
from komeet.providers.provider import Provider, make
from komeet.routing.directory import Candidate
from komeet.routing.health import BreakerPolicy, HealthBook, Who
from komeet.routing.route import Choice, Condition, Group, Member, Moment, Order, Passed, Route, Router, Span
from komeet.routing.traits import Traits

TRAITS = Traits()


class Names:
    """Resolves `provider/model`, with prices by the model's name."""

    def __init__(self, prices: dict[str, ModelPrice] | None = None) -> None:
        self.prices = prices or {}

    def resolve(self, name: str, *, answers: bool = True) -> Candidate[Provider]:
        provider, _, model = name.partition("/")
        if not model:
            raise ModelNotFound(f"no {name}")
        return Candidate(
            provider=make(name=provider, base_url="https://x.example"),
            model=model,
            names=(name,),
            profile=Profile(),
            price=self.prices.get(model),
        )


def route(
    *models: str, order: Order = Order.LISTED, when: Condition | None = None, weights: tuple[int, ...] = ()
) -> Route:
    members = tuple(Member(model, weight) for model, weight in zip(models, weights or (1,) * len(models), strict=True))
    group = Group(members=members, order=order) if when is None else Group(members=members, order=order, when=when)
    return Route(name="r", groups=(group,))


def asked(
    router: Router[Provider], traits: Traits = TRAITS, chance: Callable[[], float] = lambda: 0.5, now: float = 0
) -> list[str]:
    found = router.order("r", lambda: traits, Moment(now=now, chance=chance))
    return [one.candidate.names[0] for one in found if isinstance(one, Choice)]


def router(*routes: Route, names: Names | None = None, health: HealthBook | None = None) -> Router[Provider]:
    return Router(names or Names(), routes, health or HealthBook())


def test_as_they_are_listed_group_by_group() -> None:
    groups = (Group(members=(Member("a/1"), Member("b/1"))), Group(members=(Member("c/1"),)))
    assert asked(router(Route(name="r", groups=groups))) == ["a/1", "b/1", "c/1"]


def test_a_name_that_is_no_route_is_what_it_is() -> None:
    found = list(router().order("a/1", Traits, Moment(now=0, chance=lambda: 0)))
    assert [one.candidate.model for one in found if isinstance(one, Choice)] == ["1"]
    with pytest.raises(ModelNotFound):
        list(router().order("r", Traits, Moment(now=0, chance=lambda: 0)))


def test_a_model_that_is_not_there_is_left_out_and_said() -> None:
    found = list(router(route("gone", "a/1")).order("r", Traits, Moment(now=0, chance=lambda: 0)))
    assert found[0] == Passed("gone", "no gone")
    assert isinstance(found[1], Choice)


def test_weights_are_shares_and_nobody_is_forgotten() -> None:
    chance = Random(1).random
    one = router(route("a/1", "b/1", "c/1", order=Order.WEIGHTED, weights=(90, 9, 1)))
    orders = [asked(one, chance=chance) for _ in range(4_000)]
    first = Counter(order[0] for order in orders)
    assert all(sorted(order) == ["a/1", "b/1", "c/1"] for order in orders)
    assert 0.88 < first["a/1"] / 4_000 < 0.92
    assert 0.005 < first["c/1"] / 4_000 < 0.016


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=8), st.lists(st.floats(0, 1, exclude_max=True), min_size=8))
def test_whatever_chance_says_each_is_asked_once(weights: list[int], draws: list[float]) -> None:
    models = [f"p{number}/m" for number in range(len(weights))]
    drawn = iter(draws)
    one = router(route(*models, order=Order.WEIGHTED, weights=tuple(weights)))
    assert sorted(asked(one, chance=lambda: next(drawn))) == sorted(models)


def test_the_quickest_and_the_least_busy_go_first() -> None:
    health = HealthBook()
    for name, seconds in (("a", 0.5), ("b", 0.1)):
        health.of(Who(name, "1")).succeeded(0, seconds)
    assert asked(router(route("a/1", "b/1", order=Order.LATENCY), health=health)) == ["b/1", "a/1"]
    for _ in range(9):
        health.of(Who("b", "1")).began()
    assert asked(router(route("a/1", "b/1", order=Order.LATENCY), health=health)) == ["a/1", "b/1"]
    assert asked(router(route("a/1", "b/1", order=Order.BUSY), health=health)) == ["a/1", "b/1"]
    health.of(Who("a", "1")).began()
    assert asked(router(route("a/1", "b/1", order=Order.BUSY, weights=(1, 10)), health=health)) == ["b/1", "a/1"]


def test_the_cheapest_is_cheapest_for_this_call() -> None:
    def price(prompt: str, answer: str) -> ModelPrice:
        return price_from_dollars(input=Decimal(prompt), output=Decimal(answer))

    names = Names({"reads": price("1", "20"), "writes": price("3", "4")})
    one = router(route("x/unpriced", "a/reads", "b/writes", order=Order.CHEAPEST), names=names)
    assert asked(one, Traits(input_tokens=100_000, output_limit=10)) == ["a/reads", "b/writes", "x/unpriced"]
    assert asked(one, Traits(input_tokens=100, output_limit=1_000)) == ["b/writes", "a/reads", "x/unpriced"]


@given(st.binary(min_size=16, max_size=16), st.integers(0, 4))
def test_a_conversation_stays_where_it_is_when_others_come_and_go(conversation: bytes, gone: int) -> None:
    models = [f"p{number}/m" for number in range(5)]
    traits = Traits(conversation=conversation)
    whole = asked(router(route(*models, order=Order.STICKY)), traits)
    left = asked(router(route(*models[:gone], *models[gone + 1 :], order=Order.STICKY)), traits)
    assert left == [model for model in whole if model != models[gone]]


def test_conversations_are_spread_by_weight() -> None:
    one = router(route("a/1", "b/1", order=Order.STICKY, weights=(3, 1)))
    first = Counter(asked(one, Traits(conversation=number.to_bytes(16, "big")))[0] for number in range(2_000))
    assert 0.70 < first["a/1"] / 2_000 < 0.80


def test_who_is_not_well_comes_last_across_groups() -> None:
    health = HealthBook(BreakerPolicy(failures=1, seconds=1))
    health.of(Who("a", "1")).failed(0)
    health.of(Who("b", "1")).cool(0, 10)
    groups = (Group(members=(Member("a/1"), Member("b/1"))), Group(members=(Member("c/1"),)))
    one = router(Route(name="r", groups=groups), health=health)
    assert asked(one, now=0.5) == ["c/1", "a/1", "b/1"]
    assert asked(one, now=1.0) == ["a/1", "c/1", "b/1"]


@pytest.mark.parametrize(
    ("when", "fitting", "other"),
    [
        (Condition(stream=True), Traits(stream=True), Traits()),
        (Condition(tools=False), Traits(), Traits(tools=True)),
        (Condition(json_schema=True), Traits(json_schema=True), Traits()),
        (Condition(images=True), Traits(images=True), Traits()),
        (Condition(effort=("high", "xhigh")), Traits(effort="high"), Traits(effort="low")),
        (Condition(effort=("default",)), Traits(), Traits(effort="low")),
        (Condition(service_tier=("priority", "fast")), Traits(service_tier="fast"), Traits(service_tier="flex")),
        (Condition(service_tier=("default",)), Traits(service_tier="auto"), Traits(service_tier="flex")),
        (Condition(input_tokens=Span(over=10)), Traits(input_tokens=11), Traits(input_tokens=10)),
        (Condition(input_tokens=Span(under=10)), Traits(input_tokens=9), Traits(input_tokens=10)),
        (Condition(output_limit=Span(under=10)), Traits(output_limit=9), Traits(output_limit=10)),
        (Condition(keys=("ci-*",)), Traits(key="ci-1"), Traits(key="app")),
        (Condition(tags=("eu", "uk")), Traits(tags=("eu", "x")), Traits(tags=("x",))),
        (Condition(without_tags=("eu",)), Traits(tags=("x",)), Traits(tags=("eu",))),
    ],
)  # fmt: skip
def test_conditions(when: Condition, fitting: Traits, other: Traits) -> None:
    one = router(route("a/1", when=when))
    assert asked(one, fitting) == ["a/1"]
    assert asked(one, other) == []


def test_a_call_is_looked_at_only_where_a_route_depends_on_it() -> None:
    def never() -> Traits:
        raise AssertionError("nobody needs to know")

    one = router(route("a/1", "b/1"))
    assert len(list(one.order("r", never, Moment(now=0, chance=lambda: 0)))) == 2
