"""What lists say of models: with a key, in three shapes, and to everybody where that is published."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from tests.api.test_access import ask, exposition
from tests.pipeline.fakes import PRICE, FakeBook, FakeKeys, World, key

from komeet.api.application import Application
from komeet.api.surfaces import routes
from komeet.catalog.capabilities import FEATURES, Capabilities, Capability, load
from komeet.catalog.lifecycle import Lifecycle, Lifespan
from komeet.catalog.price import price_from_dollars
from komeet.catalog.profile import Profile
from komeet.catalog.profiles import Profiles
from komeet.core.clock import ManualClock
from komeet.core.money import Ratio
from komeet.metering.charge import Sale, Sales
from komeet.pipeline.ports import Ports
from komeet.providers import registry
from komeet.providers.provider import Provider, make
from komeet.routing.directory import Directory, Facts
from komeet.routing.health import HealthBook
from komeet.routing.route import Group, Member, Route, Router

FACTS = Facts(
    lifecycle=Lifecycle(
        {
            ("openai", "old"): Lifespan(model="old", shutdown=date(2026, 1, 31), successor="new"),
            ("openai", "going"): Lifespan(
                model="going", deprecated=date(2026, 1, 1), shutdown=date(2026, 3, 31), successor="new"
            ),
        }
    ),
    capabilities=Capabilities(
        {"openai": {"new": Capability(type="chat", features=("tools", "vision"), input_limit=1000, output_limit=100)}}
    ),
)


def openai() -> Provider:
    return replace(registry.provider_of(registry.load()["openai"]), models=("new", "old", "going"), price_id="maker")


def ports(*sales: Sale, models: Sequence[str] = (), names: Sequence[str] = ("new", "old", "going")) -> Ports:
    clock = ManualClock()
    clock.unix = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1000)
    book = FakeBook(dict.fromkeys(names, PRICE))
    known = Directory([openai()], book, Profiles([("openai", ["*"], Profile(efforts=("low",)))]), clock, facts=FACTS)
    virtual = Route(name="auto", groups=(Group(members=(Member("new"),)),))
    router = Router(known, [virtual], HealthBook(), {"smart": "new", "best": "auto"})
    keys = FakeKeys(key(models=tuple(models)), in_hand=True)
    return replace(World().ports, clock=clock, directory=known, router=router, keys=keys, sales=Sales(sales))


def app(made: Ports) -> Application:
    return Application(routes(made, dict, exposition, public=True), made)


def rows(made: Ports, path: str = "/v1/models", **fields: Any) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(ask(app(made), "GET", path, **fields).body)["data"]}


def test_a_line_says_what_is_known_of_its_model() -> None:
    row = rows(ports())["new"]
    assert (row["type"], row["context_window"], row["output_limit"]) == ("chat", 1000, 100)
    assert row["features"] == ["reasoning", "tools", "vision"]
    assert row["efforts"] == ["low"]
    assert "shutdown_at" not in row


def test_what_is_shut_down_is_not_listed_and_what_will_be_says_so() -> None:
    found = rows(ports())
    assert set(found) == {"auto", "smart", "best", "new", "going"}
    end = {
        "deprecated_at": "2026-01-01",
        "shutdown_at": "2026-03-31",
        "shutdown_date": "2026-03-31",
        "successor": "new",
    }
    assert found["going"].items() >= end.items()
    reply = ask(app(ports()), "GET", "/v1/models/old")
    assert reply.status == 404
    assert b"`openai/new` replaces it" in reply.body


def test_the_shapes_of_the_others_have_their_own_words_for_it() -> None:
    claude = rows(ports(), headers={b"anthropic-version": b"2023-06-01"})["going"]
    assert (claude["lifecycle"], claude["retires_at"]) == ("deprecated", "2026-03-31T00:00:00Z")
    models = json.loads(ask(app(ports()), "GET", "/v1beta/models").body)["models"]
    gemini = {row["name"]: row for row in models}["models/new"]
    assert (gemini["inputTokenLimit"], gemini["outputTokenLimit"]) == (1000, 100)


def test_an_alias_says_what_it_leads_to_and_is_for_the_keys_that_may_use_it() -> None:
    found = rows(ports())
    assert found["smart"]["features"] == found["new"]["features"]
    assert found["best"]["provider"] == "komeet"
    assert set(rows(ports(models=("smart",)))) == {"smart"}
    assert set(rows(ports(models=("new",)))) == {"smart", "new"}
    assert set(rows(ports(models=("auto",)))) == {"auto"}


def public(made: Ports) -> dict[str, dict[str, Any]]:
    return rows(made, "/api/models", secret=None)


def test_everybody_sees_models_and_what_they_cost() -> None:
    found = public(ports())
    assert set(found) == {"new", "going"}  # virtual models are the operator's own
    assert found["new"].items() >= {"provider": "openai", "type": "chat", "output_limit": 100}.items()
    assert found["going"]["successor"] == "new"
    prices = found["new"]["prices"]["dollars_per_million"]
    assert all(isinstance(amount, str) and Decimal(amount) >= 0 for amount in prices.values())


def test_the_prices_are_those_that_customers_are_charged() -> None:
    mine = Sale(organisation="org_1", basis="cost", ratio=Ratio(1, 100), version="v")
    all_others = Sale(basis="cost", ratio=Ratio.of(Decimal("1.1")), version="v")
    plain = public(ports())["new"]["prices"]["dollars_per_million"]
    dearer = public(ports(mine, all_others))["new"]["prices"]["dollars_per_million"]
    assert dearer == {name: f"{(Decimal(amount) * 11 / 10).normalize():f}" for name, amount in plain.items()}


def test_a_fixed_price_is_shown_whole() -> None:
    fixed = price_from_dollars(input=Decimal("0.001"), output=Decimal(1000), request=Decimal("0.25"), version="v")
    told = public(ports(Sale(basis="price", price=fixed, version="v")))["new"]["prices"]
    assert told == {"dollars_per_million": {"input": "0.001", "output": "1000"}, "dollars_each": {"request": "0.25"}}


def test_it_is_written_once_a_minute_whoever_asks() -> None:
    made = ports()
    running = app(made)
    first = ask(running, "GET", "/api/models", secret=None).body
    assert ask(running, "GET", "/api/models", secret=None).body is first
    assert isinstance(made.clock, ManualClock)
    made.clock.unix += 60_000
    assert ask(running, "GET", "/api/models", secret=None).body == first


def test_what_is_packaged_names_what_is_known() -> None:
    known, table = load(), registry.load()
    assert known.count() > 2_000
    found = known.find("openai", "gpt-5.2")
    assert found is not None
    assert {"tools", "vision", "json_schema", "reasoning"} <= set(found.features) <= set(FEATURES)
    assert known.find(None, "gpt-5.2") is None
    assert known.find("openai", "no-such-model") is None
    text = registry.files("komeet.catalog").joinpath("capabilities.json").read_text()
    providers = json.loads(text)["providers"]
    assert set(providers) <= set(table)
    every = [one for models in providers.values() for one in models.values()]
    assert {name for one in every for name in one.get("features", [])} <= set(FEATURES)


def test_an_address_of_ones_own_has_models_of_its_own() -> None:
    assert make(name="openai", base_url="https://relay.example/v1").known_as is None
