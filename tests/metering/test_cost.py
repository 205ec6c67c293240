"""The library that the prices come from is the oracle: its own arithmetic, in decimals, for every model."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from genai_prices import data_snapshot, extract_usage, types
from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.catalog.book import Book
from komeet.catalog.price import FREE, ModelPrice, Rates, Step
from komeet.core.money import PerMillion
from komeet.metering.cost import cost, saved_by_cache

Json = dict[str, Any]

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

GRID = [
    Usage(),
    Usage(input=1, output=1),
    Usage(input=1000, output=500),
    Usage(input=1234, cache_read=1000, output=321, reasoning=100),
    Usage(input=5000, cache_read=1001, cache_write=2003, output=7),
    Usage(input=300_001, cache_read=100_001, cache_write=50_003, cache_write_1h=20_001, output=77_777, reasoning=7_001),
    Usage(input=128_000, output=3),
    Usage(input=128_001, output=3),
    Usage(input=200_000, output=3),
    Usage(input=272_001, output=3),
    Usage(input=999_999, cache_read=333_333, output=129),
    Usage(input=800, input_audio=300, cache_read=100, cache_read_audio=33, output=500, output_audio=77),
    Usage(input=800, input_image=300, cache_read=100, cache_read_image=33, output=500, output_image=77),
]
SOUND = Usage(audio_ms=61_500)
"""Long enough for everybody's least length."""

CONTEXTS: dict[tuple[str, str], dict[str, str]] = {("anthropic", "fast"): {"speed": "fast"}}
"""Tiers that are not selected by `service_tier`."""


def expected(usage: Usage, model: types.ModelInfo, provider: types.Provider, at: datetime, tier: str | None) -> int:
    context = None
    if tier is not None:
        default = {"processing": "batch"} if tier == "batch" else {"service_tier": tier}
        context = CONTEXTS.get((provider.id, tier), default)
    reported = types.Usage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio,
        cache_audio_read_tokens=usage.cache_read_audio,
        input_image_tokens=usage.input_image,
        cache_image_read_tokens=usage.cache_read_image,
        output_tokens=usage.output,
        output_reasoning_tokens=usage.reasoning,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
    )
    if book_characters(model, at):
        reported = types.Usage(input_characters=usage.input)
    if usage.audio_ms:
        reported.audio_seconds = reported.input_audio_seconds = Decimal(usage.audio_ms) / 1000
    price = model.calc_price(reported, provider, genai_request_timestamp=at, price_context=context)
    return nano(price.total_price)


def book_characters(model: types.ModelInfo, at: datetime) -> bool:
    """Whether a model is billed by characters."""
    return {key for key, value in vars(model.get_prices(at)).items() if value} == {"input_mchars"}


def nano(dollars: Decimal) -> int:
    return int((dollars * 10**9).to_integral_value(ROUND_HALF_EVEN))


def compare(book: Book, provider: types.Provider, at: datetime) -> tuple[int, int]:
    """Compare every model of a provider; return how many costs were equal, and how many models have no price."""
    equal = unpriced = 0
    for entry in book.entries(provider.id):
        price = book.find(provider.id, entry.id, at=round(at.timestamp() * 1000), answers=False)
        found = provider.find_model(entry.id)
        if price is None or found is None:
            unpriced += 1
            assert price is None
            told = {} if found is None else vars(found.get_prices(at))
            assert not {"input_mtok", "input_mchars", "input_audio_hours"} & {each for each in told if told[each]}
            continue
        for tier in (None, *price.tiers):
            by_length = any(step.rates.audio_ms for step in price.steps)
            for usage in [*GRID, SOUND] if by_length else GRID:
                want = expected(usage, found, provider, at, tier)
                assert cost(usage, price, tier=tier) == want, (provider.id, entry.id, tier, usage)
                equal += 1
    return equal, unpriced


def test_every_openai_model_costs_what_the_library_says(book: Book) -> None:
    [provider] = [each for each in data_snapshot.get_snapshot().providers if each.id == "openai"]
    equal, unpriced = compare(book, provider, NOW)
    assert equal > 2000
    assert unpriced < 20


@pytest.mark.parametrize("at", [NOW, NOW.replace(hour=12), datetime(2025, 6, 1, tzinfo=UTC)])
def test_every_model_of_every_provider_costs_what_the_library_says(book: Book, at: datetime) -> None:
    results = [compare(book, provider, at) for provider in data_snapshot.get_snapshot().providers]
    assert sum(equal for equal, _ in results) > 25_000
    assert sum(unpriced for _, unpriced in results) < 80


# ------------------------------------------------------------------ recorded traffic


HOSTS = {
    "openai": "api.openai.com",
    "groq": "api.groq.com",
    "openrouter": "openrouter.ai",
    "deepseek": "api.deepseek.com",
}


FLAVORS = {
    ("openai", "chat"): "chat",
    ("openai", "responses"): "responses",
    ("groq", "chat"): "default",
    ("openrouter", "chat"): "chat",
    ("deepseek", "chat"): "chat",
}
"""The library's name for what a provider answers; other answers it cannot read."""


