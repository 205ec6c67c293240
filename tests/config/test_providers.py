"""From the environment or the file to providers; what is wrong is named, and no key goes out in the clear unasked."""

from pathlib import Path

import pytest

from komeet.config.load import ConfigError, parse
from komeet.config.providers import find
from komeet.core.secrets import Secret

NOTHING = parse("", {})


def _names(environment: dict[str, str], text: str = "") -> list[str]:
    return [provider.name for provider in find(parse(text, environment), environment).providers]


def test_without_anything_there_is_the_embedded_model() -> None:
    assert _names({}) == ["local"]
    assert _names({}, "embedded: {enabled: false}") == []


def test_providers_are_found_by_their_keys() -> None:
    found = find(NOTHING, {"OPENAI_API_KEY": "sk-canary", "GROQ_API_KEY": "gsk"})
    assert [provider.name for provider in found.providers] == ["openai", "groq", "local"]
    assert found.providers[0].credential == Secret("sk-canary")
    assert found.missing["mistral"] == "MISTRAL_API_KEY is not set"
    assert "canary" not in repr(found)


def test_a_key_does_not_go_in_the_clear_because_of_a_variable() -> None:
    here = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}
    assert find(NOTHING, here).providers[0].origin.port == 8000
    with pytest.raises(ConfigError, match=r"openai: its key would go to example\.com over http"):
        find(NOTHING, here | {"OPENAI_BASE_URL": "http://example.com/v1"})


def test_a_file_names_all_that_there_are() -> None:
    text = "providers: [{name: groq, api_key: k}, {name: mine, base_url: 'https://example.com/v1', models: ['m']}]"
    assert _names({"OPENAI_API_KEY": "k"}, text) == ["groq", "mine", "local"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: [{name: mine}]", "providers[0].base_url: mine is not in the registry, so its address is needed"),
        ("providers: [{name: groq}]", "providers[0].api_key: groq needs a key; give one, or set GROQ_API_KEY"),
        (
            "providers: [{name: groq, api_key_file: /nonexistent}]",
            "api_key_file: /nonexistent: No such file",
        ),
        ("providers: [{name: groq, api_key: 'a b'}]", "providers[0]: a key is printable ASCII without spaces"),
    ],
)
def test_what_is_missing_is_named_by_its_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(parse(text, {}), {})
    assert message in str(caught.value)


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-canary\n")
    found = find(parse(f"providers: [{{name: groq, api_key_file: {tmp_path / 'key'}}}]", {}), {})
    assert found.providers[0].credential == Secret("sk-canary")


def test_a_custom_address_that_bills_like_another() -> None:
    text = "providers: [{name: mine, base_url: 'https://example.com/v1', prices_of: openai, stream_usage: never}]"
    provider = find(parse(text, {}), {}).providers[0]
    assert (provider.price_id, provider.stream_usage, provider.prefix) == ("openai", "never", "/v1")


def test_a_demand_that_no_provider_meets_is_a_mistake_of_the_file() -> None:
    box = "{name: box, base_url: 'http://127.0.0.1:9/v1', tags: [eu]}"
    with pytest.raises(ConfigError, match=r"placement\[0\]\.require: no provider has the tag 'own'"):
        parse(f"providers: [{box}]\nplacement: [{{require: [eu, own]}}]\n", {})
    config = parse(f"providers: [{box}]\nplacement: [{{require: [eu]}}]\n", {})
    assert find(config, {}).providers[0].tags == ("eu",)
