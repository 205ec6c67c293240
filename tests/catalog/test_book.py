import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from genai_prices import data_snapshot, types
from hypothesis import given
from hypothesis import strategies as st

from komeet.catalog.book import Book, Entry, Hours, Period, Shelf, book_name, book_version
from komeet.catalog.clauses import AllOf, AnyOf, Clause, Contains, EndsWith, Equals, Matches, OneOf, StartsWith, holds
from komeet.catalog.compile import compile_book
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.core.money import PerMillion


@pytest.fixture(scope="module")
def book() -> Book:
    return Book.decode(compile_book().encode())


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-11-22T12:00")


def flat(input_: int, output: int = 0) -> ModelPrice:
    rates = Rates(input=PerMillion(input_), output=PerMillion(output))
    return ModelPrice(version="test", steps=(Step(above=0, rates=rates),))


def always(price: ModelPrice | None) -> tuple[Period, ...]:
    return (Period(0, (Hours(0, price),)),)


# ------------------------------------------------------------------ the compiled library


def test_prices_of_the_origin(book: Book) -> None:
    price = book.find("openai", "gpt-5.2", at=NOW)
    assert price is not None
    assert price.version == book_version()
    assert price.steps[0].rates == Rates(
        input=PerMillion(1_750_000_000),
        output=PerMillion(14_000_000_000),
        cache_read=PerMillion(175_000_000),
        web_search=PerMillion(10_000_000_000_000),
        storage_search=PerMillion(2_500_000_000_000),
    )
    assert price.tiers["flex"][0].rates.output == 7_000_000_000
    assert price.tiers["priority"][0].rates.output == 28_000_000_000
    assert price.tiers["batch"][0].rates.input == 875_000_000
    pro = book.find("openai", "gpt-5.2-pro", at=NOW)
    assert pro is not None
    assert (pro.steps[0].rates.input, pro.steps[0].rates.output) == (21_000_000_000, 168_000_000_000)


def test_searches_that_run_at_the_provider_have_a_price(book: Book) -> None:
    price = book.find("openai", "gpt-4o", at=NOW)
    assert price is not None
    assert price.steps[0].rates.web_search == 10_000 * 10**9  # 10 dollars per thousand
    assert price.steps[0].rates.storage_search == 2_500 * 10**9


def test_a_price_by_context_length_is_a_cliff(book: Book) -> None:
    price = book.find("openai", "gpt-5.4", at=NOW)
    assert price is not None
    assert [step.above for step in price.steps] == [0, 272_000]
    assert price.steps[1].rates.input == 2 * price.steps[0].rates.input


def test_every_name_finds_the_model_that_the_library_finds(book: Book) -> None:
    snapshot = data_snapshot.get_snapshot()
    for provider in snapshot.providers:
        entries = book.entries(provider.id)
        assert len(entries) == len(provider.models)
        for entry, model in zip(entries, provider.models, strict=True):
            for name in (model.id, entry.id):
                found = next((each for each in provider.models if each.is_match(name)), None)
                ours = next((each for each in entries if holds(each.match, name.lower())), None)
                assert (None if ours is None else entries.index(ours)) == (
                    None if found is None else provider.models.index(found)
                )


def test_what_is_listed_can_be_called(book: Book) -> None:
    listed = [(provider, model.id) for provider in book.providers for model in book.models(provider)]
    assert len(listed) > 2200
    # Some ids of the library are not names that the provider takes.
    assert ("fireworks", "accounts/fireworks/models/gpt-oss-120b") in listed
    assert not any(provider == "fireworks" and "/" not in name for provider, name in listed)


