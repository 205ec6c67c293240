"""From the name of a model to who answers: order, prefixes, patterns, names that mean something else than they seem."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from komeet.access.keys import Key
from komeet.catalog import profiles
from komeet.catalog.compile import compile_book
from komeet.catalog.dialect import Dialect
from komeet.catalog.price import FREE, ModelPrice, price_from_dollars
from komeet.core.clock import ManualClock
from komeet.core.errors import ModelNotFound
from komeet.core.secrets import Secret
from komeet.providers import registry
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory

PRICE = price_from_dollars(input=Decimal(1), output=Decimal(2))


class Offer(Struct, frozen=True, kw_only=True):
    """A provider, as far as routing knows it."""

    name: str
    family: str = ""
    models: tuple[str, ...] | None = None
    price_id: str | None = None
    free: bool = False
    free_models: tuple[str, ...] = ()
    rank: int = 30
    dialect: Dialect = Dialect()
    known_as: str | None = None


class Row(Struct, frozen=True):
    """A model of the book."""

    id: str
    answers: bool = True


class Book:
    """Prices by provider and model; `gpt-…` is made by `openai`."""

    def __init__(
        self, shelves: Mapping[str, Sequence[str]], change: int | None = None, embeds: Sequence[str] = ()
    ) -> None:
        self.shelves = shelves
        self.embeds = embeds
        self.change = change
        self.asked = 0

    def find(self, price_id: str, model: str, *, at: int, answers: bool = True) -> ModelPrice | None:
        self.asked += 1
        if answers and model in self.embeds:
            return None
        return PRICE if model.lower() in self.shelves.get(price_id, ()) else None

    def models(self, price_id: str) -> Sequence[Row]:
        return [Row(model, answers=model not in self.embeds) for model in self.shelves.get(price_id, ())]

    def next_change(self, price_id: str, *, at: int) -> int | None:
        return self.change

    def owner(self, model: str) -> str | None:
        return "openai" if model.startswith("gpt-") else None


OPENAI = Offer(name="openai", price_id="openai", rank=10)
UNKNOWN = Offer(name="aaa", rank=10)
"""A maker of whose models the book knows nothing."""
GROQ = Offer(name="groq", price_id="groq")
OPENROUTER = Offer(name="openrouter", price_id="openrouter", rank=50)
OLLAMA = Offer(name="ollama", free=True, rank=20)
LOCAL = Offer(name="local", models=("smollm2-135m",), free=True, rank=10)
SHELVES = {
    "openai": ["gpt-5.2", "gpt-5.2-pro"],
    "groq": ["llama-3", "gpt-5.2"],
    "openrouter": ["openai/gpt-5.2", "meta/llama-3", "llama-3"],
}
ALL = (OPENROUTER, GROQ, UNKNOWN, OPENAI, OLLAMA, LOCAL)


def directory(*offers: Offer, book: Book | None = None, clock: ManualClock | None = None) -> Directory[Offer]:
    return Directory(offers or ALL, book or Book(SHELVES), profiles.Profiles([]), clock or ManualClock())


def who(known: Directory[Offer], name: str) -> tuple[str, str]:
    candidate = known.resolve(name)
    return candidate.provider.name, candidate.model


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gpt-5.2", "openai", "gpt-5.2"),
        ("groq/gpt-5.2", "groq", "gpt-5.2"),
        ("llama-3", "groq", "llama-3"),
        ("meta/llama-3", "openrouter", "meta/llama-3"),
        ("openrouter/meta/llama-3", "openrouter", "meta/llama-3"),
        ("openai/gpt-5.2", "openai", "gpt-5.2"),
        ("openrouter/openai/gpt-5.2", "openrouter", "openai/gpt-5.2"),
        ("openai/openai/gpt-5.2", "openai", "openai/gpt-5.2"),
        ("openai/never-heard-of", "openai", "never-heard-of"),
        ("smollm2-135m", "local", "smollm2-135m"),
        ("gpt-9", "openai", "gpt-9"),
        ("never-heard-of", "aaa", "never-heard-of"),
        ("openai/", "aaa", "openai/"),
    ],
)
def test_who_answers(name: str, provider: str, model: str) -> None:
    assert who(directory(), name) == (provider, model)


def test_a_name_newer_than_the_book_goes_to_its_maker_wherever_that_is() -> None:
    moved = Offer(name="openai", rank=10)
    """At another address, where the book's prices do not hold."""
    assert who(directory(UNKNOWN, OLLAMA, moved), "gpt-9") == ("openai", "gpt-9")
    narrow = Offer(name="openai", price_id="openai", models=("gpt-5*",))
    assert who(directory(narrow, OLLAMA), "gpt-9") == ("ollama", "gpt-9")
    with pytest.raises(ModelNotFound):
        directory(narrow, GROQ).resolve("gpt-9")