def answers(folder: str, provider: str) -> Iterator[tuple[str, Json]]:
    """Yield the API and the last object with usage of every successful call."""
    for line in (Path(folder) / f"{provider}.jsonl").read_text("utf-8").splitlines():
        call = json.loads(line)
        url = call["url"]
        api = "responses" if "/responses" in url else "chat" if "chat/completions" in url else ""
        if HOSTS[provider] not in url:
            continue
        if not api or not 200 <= call["status"] < 300:
            continue
        body = call["response"]
        objects = [cast("Json", body)] if isinstance(body, dict) else list(events(str(body)))
        whole: list[Json] = [each.get("response", each) for each in objects]
        reported = [each for each in whole if each.get("usage") and each.get("model")]
        if reported:
            yield api, reported[-1]


def events(text: str) -> Iterator[Json]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line[6:])


def normalised(usage: Json) -> Usage:
    """Read OpenAI's usage, of either API."""
    sent: Json = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    received: Json = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return Usage(
        input=usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        cache_read=sent.get("cached_tokens") or 0,
        cache_write=sent.get("cache_write_tokens") or 0,
        input_audio=sent.get("audio_tokens") or 0,
        output=usage.get("completion_tokens", usage.get("output_tokens", 0)),
        reasoning=received.get("reasoning_tokens") or 0,
        output_audio=received.get("audio_tokens") or 0,
    )


@pytest.mark.parametrize(("provider", "least"), [("openai", 500), ("groq", 10), ("openrouter", 20), ("deepseek", 10)])
def test_every_recorded_usage_costs_what_the_library_says(book: Book, provider: str, least: int) -> None:
    folder = os.environ.get("KOMEET_RECORDINGS")
    if not folder:
        pytest.skip("KOMEET_RECORDINGS is not set")
    equal = 0
    for api, body in answers(folder, provider):
        model = str(body["model"])
        price = book.find(provider, model, at=round(NOW.timestamp() * 1000))
        flavor = FLAVORS.get((provider, api))
        if price is None or flavor is None:
            continue
        extracted = extract_usage(body, provider_id=provider, api_flavor=flavor)
        tier = body.get("service_tier")
        want = extracted.calc_price(
            genai_request_timestamp=NOW, price_context={"service_tier": tier} if tier is not None else None
        )
        assert cost(normalised(body["usage"]), price, tier=tier) == nano(want.total_price), (model, body["usage"])
        equal += 1
    assert equal >= least


# ------------------------------------------------------------------ what the library does not say


def of(**rates: int) -> ModelPrice:
    given_rates = {name: PerMillion(rate) for name, rate in rates.items()}
    return ModelPrice(version="test", steps=(Step(above=0, rates=Rates(**given_rates)),))


def test_cached_and_reasoning_tokens_are_priced_apart() -> None:
    price = of(input=1_750_000_000, output=14_000_000_000, cache_read=175_000_000)
    # 100 × 1750 + 900 × 175 + 50 × 14000 nano-dollars
    assert cost(Usage(input=1000, cache_read=900, output=50, reasoning=40), price, tier=None) == 1_032_500
    dearer = of(input=0, output=10_000_000, reasoning=30_000_000)
    assert cost(Usage(output=50, reasoning=40), dearer, tier=None) == 10 * 10 + 40 * 30


def test_rounding_happens_once_and_to_even() -> None:
    price = of(input=250_000, output=250_000)
    assert cost(Usage(input=1, output=1), price, tier=None) == 0
    assert cost(Usage(input=3, output=3), price, tier=None) == 2
    assert cost(Usage(input=1, output=2), price, tier=None) == 1


def test_a_tier_without_a_price_of_its_own_is_the_default_one() -> None:
    flex = (Step(above=0, rates=Rates(input=PerMillion(1_000_000), output=PerMillion(0))),)
    price = ModelPrice(version="t", steps=of(input=2_000_000, output=0).steps, tiers={"flex": flex})
    assert cost(Usage(input=5), price, tier="flex") == 5
    assert cost(Usage(input=5), price, tier="scale") == 10
    assert cost(Usage(input=5), price, tier=None) == 10


def test_a_free_model_costs_nothing() -> None:
    assert cost(Usage(input=10**9, output=10**9), FREE, tier=None) == 0


tokens = st.integers(0, 10**7)


@given(st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, tokens)), st.sampled_from([0, 1, 10**9]))
def test_contradictory_numbers_never_make_a_cost_negative_or_less_than_a_part(usage: Usage, rate: int) -> None:
    price = of(input=rate, output=rate, cache_read=rate, input_audio=rate, output_image=rate)
    charged = cost(usage, price, tier=None)
    assert charged >= 0
    assert (
        charged * 1_000_000
        >= max(usage.cache_read - usage.cache_read_audio - usage.cache_read_image, 0) * rate - 500_000
    )


def test_what_a_prompt_cache_saves_is_the_difference_to_the_plain_price() -> None:
    rates = Rates(
        input=PerMillion(2_000_000_000),
        cache_read=PerMillion(200_000_000),
        cache_write=PerMillion(2_500_000_000),
        output=PerMillion(8_000_000_000),
    )
    price = ModelPrice(version="v", steps=(Step(above=-1, rates=rates),))
    read, written = Usage(input=1_000, cache_read=900, output=10), Usage(input=1_000, cache_write=900, output=10)
    assert saved_by_cache(read, price, tier=None) == 900 * 1_800
    assert saved_by_cache(written, price, tier=None) == -900 * 500
    assert saved_by_cache(Usage(input=1_000, output=10), price, tier=None) == 0