NAMES = [
    "gpt-5.2-2025-12-11",
    "gpt-5.2-20251211",
    "GPT-5.2",
    "gpt-4o-20240806",
    "claude-opus-5-5",
    "gemini-3-pro-preview",
    "openai/gpt-5.2",
    "deepseek-chat",
    "kimi-k2.6",
    "no-such-model",
    "gpt-5.2-20251399",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_finds_what_the_library_finds(book: Book, name: str) -> None:
    snapshot = data_snapshot.get_snapshot()
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    for provider in snapshot.providers:
        model = provider.find_model(name, all_providers=snapshot.providers)
        price = book.find(provider.id, name, at=NOW, answers=False)
        dollars = None if model is None else model.get_prices(at).input_mtok
        if dollars is None:
            assert price is None
        else:
            base = dollars.base if isinstance(dollars, types.TieredPrices) else dollars
            assert price is not None
            assert price.steps[0].rates.input == base * 10**9


def test_a_borrowed_price_has_no_tiers_of_the_lender(book: Book) -> None:
    own = book.find("openai", "gpt-5.5", at=NOW)
    borrowed = book.find("azure", "gpt-5.5", at=NOW)
    assert own is not None
    assert borrowed is not None
    assert own.tiers
    assert borrowed.tiers == {}
    assert borrowed.steps == own.steps


def test_a_free_model_costs_zero_and_an_unlisted_price_is_none(book: Book) -> None:
    free = [entry for entry in book.entries("openrouter") if entry.id.endswith(":free")]
    assert len(free) > 100
    price = book.find("openrouter", free[0].id, at=NOW)
    assert price is not None
    assert price.steps[0].rates == Rates(input=PerMillion(0), output=PerMillion(0))
    # In a subscription: the library lists the model, without a price. That is not zero.
    assert any(entry.id == "gpt-4o" for entry in book.entries("github-copilot"))
    assert book.find("github-copilot", "gpt-4o", at=NOW) is None
    assert book.find("openai", "no-such-model", at=NOW) is None
    assert book.find("no-such-provider", "gpt-4o", at=NOW) is None


def test_a_model_without_a_price_for_output_is_found_only_when_asked_for(book: Book) -> None:
    assert book.find("openai", "text-embedding-3-small", at=NOW) is None
    price = book.find("openai", "text-embedding-3-small", at=NOW, answers=False)
    assert price is not None
    assert price.steps[0].rates.input == 20_000_000


def test_what_is_not_carried_is_named(book: Book) -> None:
    entries = {(provider, entry.id): entry for provider in book.providers for entry in book.entries(provider)}
    assert entries["openai", "gpt-5.2"].omitted == ()
    assert entries["openai", "whisper-1"].omitted == ()
    assert "audio_hours" in entries["openai", "gpt-live-transcribe"].omitted
    assert book.find("openai", "gpt-live-transcribe", at=NOW, answers=False) is None
    assert entries["openrouter", "google/gemini-2.5-flash"].rounded == ("cache_write_mtok",)
    rounded = [key for key, entry in entries.items() if entry.rounded]
    assert 0 < len(rounded) < 40


def test_the_maker_of_a_model_is_told_by_its_name(book: Book) -> None:
    assert book.owner("gpt-5.2") == "openai"
    assert book.owner("claude-opus-5-5") == "anthropic"
    assert book.owner("something-else") is None


def test_models_are_listed(book: Book) -> None:
    listed = {model.id: model for model in book.models("openai")}
    assert listed["gpt-5.2"].context_window == 400_000
    assert listed["gpt-5.2"].answers
    assert not listed["text-embedding-3-small"].answers
    assert book.models("no-such-provider") == []


def test_prices_follow_the_time_of_day(book: Book) -> None:
    night, day = (book.find("deepseek", "deepseek-v4-pro", at=ms(f"2026-11-22T{hour}")) for hour in ("00:59", "01:00"))
    assert night is not None
    assert day is not None
    assert day.steps[0].rates.input > night.steps[0].rates.input
    assert book.next_change("deepseek", at=ms("2026-11-22T00:59")) == ms("2026-11-22T01:00")


def test_the_next_change_is_the_first_moment_at_which_a_price_differs(book: Book) -> None:
    at = ms("2024-01-01T00:00")
    seen = 0
    while (change := book.next_change("anthropic", at=at)) is not None:
        names = [model.id for model in book.models("anthropic")]
        before = [book.find("anthropic", name, at=change - 1) for name in names]
        assert [book.find("anthropic", name, at=at) for name in names] == before
        assert [book.find("anthropic", name, at=change) for name in names] != before
        at, seen = change, seen + 1
    assert seen > 0


# ------------------------------------------------------------------ the book itself


def test_looking_up_needs_no_library_of_prices() -> None:
    program = """
import sys
from komeet.catalog import book, clauses, compile, price, profile, profiles
assert book.Book.decode(sys.stdin.buffer.read()).find("openai", "gpt-5.2", at=1_763_800_000_000) is not None
assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], input=compile_book().encode(), check=True)


def test_bytes_come_back_as_the_same_book() -> None:
    made = compile_book()
    read = Book.decode(made.encode())
    assert read.version == made.version == book_version()
    assert read.providers == made.providers
    assert all(read.entries(provider) == made.entries(provider) for provider in made.providers)
    assert Book.decode(read.encode()).encode() == read.encode()
    assert book_name().endswith(".msgpack")
    assert book_version().split()[1] in book_name()


@given(st.binary(max_size=200))
def test_garbage_is_not_a_book(data: bytes) -> None:
    with pytest.raises(ValueError, match="price book"):
        Book.decode(data)


def test_dates_take_effect_at_midnight_utc() -> None:
    periods = (
        Period(0, (Hours(0, flat(1)),)),
        Period(ms("2026-03-01T00:00"), (Hours(0, flat(2)),)),
        Period(ms("2026-05-01T00:00"), (Hours(0, None),)),
    )
    book = Book("test", {"p": Shelf(entries=(Entry(id="m", match=Equals("m"), periods=periods),))})
    assert book.find("p", "m", at=ms("2026-02-28T23:59")) == flat(1)
    assert book.find("p", "m", at=ms("2026-03-01T00:00")) == flat(2)
    assert book.find("p", "m", at=ms("2026-05-01T00:00")) is None
    changes = [book.next_change("p", at=period.since_ms - 1) for period in periods[1:]]
    assert changes == [period.since_ms for period in periods[1:]]
    assert book.next_change("p", at=ms("2026-05-01T00:00")) is None
    assert all(first.since_ms < second.since_ms for first, second in pairwise(periods))


def test_the_first_entry_that_matches_wins_and_own_entries_come_before_borrowed_ones() -> None:
    entries = (
        Entry(id="a", match=StartsWith("m"), periods=always(flat(1))),
        Entry(id="b", match=Equals("m1"), periods=always(flat(2))),
    )
    lender = Shelf(entries=(Entry(id="c", match=AnyOf((Equals("m1"), Equals("n"))), periods=always(flat(3))),))
    book = Book("test", {"p": Shelf(entries=entries, fallbacks=("q", "gone")), "q": lender})
    assert book.find("p", "M1", at=0) == flat(1)
    assert book.find("p", "n", at=0) == flat(3)
    assert book.find("q", "m1", at=0) == flat(3)


text = st.text("ab", max_size=3)
exact = st.builds(Equals, text) | st.builds(OneOf, st.lists(text, max_size=3).map(tuple))
loose = st.builds(StartsWith, text) | st.builds(EndsWith, text) | st.builds(Contains, text) | st.builds(Matches, text)
clauses = st.recursive(
    exact | loose,
    lambda inner: (
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=5,
)


@given(st.lists(clauses, max_size=8), text)
def test_the_entry_that_is_found_is_the_first_that_matches(matches: list[Clause], name: str) -> None:
    entries = tuple(Entry(id=str(n), match=clause, periods=always(flat(n))) for n, clause in enumerate(matches))
    book = Book.decode(Book("test", {"p": Shelf(entries=entries)}).encode())
    first = next((n for n, clause in enumerate(matches) if holds(clause, name)), None)
    assert book.find("p", name, at=0) == (None if first is None else flat(first))


def test_clauses() -> None:
    assert holds(Equals("a"), "a")
    assert not holds(Equals("a"), "ab")
    assert holds(OneOf(("a", "b")), "b")
    assert holds(StartsWith("a"), "ab")
    assert holds(EndsWith("b"), "ab")
    assert holds(Contains("b"), "abc")
    assert holds(Matches("^a.c$"), "abc")
    assert holds(AllOf((StartsWith("a"), EndsWith("c"))), "abc")
    assert not holds(AllOf((StartsWith("a"), EndsWith("b"))), "abc")
    assert not holds(AnyOf(()), "abc")
