"""A call to a model that its provider has shut down: refused with its successor's name, or answered by that."""

from datetime import UTC, date, datetime

import pytest
from tests.routing.test_directory import Book

from komeet.catalog import profiles
from komeet.catalog.lifecycle import Lifecycle, Lifespan
from komeet.core.clock import ManualClock
from komeet.core.errors import ModelRetired
from komeet.providers import registry
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory, Facts, Retired
from komeet.routing.health import HealthBook
from komeet.routing.route import Choice, Group, Member, Moment, Passed, Route, Router
from komeet.routing.traits import Traits

LAST = date(2026, 8, 10)
OLD, NEW, GONE = "gpt-5.2-chat", "gpt-5.5", "gpt-4-vision"
ENDS = Lifecycle(
    {
        ("openai", OLD): Lifespan(model=OLD, shutdown=LAST, successor=NEW, page="https://x.example"),
        ("openai", GONE): Lifespan(model=GONE, shutdown=LAST, page="https://x.example"),
    }
)
OPENAI = registry.provider_of(registry.load()["openai"])
ELSEWHERE = registry.provider_of(registry.load()["openai"], base_url="https://relay.example/v1")


def clock(day: int) -> ManualClock:
    made = ManualClock()
    made.unix = int(datetime(2026, 8, day, tzinfo=UTC).timestamp() * 1000)
    return made


def directory(
    policy: Retired, day: int = 11, provider: Provider = OPENAI, when: ManualClock | None = None
) -> Directory[Provider]:
    book = Book({"openai": [OLD, NEW, GONE]})
    known = profiles.Profiles([])
    return Directory([provider], book, known, when or clock(day), facts=Facts(lifecycle=ENDS, retired=policy))


def test_it_is_refused_with_the_name_of_its_successor() -> None:
    for name in (OLD, f"openai/{OLD}"):
        with pytest.raises(ModelRetired) as caught:
            directory("refuse").resolve(name)
        assert caught.value.error_code == "model_retired"
        assert caught.value.http_status == 404
        assert f"The model `{OLD}` was shut down on 2026-08-10 by openai" in caught.value.message
        assert f"`openai/{NEW}` replaces it" in caught.value.message


def test_or_its_successor_answers() -> None:
    found = directory("replace").resolve(OLD)
    assert (found.model, found.names) == (NEW, (NEW, f"openai/{NEW}"))
    assert found.replaces is not None
    assert found.replaces.model == OLD


def test_without_a_successor_it_is_refused_all_the_same() -> None:
    with pytest.raises(ModelRetired) as caught:
        directory("replace").resolve(GONE)
    assert "replaces it" not in caught.value.message


def test_or_the_provider_is_asked_as_ever() -> None:
    known = directory("ask")
    found = known.resolve(OLD)
    assert (found.model, found.replaces) == (OLD, None)
    assert OLD in {line.id for line in known.listing()}


@pytest.mark.parametrize("policy", ["refuse", "replace", "ask"])
def test_on_its_last_day_it_is_called(policy: Retired) -> None:
    known = directory(policy, day=10)
    assert known.resolve(OLD).model == OLD
    line = next(line for line in known.listing() if line.id == OLD)
    assert line.lifespan is not None
    assert line.lifespan.shutdown == LAST
    assert list(known.retired()) == []


def test_what_is_remembered_is_forgotten_when_it_ends() -> None:
    when = clock(10)
    known = directory("refuse", when=when)
    assert known.resolve(OLD).model == OLD
    assert OLD in {line.id for line in known.listing()}
    when.unix += 86_400_000
    with pytest.raises(ModelRetired):
        known.resolve(OLD)
    assert OLD not in {line.id for line in known.listing()}
    assert [line.id for line in known.retired()] == [OLD, GONE]


def test_the_same_name_at_another_address_is_another_service() -> None:
    assert directory("refuse", provider=ELSEWHERE).resolve(OLD).model == OLD


def order(policy: Retired, name: str) -> list[Choice[Provider] | Passed]:
    route = Route(name="r", groups=(Group(members=(Member(OLD), Member(GONE), Member(NEW))),))
    router = Router(directory(policy), [route], HealthBook(), {"smart": OLD, "fast": "r"})
    return list(router.order(name, Traits, Moment(now=0, chance=lambda: 0)))


def test_a_route_leaves_it_out_and_says_why() -> None:
    first, second, third = order("refuse", "fast")
    assert isinstance(first, Passed)
    assert f"`openai/{NEW}` replaces it" in first.why
    assert isinstance(second, Passed)
    assert isinstance(third, Choice)
    assert third.candidate.model == NEW


def test_the_reason_is_told() -> None:
    (chosen,) = order("replace", "smart")
    assert isinstance(chosen, Choice)
    assert chosen.why.endswith(f"{OLD} was shut down on 2026-08-10, and {NEW} replaces it")
    gone, first, *_ = order("replace", "r")
    assert isinstance(gone, Passed)
    assert isinstance(first, Choice)
    assert first.why == f"group 1, as listed: {OLD} was shut down on 2026-08-10, and {NEW} replaces it"


def test_an_alias_is_another_name() -> None:
    router = Router(directory("ask"), [], HealthBook(), {"smart": f"openai/{NEW}"})
    (chosen,) = router.order("smart", Traits, Moment(now=0, chance=lambda: 0))
    assert isinstance(chosen, Choice)
    assert chosen.candidate.model == NEW
    assert router.is_given("smart")
    assert not router.is_given(NEW)