def test_patterns_say_what_a_provider_offers() -> None:
    known = directory(Offer(name="mine", models=("llama-*", "[x]y"), rank=40), GROQ)
    assert who(known, "llama-3") == ("groq", "llama-3")
    assert who(directory(Offer(name="mine", models=("llama-*",), rank=20), GROQ), "llama-3") == ("mine", "llama-3")
    assert who(known, "xy") == ("mine", "xy")
    for name in ("llama", "*", "llama*", "[x]y", "LLAMA-4"):
        with pytest.raises(ModelNotFound):
            known.resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        " gpt-5.2",
        "gpt-5.2 ",
        "gpt-5.2\n",
        "gpt-5.2\0",
        "gpt-5.2\u00a0",
        "gpt-5.2\u200b",
        "openai/ gpt-5.2",
        "openai/\tgpt-5.2",
        "x" * 257,
        "openai/" + "x" * 10**6,
    ],
)
def test_what_a_provider_could_read_as_another_name_is_none(name: str) -> None:
    with pytest.raises(ModelNotFound) as refusal:
        directory().resolve(name)
    assert len(refusal.value.message) < 2_000
    assert refusal.value.message.isprintable()


def test_what_is_remembered_is_bounded() -> None:
    book = Book(SHELVES)
    known = directory(book=book)
    known.resolve("gpt-5.2")
    before = book.asked
    known.resolve("gpt-5.2")
    assert book.asked == before
    for number in range(10_000):
        known.resolve(f"openai/model-{number}")
    assert len(known._resolved) <= 4096  # pyright: ignore[reportPrivateUsage]


def test_a_new_price_counts_from_its_moment() -> None:
    clock = ManualClock()
    book = Book(dict(SHELVES), change=clock.unix_ms() + 1000)
    known = directory(OPENAI, book=book, clock=clock)
    assert known.resolve("gpt-5.2").price == PRICE
    assert len(known.listing()) == 2
    book.shelves = {"openai": []}
    clock.advance(0.999)
    assert known.resolve("gpt-5.2").price == PRICE
    clock.advance(0.001)
    assert known.resolve("gpt-5.2").price is None
    assert not known.listing()


def test_prices_of_those_who_take_none_are_zero_and_of_others_unknown() -> None:
    assert directory(OLLAMA).resolve("llama-3").price == FREE
    assert directory(UNKNOWN).resolve("llama-3").price is None


def ids(known: Directory[Offer]) -> list[tuple[str, str]]:
    return [(listed.id, listed.provider) for listed in known.listing()]


def test_the_list_names_each_model_by_the_shortest_name_that_leads_to_it() -> None:
    assert ids(directory()) == [
        ("gpt-5.2", "openai"),
        ("gpt-5.2-pro", "openai"),
        ("smollm2-135m", "local"),
        ("llama-3", "groq"),
        ("groq/gpt-5.2", "groq"),
        ("openrouter/openai/gpt-5.2", "openrouter"),
        ("meta/llama-3", "openrouter"),
        ("openrouter/llama-3", "openrouter"),
    ]


OFFERS = st.lists(
    st.sampled_from(
        [
            *ALL,
            Offer(name="meta", price_id="groq", rank=40),
            Offer(name="mine", models=("llama-3", "gpt-*"), rank=5),
            Offer(name="twin", price_id="openai", rank=10),
        ]
    ),
    unique_by=lambda offer: offer.name,
)


@given(OFFERS)
def test_what_is_listed_resolves_to_itself(offers: list[Offer]) -> None:
    known = Directory(offers, Book(SHELVES), profiles.Profiles([]), ManualClock())
    listed = known.listing()
    assert len({one.id for one in listed}) == len(listed)
    for one in listed:
        candidate = known.resolve(one.id)
        assert (candidate.provider.name, candidate.model) == (one.provider, one.model)
        assert (candidate.names, candidate.price) == (one.names, one.price)


