"""Every recording that reports usage is priced, and costs to the nano-dollar what the library of the prices says.

The library computes in decimals; its sum is rounded once to a nano-dollar, half to even, as ours is. What is excluded
is listed by name, with its reason, in `exclusions` and on the page.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from genai_prices import data_snapshot, extract_usage
from tests.metering.exclusions import EQUAL, READ_ALIKE, READ_OTHERWISE, UNPRICED
from tests.metering.pricing_page import page
from tests.metering.recorded import AT, Priced, context_of, every, is_stream, nano
from tests.wire.recordings import load, needs_recordings

from komeet.catalog.book import Book

FLAVORS: Final[Mapping[tuple[str, str], str]] = {
    ("anthropic", "Messages"): "default",
    ("aws", "Converse"): "default",
    ("azure", "Responses"): "responses",
    ("cohere", "Cohere's chat"): "default",
    ("deepseek", "Chat Completions"): "chat",
    ("google", "Chat Completions"): "chat",
    ("google", "Gemini"): "default",
    ("groq", "Chat Completions"): "default",
    ("mistral", "Chat Completions"): "default",
    ("openai", "Chat Completions"): "chat",
    ("openai", "Responses"): "responses",
    ("openai", "embeddings"): "embeddings",
    ("openrouter", "Chat Completions"): "chat",
    ("zai", "Chat Completions"): "chat",
}
"""The library's name for a format at a provider, where it can read it."""


@pytest.fixture(scope="module")
def priced(book: Book) -> list[Priced]:
    return list(every(book))


@needs_recordings
def test_every_recording_that_reports_usage_costs_what_the_library_says(priced: list[Priced]) -> None:
    for call in priced:
        if call.name not in UNPRICED:
            assert call.ours is not None, f"{call.name}: no price of {call.model} at {call.price_id}"
            assert call.ours == call.theirs, call
    equal = Counter((call.name.partition(":")[0], call.spoken) for call in priced if call.name not in UNPRICED)
    assert dict(equal) == EQUAL


@needs_recordings
def test_what_is_excluded_is_priced_by_nobody(priced: list[Priced]) -> None:
    unpriced = {call.name: (call.ours, call.theirs) for call in priced if call.name in UNPRICED}
    assert unpriced == dict.fromkeys(UNPRICED, (None, None))


@needs_recordings
def test_whole_answers_cost_the_same_by_the_librarys_own_reading(priced: list[Priced]) -> None:
    bodies = {each.name: each.body for each in load(lambda each: not is_stream(each))}
    providers = data_snapshot.get_snapshot().providers
    other: list[str] = []
    alike = 0
    for call in priced:
        flavor = FLAVORS.get((call.price_id, call.spoken))
        if call.name not in bodies or call.ours is None or flavor is None:
            continue
        answer = json.loads(bodies[call.name])
        provider = next(each for each in providers if each.id == call.price_id)
        model = provider.find_model(call.model, all_providers=providers)
        assert model is not None
        try:
            usage = extract_usage(answer, provider_id=call.price_id, api_flavor=flavor).usage
        except (LookupError, AttributeError):
            continue  # the library has no name for the model that answered, or cannot read enumerations by number
        price = model.calc_price(usage, provider, genai_request_timestamp=AT, price_context=context_of(call.tier))
        if nano(price.total_price) == call.ours:
            alike += 1
        else:
            other.append(call.name)
    assert set(other) == set(READ_OTHERWISE)
    assert alike == READ_ALIKE


def test_the_page_is_up_to_date() -> None:
    assert (Path(__file__).parents[2] / "docs" / "pricing.md").read_text("utf-8") == page(), "run `make docs`"
