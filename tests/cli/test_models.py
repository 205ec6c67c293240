"""`komeet models` lists what the configured providers are known to offer, with prices."""

import re

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