def test_what_is_listed_of_every_known_provider_resolves_to_itself() -> None:
    every = [registry.provider_of(row, credential=Secret("k")) for row in registry.load().values()]
    known: Directory[Provider] = Directory(every, compile_book(), profiles.load(), ManualClock())
    listed = known.listing()
    assert len(listed) > 500
    for one in listed:
        candidate = known.resolve(one.id, answers=one.answers)
        assert (candidate.provider.name, candidate.model) == (one.provider, one.model)


def key(*models: str) -> Key:
    return Key(id="key_1", name="k", digest=b"", hint="", account=1, models=models, created_at=0)


@pytest.mark.parametrize(
    ("pattern", "name", "allowed"),
    [
        ("gpt-5*", "gpt-5.2", True),
        ("gpt-5*", "groq/gpt-5.2", True),
        ("groq/*", "gpt-5.2", False),
        ("groq/*", "groq/gpt-5.2", True),
        ("groq/*", "llama-3", True),
        ("openai/*", "openai/gpt-5.2", True),
        ("openai/*", "gpt-5.2", True),
        ("openai/*", "openrouter/openai/gpt-5.2", False),
        ("openai/gpt-5.2", "openrouter/openai/gpt-5.2", False),
        ("openrouter/*", "openrouter/openai/gpt-5.2", True),
        ("gpt-5.2", "gpt-5.2-pro", False),
        ("gpt-5.2", "GPT-5.2", False),
        ("gpt-5.2", "openai/openai/gpt-5.2", False),
        ("meta/*", "meta/llama-3", True),
        ("meta/*", "openrouter/meta/llama-3", True),
    ],
)
def test_a_right_is_to_what_answers_and_not_to_how_it_is_spelled(pattern: str, name: str, allowed: bool) -> None:
    assert key(pattern).allows(*directory().resolve(name).names) is allowed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt5.2", "gpt-5.2"),
        ("meta/llama3", "meta/llama-3"),
        ("smollm2", "smollm2-135m"),
        ("unheard-of", None),
        ("", None),
    ],
)
def test_who_mistypes_is_helped(name: str, hint: str | None) -> None:
    known = directory(OPENAI, GROQ, OPENROUTER, LOCAL)
    with pytest.raises(ModelNotFound) as refusal:
        known.resolve(name)
    assert ("Did you mean" in refusal.value.message) == (hint is not None)
    assert f"`{hint}`" in refusal.value.message or hint is None


def test_a_mistyped_name_costs_no_look_at_every_price() -> None:
    book = Book({"openai": [f"gpt-{number}" for number in range(500)]})
    known = directory(OPENAI, book=book)
    known.listing()
    before = book.asked
    for number in range(10):
        with pytest.raises(ModelNotFound):
            known.resolve(f"claude-{number}")
    assert book.asked == before + 10


def test_nobody_at_all() -> None:
    known = Directory[Offer]((), Book({}), profiles.Profiles([]), ManualClock())
    assert not known.listing()
    with pytest.raises(ModelNotFound, match="no provider is configured"):
        known.resolve("gpt-5.2")


def test_models_that_generate_nothing_are_priced_for_calls_that_ask_for_nothing_else() -> None:
    book = Book({"openai": ["embed-1", "gpt-5.2"]}, embeds=["embed-1"])
    known = Directory([OPENAI], book, profiles.load(), ManualClock())
    assert known.resolve("openai/embed-1").price is None
    assert known.resolve("openai/embed-1", answers=False).price == PRICE
    assert known.resolve("embed-1", answers=False).provider is OPENAI
    assert {listed.id: listed.price for listed in known.listing()} == {"embed-1": PRICE, "gpt-5.2": PRICE}


def test_some_models_of_a_provider_may_be_free() -> None:
    offer = Offer(name="openai", price_id="openai", free_models=("free-latest", "free-2*"))
    known = Directory([offer], Book({"openai": ["gpt-5.2"]}), profiles.load(), ManualClock())
    assert known.resolve("free-latest").price == FREE
    assert known.resolve("openai/free-2024").price == FREE
    assert known.resolve("openai/other").price is None
    assert [listed.id for listed in known.listing()] == ["gpt-5.2", "free-latest"]
