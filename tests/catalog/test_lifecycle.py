"""Until when models can be called: facts with a page each, and what replaces them in the end."""

from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import pytest

from komeet.catalog.lifecycle import Lifecycle, Lifespan, load, parse
from komeet.providers import registry


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def span(model: str, shutdown: date | None = None, successor: str | None = None) -> Lifespan:
    return Lifespan(model=model, shutdown=shutdown, successor=successor)


def known(*spans: Lifespan) -> Lifecycle:
    return Lifecycle({("p", one.model): one for one in spans})


def test_what_is_packaged_has_a_provider_of_the_registry_a_date_and_a_page() -> None:
    lifecycle = load()
    spans = [(row.name, one) for row in registry.load().values() for one in lifecycle.models(row.name, row.name)]
    assert len(spans) > 50
    assert len({(name, one.model) for name, one in spans}) == len(spans)
    for _, one in spans:
        assert one.shutdown is not None
        assert one.deprecated is None or one.deprecated < one.shutdown
        assert urlsplit(one.page).scheme == "https"
        assert one.model == one.model.strip().lower()
        assert not set(one.model) & set("*?[]")


def test_every_provider_of_the_file_is_one_of_the_registry() -> None:
    lifecycle = load()
    every = {one.model for row in registry.load() for one in lifecycle.models(row, row)}
    text = registry.files("komeet.catalog").joinpath("lifecycle.toml").read_text()
    assert {model for model in every if f'"{model}"' not in text} == set()
    assert text.count("[[line]]") == text.count('\npage = "https://')


@pytest.mark.parametrize(
    ("provider", "model", "alive", "gone", "successor"),
    [
        ("openai", "gpt-5.2-chat-latest", "2026-08-10", "2026-08-11", "gpt-5.5"),
        ("openai", "gpt-4o", "2027-01-14", "2027-01-15", "gpt-6-luna"),
        ("anthropic", "claude-sonnet-4-20250514", "2026-06-15", "2026-06-16", "claude-sonnet-4-6"),
    ],
)
def test_a_model_ends_with_its_last_day(provider: str, model: str, alive: str, gone: str, successor: str) -> None:
    lifecycle = load()
    found = lifecycle.find(provider, provider, model)
    assert found is not None
    assert found.is_deprecated(at=at(alive))
    assert not found.is_retired(at=at(f"{alive}T23:59:59"))
    assert found.is_retired(at=at(gone))
    assert lifecycle.successor(provider, provider, model, at=at(gone)) == successor


def test_before_it_is_announced_nothing_is_known() -> None:
    found = load().find("openai", "openai", "gpt-5.2-chat-latest")
    assert found is not None
    assert not found.is_deprecated(at=at("2026-05-07T23:59:59"))
    assert found.is_deprecated(at=at("2026-05-08"))
    assert not span("m").is_deprecated(at=at("2030-01-01"))


def test_a_successor_that_is_gone_as_well_is_replaced_by_its_own() -> None:
    lifecycle = load()
    told = lifecycle.successor("openai", "openai", "gpt-5.1-chat-latest", at=at("2026-08-01"))
    assert told == "gpt-5.3-chat-latest"
    assert lifecycle.successor("openai", "openai", "gpt-5.1-chat-latest", at=at("2026-09-01")) == "gpt-5.5"


def test_no_successor_is_no_successor() -> None:
    lifecycle = known(span("a", date(2026, 1, 1), "b"), span("b", date(2026, 1, 1)))
    assert lifecycle.successor("p", "p", "a", at=at("2026-02-01")) is None
    assert lifecycle.successor("p", "p", "a", at=at("2025-12-31")) == "a"


def test_dates_hold_for_the_provider_whose_page_has_them() -> None:
    lifecycle = known(span("a", date(2026, 1, 1)))
    assert lifecycle.find("q", "p", "a") is not None
    assert lifecycle.find("p", None, "a") is None
    assert lifecycle.find("p", "q", "a") is None


def test_the_operator_knows_better() -> None:
    own = {("mine", "a"): span("a"), ("mine", "c"): span("c", date(2026, 1, 1))}
    lifecycle = known(span("a", date(2026, 1, 1)), span("b", date(2026, 1, 1))).with_own(own)
    assert lifecycle.find("mine", "p", "a") == span("a")
    assert {one.model for one in lifecycle.models("mine", "p") if one.is_retired(at=at("2026-06-01"))} == {"b", "c"}


def test_what_changes_next_is_known() -> None:
    lifecycle = known(Lifespan(model="a", deprecated=date(2026, 1, 1), shutdown=date(2026, 3, 1)))
    assert lifecycle.next_change(at=at("2025-06-01")) == at("2026-01-01")
    assert lifecycle.next_change(at=at("2026-01-01")) == at("2026-03-02")
    assert lifecycle.next_change(at=at("2026-03-02")) is None


def test_nobody_replaces_itself() -> None:
    with pytest.raises(ValueError, match="p: a -> b -> a: a model cannot replace itself"):
        known(span("a", date(2026, 1, 1), "b"), span("b", date(2026, 1, 1), "a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'[[line]]\nprovider = "p"\nmodels = ["a", "a"]\npage = "x"', "p/a: there are two lines"),
        (b'[[line]]\nprovider = "p"\nmodels = ["a"]\n', "page"),
        (b"x = 1", "x"),
    ],
)
def test_mistakes_are_named(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
