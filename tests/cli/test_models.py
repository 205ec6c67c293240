"""`komeet models` lists what the configured providers are known to offer, with prices."""

import re
from decimal import Decimal
from typing import Any

from tests.cli.conftest import Komeet

OPENAI = {"OPENAI_API_KEY": "sk-canary"}


def test_a_fresh_machine_has_the_embedded_model(komeet: Komeet) -> None:
    said = komeet("models")
    assert re.split(r" {2,}", said.lines[1]) == ["smollm2-135m", "local", "8,192", "0", "–", "0"]
    only, embeds = komeet("models", "--json").json
    assert embeds["model"] == "wordllama"
    assert (only["id"], only["provider"], only["context_window"]) == ("smollm2-135m", "local", 8192)
    assert only["dollars_per_million"] == {"input": "0", "cache_read": None, "output": "0"}


def test_a_provider_s_key_brings_its_models_and_is_not_shown(komeet: Komeet) -> None:
    said = komeet("models", "gpt-5.2", env=OPENAI)
    assert "sk-canary" not in said.out + said.err
    assert all("gpt-5.2" in line for line in said.lines[1:])
    listed = {model["id"]: model for model in komeet("models", "--json", env=OPENAI).json}
    assert listed["gpt-5.2"]["provider"] == "openai"
    assert set(listed["gpt-5.2"]["dollars_per_million"]) == {"input", "cache_read", "output"}


def test_a_price_that_grows_with_the_input_is_marked(komeet: Komeet) -> None:
    rows = komeet("models", "--json", env=OPENAI).json
    stepped = {row["id"] for row in rows if row["dearer"]}
    marked = {line.split()[0] for line in komeet("models", env=OPENAI).lines[1:] if line.endswith("+")}
    assert stepped
    assert all(step["above"] > 0 for row in rows for step in row["dearer"])
    assert marked == stepped


def test_one_provider(komeet: Komeet) -> None:
    assert {row["provider"] for row in komeet("models", "--provider", "local", "--json", env=OPENAI).json} == {"local"}
    said = komeet("models", "--provider", "groq", env=OPENAI)
    assert said.status == 1
    assert "groq is not configured; the providers are openai, local" in said.err


def test_nothing_found(komeet: Komeet) -> None:
    assert "No model has `nothing-like-it`" in komeet("models", "nothing-like-it").out
    assert komeet("models", "nothing-like-it", "--json").json == []


def ids(komeet: Komeet, *options: str) -> set[str]:
    return {row["id"] for row in komeet("models", *options, "--json", env=OPENAI).json}


def test_filters_narrow_the_list_together(komeet: Komeet) -> None:
    rows = {row["id"]: row for row in komeet("models", "--json", env=OPENAI).json}
    can = {name for name, row in rows.items() if {"tools", "vision"} <= set(row["features"])}
    assert ids(komeet, "--feature", "tools", "--feature", "vision") == can
    assert "gpt-5.2" in can
    assert ids(komeet, "--type", "embedding") == {name for name, row in rows.items() if row["type"] == "embedding"}
    large = {name for name, row in rows.items() if (row["context_window"] or 0) >= 1_000_000}
    assert ids(komeet, "--context", "1000000") == large
    assert large
    assert ids(komeet, "--context", "1000000", "--feature", "tools", "gpt-6") <= large & ids(komeet, "gpt-6")


def test_the_price_is_that_of_input_and_output(komeet: Komeet) -> None:
    rows = komeet("models", "--max-price", "2", "--json", env=OPENAI).json
    amounts = [Decimal(row["dollars_per_million"][name]) for row in rows for name in ("input", "output")]
    assert amounts
    assert max(amounts) <= 2
    every = komeet("models", "--json", env=OPENAI).json
    cheap = [row["id"] for row in every if row["dollars_per_million"] and _dearest(row) <= 2]
    assert [row["id"] for row in rows] == cheap


def _dearest(row: dict[str, Any]) -> Decimal:
    return max(Decimal(row["dollars_per_million"][name]) for name in ("input", "output"))


def test_what_is_deprecated_says_when_it_ends_and_what_replaces_it(komeet: Komeet) -> None:
    rows = {row["id"]: row for row in komeet("models", "--deprecated", "--json", env=OPENAI).json}
    gone = rows["gpt-5.2-chat-latest"]
    assert (gone["deprecated_at"], gone["shutdown_at"]) == ("2026-05-08", "2026-08-10")
    assert gone["successor"] == "gpt-5.5"
    assert gone["page"].startswith("https://")
    assert "gpt-5.2" not in rows
    line = next(line for line in komeet("models", "--deprecated", env=OPENAI).lines if "gpt-5.2-chat-latest" in line)
    assert re.split(r" {2,}", line)[-2:] == ["2026-08-10", "gpt-5.5"]
    assert "gpt-5.2-chat-latest" not in ids(komeet)


def test_a_filter_that_there_is_not(komeet: Komeet) -> None:
    said = komeet("models", "--feature", "telepathy")
    assert said.status == 1
    assert "--feature: there is no `telepathy`; there are audio_input" in said.err
    assert "--type: there is no `x`; there are chat" in komeet("models", "--type", "x").err
    assert "--max-price: 'much' is not an amount" in komeet("models", "--max-price", "much").err
    assert "that is like that" in komeet("models", "--max-price", "0", "--context", "900000").out
