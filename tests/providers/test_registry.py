import json

import pytest

from komeet.catalog import profiles
from komeet.catalog.book import Book
from komeet.catalog.compile import compile_book
from komeet.core.secrets import Secret
from komeet.providers import registry
from komeet.providers.provider import outgoing
from komeet.providers.registry import Row

ROWS = registry.load()


def row(**changes: str | list[str]) -> bytes:
    values: dict[str, str | list[str]] = {
        "name": "acme",
        "title": "Acme",
        "base_url": "https://api.acme.example/v1",
        "formats": ["openai_chat"],
        "family": "acme",
        "stream_usage": "ask",
        "docs": "https://acme.example/docs",
    } | changes
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["[[provider]]", *lines, 'key_env = ["ACME_API_KEY"]', "rank = 30", ""]).encode()


def test_the_registry_has_the_providers_that_people_expect() -> None:
    expected = {
        *("openai", "cometapi", "openrouter", "anthropic", "google", "mistral", "deepseek", "xai", "moonshot", "zai"),
        *("qwen", "groq", "cerebras", "together", "fireworks", "perplexity", "sambanova", "nvidia", "huggingface"),
        *("ollama", "vllm", "llamacpp", "lmstudio", "local"),
    }
    assert expected <= ROWS.keys()
    assert len(ROWS) >= 30


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_called(name: str) -> None:
    provider = registry.provider_of(ROWS[name], credential=Secret("k"))
    request = outgoing(
        provider, wire="openai_chat", at_ms=0, path="/chat/completions", body=b"{}", accept=b"text/event-stream"
    )
    assert request.target.endswith("/chat/completions")
    on_this_machine = request.origin.host == "127.0.0.1"
    assert request.origin.scheme == ("http" if on_this_machine else "https")
    assert ROWS[name].free == on_this_machine
    assert (ROWS[name].auth == "optional") == on_this_machine
    assert on_this_machine or ROWS[name].key_env


def test_no_two_rows_share_a_variable() -> None:
    names = [name for row in ROWS.values() for name in (*row.key_env, *row.base_url_env, *row.host_env)]
    assert len(names) == len(set(names))


def test_every_price_id_is_a_provider_of_the_price_book() -> None:
    book: Book = compile_book()
    assert {row.price_id for row in ROWS.values()} - {None} <= set(book.providers)


def test_the_embedded_model_is_a_row_like_any_other() -> None:
    local = registry.provider_of(ROWS["local"])
    assert local.embedded
    assert local.free
    assert local.models == ("smollm2-135m", "wordllama")
    assert profiles.load().find(local.family, "smollm2-135m").context_window == 8192


# ------------------------------------------------------------------ found from the environment


def test_a_key_in_the_environment_finds_its_provider() -> None:
    environment = {"OPENAI_API_KEY": " sk-1\n", "GROQ_API_KEY": "", "HOME": "/root"}
    found = {name: registry.found_in(row, environment) for name, row in ROWS.items()}
    assert [name for name, provider in found.items() if provider is not None] == ["openai"]
    openai = found["openai"]
    assert openai is not None
    assert openai.credential == Secret("sk-1")
    assert openai.price_id == "openai"


def test_the_first_variable_that_is_set_wins() -> None:
    both = {"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}
    assert registry.key_in(ROWS["google"], both) == Secret("a")
    assert registry.key_in(ROWS["google"], {"GOOGLE_API_KEY": "b"}) == Secret("b")


def test_an_address_in_the_environment_moves_the_provider_and_leaves_its_prices_behind() -> None:
    moved = registry.found_in(ROWS["openai"], {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k"})
    assert moved is not None
    assert (moved.origin.port, moved.family, moved.price_id) == (9, "openai", None)
    same = registry.found_in(ROWS["openai"], {"OPENAI_BASE_URL": "https://api.openai.com/v1/", "OPENAI_API_KEY": "k"})
    assert same is not None
    assert same.price_id == "openai"


def test_a_machine_of_ones_own_is_found_by_its_address() -> None:
    assert registry.found_in(ROWS["ollama"], {}) is None
    found = registry.found_in(ROWS["ollama"], {"OLLAMA_HOST": "box:11435"})
    assert found is not None
    assert (found.origin.host, found.origin.port, found.prefix) == ("box", 11435, "/v1")
    assert found.credential is None
    assert found.free


def test_the_embedded_model_is_not_looked_for() -> None:
    assert registry.found_in(ROWS["local"], {"OPENAI_API_KEY": "k"}) is None


def test_a_variable_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ValueError, match="OPENAI_BASE_URL"):
        registry.found_in(ROWS["openai"], {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "localhost:80"})


# ------------------------------------------------------------------ rows are data


def test_a_new_provider_is_one_row_and_nothing_else() -> None:
    acme = registry.parse(row())["acme"]
    provider = registry.found_in(acme, {"ACME_API_KEY": "k"})
    assert provider is not None
    request = outgoing(provider, wire="openai_chat", at_ms=0, path="/chat/completions", body=b"{}")
    assert request.origin.host == "api.acme.example"
    assert (b"authorization", b"Bearer k") in request.headers


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (row(bse_url="x"), "bse_url"),
        (row(formats=["soap"]), "formats"),
        (row(stream_usage="maybe"), "stream_usage"),
        (row(name="Acme!"), "name"),
        (row(base_url="acme.example"), "acme: a base URL"),
        (row(docs="see below"), "docs"),
        (row() + row(), "two rows"),
        (row().replace(b"rank = 30", b""), "rank"),
        (b"provider = 1", "array"),
        (b"[[", "Expected|Invalid"),
    ],
)
def test_a_mistake_in_a_row_is_named(text: bytes, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        registry.parse(text)


def test_a_row_is_frozen() -> None:
    assert Row.__struct_config__.frozen
    assert Row.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize(
    ("name", "address", "known_as"),
    [
        ("openai", None, "openai"),
        ("openai", "https://api.openai.com/v2", "openai"),
        ("openai", "https://relay.example/v1", None),
        ("openai", "http://127.0.0.1:4000/v1", None),
        ("azure", "https://mine.openai.azure.com", "azure"),
    ],
)
def test_facts_about_models_hold_at_the_address_of_the_row(
    name: str, address: str | None, known_as: str | None
) -> None:
    assert registry.provider_of(ROWS[name], base_url=address).known_as == known_as
