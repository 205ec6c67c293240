"""The golden table of prices, to the nano-dollar: every class, both roundings, steps, tiers and days.

The amounts are worked out by hand from the published dollars per million tokens, not computed.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from komeet.canonical.usage import Usage
from komeet.catalog.book import Book
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.core.money import PerMillion
from komeet.metering.cost import cost


def ms(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


NOW = "2026-11-22"


@pytest.mark.parametrize(
    ("provider", "model", "usage", "tier", "nano"),
    [
        # GPT-5.2: 1.75 in, 0.175 cached, 14 out; a web search is a cent, a search of files a quarter of one
        ("openai", "gpt-5.2", {"input": 1}, None, 1_750),
        ("openai", "gpt-5.2", {"input": 1, "cache_read": 1}, None, 175),
        ("openai", "gpt-5.2", {"output": 1}, None, 14_000),
        ("openai", "gpt-5.2", {"output": 1, "reasoning": 1}, None, 14_000),
        ("openai", "gpt-5.2", {"input": 1_000, "cache_read": 900, "output": 50, "reasoning": 40}, None, 1_032_500),
        ("openai", "gpt-5.2", {"input": 1_000_000, "output": 1_000_000}, None, 15_750_000_000),
        ("openai", "gpt-5.2", {"input": 10, "output": 10}, "flex", 78_750),
        ("openai", "gpt-5.2", {"input": 10, "output": 10}, "priority", 315_000),
        ("openai", "gpt-5.2", {"input": 10, "output": 10}, "batch", 78_750),
        ("openai", "gpt-5.2", {"input": 10, "output": 10}, "default", 157_500),
        ("openai", "gpt-5.2", {"input": 10, "web_searches": 2, "storage_searches": 1}, None, 22_517_500),
        # GPT-5.2 Pro: 21 in, 168 out, and nothing off for what is cached
        ("openai", "gpt-5.2-pro", {"input": 1, "output": 1}, None, 189_000),
        ("openai", "gpt-5.2-pro", {"input": 1_000_000, "cache_read": 500_000}, None, 21_000_000_000),
        # GPT-5.4: twice the price for all input, above 272,000 tokens of it
        ("openai", "gpt-5.4", {"input": 272_000}, None, 680_000_000),
        ("openai", "gpt-5.4", {"input": 272_001}, None, 1_360_005_000),
        # Claude Sonnet 4.5: 3 in, 0.3 read, 3.75 written for minutes, 6 for an hour, 15 out
        ("anthropic", "claude-sonnet-4-5", {"input": 100, "output": 10}, None, 450_000),
        ("anthropic", "claude-sonnet-4-5", {"input": 100, "cache_read": 60, "cache_write": 30}, None, 160_500),
        ("anthropic", "claude-sonnet-4-5", {"input": 100, "cache_write": 30, "cache_write_1h": 20}, None, 367_500),
        ("anthropic", "claude-sonnet-4-5", {"input": 100, "web_searches": 3}, None, 30_300_000),
        # Gemini 2.5 Flash: 0.3 in, 1 for sound, 0.03 read, 2.5 out; 35 dollars for a thousand grounded calls
        ("google", "gemini-2.5-flash", {"input": 100, "input_audio": 40, "output": 8}, None, 78_000),
        ("google", "gemini-2.5-flash", {"input": 100, "output": 8, "web_searches": 1}, None, 35_050_000),
        # an embedding: 0.02 in, which is 20 nano-dollars a token
        ("openai", "text-embedding-3-small", {"input": 7}, None, 140),
    ],
)
def test_published_prices(
    book: Book, provider: str, model: str, usage: dict[str, int], tier: str | None, nano: int
) -> None:
    price = book.find(provider, model, at=ms(NOW), answers=False)
    assert price is not None
    assert cost(Usage(**usage), price, tier=tier) == nano
    assert price.version == book.version


EVERY: dict[str, int] = {
    "input": 2_000,
    "output": 14_000,
    "cache_read": 200,
    "cache_write": 2_500,
    "cache_write_1h": 4_000,
    "input_audio": 40_000,
    "cache_read_audio": 2_500,
    "input_image": 8_000,
    "cache_read_image": 800,
    "reasoning": 15_000,
    "output_audio": 80_000,
    "output_image": 32_000,
    "request": 1_000,
    "web_search": 10_000_000,
    "storage_search": 2_500_000,
    "audio_ms": 100,
}
"""Nano-dollars for one of each."""


def price(**rates: int) -> ModelPrice:
    typed: dict[str, Any] = {name: PerMillion(rate) for name, rate in rates.items()}
    return ModelPrice(version="golden", steps=(Step(above=0, rates=Rates(**typed)),))


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        ({}, 1_000),
        ({"input": 1}, 3_000),
        ({"input": 10, "cache_read": 4}, 1_000 + 6 * 2_000 + 4 * 200),
        ({"input": 10, "cache_write": 4}, 1_000 + 6 * 2_000 + 4 * 2_500),
        ({"input": 10, "cache_write": 4, "cache_write_1h": 3}, 1_000 + 6 * 2_000 + 2_500 + 3 * 4_000),
        ({"input": 10, "input_audio": 4}, 1_000 + 6 * 2_000 + 4 * 40_000),
        ({"input": 10, "input_audio": 4, "cache_read": 3, "cache_read_audio": 1}, 1_000 + 4 * 2_000 + 400 + 122_500),
        ({"input": 10, "input_image": 4, "cache_read": 1, "cache_read_image": 1}, 1_000 + 12_000 + 24_000 + 800),
        ({"output": 10}, 1_000 + 10 * 14_000),
        ({"output": 10, "reasoning": 4}, 1_000 + 6 * 14_000 + 4 * 15_000),
        ({"output": 10, "output_audio": 4, "output_image": 1}, 1_000 + 5 * 14_000 + 4 * 80_000 + 32_000),
        ({"web_searches": 2}, 20_001_000),
        ({"storage_searches": 2}, 5_001_000),
        ({"audio_ms": 1_500}, 151_000),
    ],
)
def test_each_class_costs_its_own_price(usage: dict[str, int], nano: int) -> None:
    assert cost(Usage(**usage), price(**{name: rate * 10**6 for name, rate in EVERY.items()}), tier=None) == nano


@pytest.mark.parametrize(
    ("rate", "tokens", "nano"),
    [
        (500_000, 1, 0),  # half a nano-dollar: to the even one
        (500_000, 3, 2),
        (500_000, 5, 2),
        (500_001, 1, 1),
        (499_999, 1, 0),
        (1, 499_999, 0),
        (1, 500_001, 1),
        (1, 1_500_000, 2),
        (1, 2_500_000, 2),
    ],
)
def test_a_sum_is_rounded_once_half_to_even(rate: int, tokens: int, nano: int) -> None:
    assert cost(Usage(input=tokens), price(input=rate, output=0), tier=None) == nano
    half = Usage(input=tokens - tokens // 2, output=tokens // 2)
    assert cost(half, price(input=rate, output=rate), tier=None) == nano  # not each class for itself


def test_prices_change_with_the_day_and_are_those_of_the_call_s_own(book: Book) -> None:
    changes: list[tuple[str, int]] = []
    for provider in book.providers:
        change = book.next_change(provider, at=ms("2025-01-01"))
        if change is not None:
            changes.append((provider, change))
    assert changes
    before, after = (
        [
            book.find(provider, model.id, at=change + shift)
            for provider, change in changes
            for model in book.models(provider)
        ]
        for shift in (-1, 0)
    )
    assert before != after
