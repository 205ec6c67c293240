"""What becomes of each part of a configuration of LiteLLM."""

from decimal import Decimal
from typing import Any

import pytest
import yaml

from komeet.lab.imports import litellm
from komeet.lab.imports.found import Imported, ImportFailed, Kind
from komeet.lab.imports.source import read_yaml
from komeet.providers.registry import Row, load

ROWS = load()


def nobody(model: str) -> Row | None:
    return ROWS["openai"] if model.startswith("gpt") else None


def read(text: str) -> Imported:
    return litellm.read(read_yaml(text), ROWS, nobody)


def entry(name: str, model: str, **more: object) -> dict[str, object]:
    return {"model_name": name, "litellm_params": {"model": model, **more}}


def of(*entries: dict[str, object], **more: object) -> Imported:
    return read(yaml.safe_dump({"model_list": list(entries), **more}))


def kinds(found: Imported, path: str) -> set[Kind]:
    return {each.kind for each in found.findings if each.path == path}


def route(found: Imported, name: str) -> list[dict[str, Any]]:
    return next(each["groups"] for each in found.config["routes"] if each["name"] == name)


def provider(found: Imported, name: str) -> dict[str, Any]:
    return next(each for each in found.config["providers"] if each["name"] == name)


def test_entries_of_one_name_are_a_weighted_group() -> None:
    found = of(
        entry("chat", "openai/gpt-4o", weight=0.9),
        entry("chat", "anthropic/claude-sonnet-4-5", weight=0.1),
    )
    assert route(found, "chat") == [
        {
            "candidates": [
                {"model": "openai/gpt-4o", "weight": 9},
                {"model": "anthropic/claude-sonnet-4-5"},
            ],
            "order": "weighted",
        }
    ]


def test_limits_weigh_where_no_weight_is_given_and_are_kept() -> None:
    found = of(entry("chat", "openai/gpt-4o", rpm=300), entry("chat", "groq/m", rpm=100, tpm=5))
    assert [each.get("weight", 1) for each in route(found, "chat")[0]["candidates"]] == [3, 1]
    assert found.config["limits"] == [
        {"scope": "model", "match": ["openai/gpt-4o"], "requests_per_minute": 300},
        {"scope": "model", "match": ["groq/m"], "requests_per_minute": 100, "tokens_per_minute": 5},
    ]
    assert kinds(found, "model_list[0].litellm_params.rpm") == {"differs"}


def test_what_weighs_nothing_is_asked_when_the_others_fail() -> None:
    found = of(entry("chat", "openai/gpt-4o", weight=1), entry("chat", "groq/m", weight=0))
    assert [[each["model"] for each in group["candidates"]] for group in route(found, "chat")] == [
        ["openai/gpt-4o"],
        ["groq/m"],
    ]


def test_order_comes_before_weight_and_what_has_none_comes_last() -> None:
    found = of(entry("a", "openai/x"), entry("a", "groq/y", order=2), entry("a", "xai/z", order=1))
    assert [group["candidates"][0]["model"] for group in route(found, "a")] == ["xai/z", "groq/y", "openai/x"]


def test_a_key_in_the_clear_is_a_variable_and_is_nowhere_else() -> None:
    found = of(entry("a", "openai/x", api_key="sk-canary"), general_settings={"master_key": "sk-master"})
    assert provider(found, "openai")["api_key"] == "${IMPORTED_OPENAI_KEY}"
    assert [(each.name, each.literal) for each in found.variables] == [("IMPORTED_OPENAI_KEY", True)]
    assert "canary" not in repr(found)
    assert "sk-master" not in repr(found)


def test_a_variable_of_the_source_stays_that_variable() -> None:
    found = of(entry("a", "openai/x", api_key="os.environ/TEAM_KEY"))
    assert provider(found, "openai")["api_key"] == "${TEAM_KEY}"
    assert [(each.name, each.literal) for each in found.variables] == [("TEAM_KEY", False)]


def test_keys_for_the_same_models_take_turns() -> None:
    found = of(entry("a", "openai/x", api_key="one", weight=2), entry("a", "openai/x", api_key="two", weight=1))
    assert provider(found, "openai")["credentials"] == [
        {"api_key": "${IMPORTED_OPENAI_KEY}", "weight": 2},
        {"api_key": "${IMPORTED_OPENAI_KEY_2}"},
    ]
    assert route(found, "a") == [{"candidates": [{"model": "openai/x"}]}]


def test_keys_for_other_models_are_not_mixed() -> None:
    found = of(entry("a", "openai/x", api_key="one"), entry("b", "openai/y", api_key="two"))
    assert provider(found, "openai")["api_key"] == "${IMPORTED_OPENAI_KEY}"
    second = provider(found, "openai-2")
    assert second["api_key"] == "${IMPORTED_OPENAI_KEY_2}"
    assert second["base_url"] == ROWS["openai"].base_url
    assert second["prices_of"] == "openai"
    assert route(found, "b") == [{"candidates": [{"model": "openai-2/y"}]}]


def test_an_address_of_somebody_s_own_is_no_maker_and_has_no_price() -> None:
    found = of(entry("a", "openai/x", api_base="http://localhost:8000/v1", api_key="k"))
    assert provider(found, "localhost-8000") == {
        "name": "localhost-8000",
        "base_url": "http://localhost:8000/v1",
        "api_key": "${IMPORTED_LOCALHOST_8000_KEY}",
        "models": [],
    }
    assert kinds(found, "model_list[0].litellm_params.api_base") == {"differs"}


@pytest.mark.parametrize(
    ("model", "given", "asked"),
    [
        ("ollama/llama3", "http://localhost:11434", "http://localhost:11434/v1"),
        ("anthropic/claude-x", "https://proxy.example.com", "https://proxy.example.com/v1"),
        ("azure/d", "https://res.openai.azure.com/", "https://res.openai.azure.com/openai/v1"),
        ("mistral/m", "https://proxy.example.com", "https://proxy.example.com"),
        ("openai/x", "https://api.openai.com/v1/", None),
    ],
)
def test_an_address_is_completed_where_the_path_is_left_out(model: str, given: str, asked: str | None) -> None:
    (made,) = of(entry("a", model, api_base=given)).config["providers"]
    assert made.get("base_url") == asked


def test_an_address_over_http_to_another_machine_is_allowed_and_said() -> None:
    found = of(entry("a", "openai/x", api_base="http://10.0.0.1/v1"))
    assert found.config["providers"][0]["allow_http"] is True
    assert any("in the clear" in each.says for each in found.findings)


def test_a_password_in_an_address_is_not_repeated() -> None:
    found = of(entry("a", "openai/x", api_base="https://me:canary@example.com"))
    assert kinds(found, "model_list[0].litellm_params.api_base") == {"missing"}
    assert "canary" not in repr(found)


@pytest.mark.parametrize("model", ["bedrock/m:0", "bedrock/converse/m:0", "bedrock/invoke/m:0"])
def test_the_longest_prefix_says_whose_a_model_is(model: str) -> None:
    found = of(entry("a", model, aws_region_name="eu-west-1", aws_access_key_id="canary"))
    assert route(found, "a") == [{"candidates": [{"model": "bedrock/m:0"}]}]
    assert provider(found, "bedrock")["aws"] == {"access_key_id": "${AWS_ACCESS_KEY_ID}", "region": "eu-west-1"}
    assert "canary" not in repr(found)


def test_a_bare_name_goes_to_who_makes_the_model_and_others_are_missing() -> None:
    found = of(entry("a", "gpt-4o"), entry("b", "mystery"), entry("c", "nobody/x"))
    assert route(found, "a") == [{"candidates": [{"model": "openai/gpt-4o"}]}]
    assert kinds(found, "model_list[1].litellm_params.model") == {"missing"}
    assert kinds(found, "model_list[2].litellm_params.model") == {"missing"}


def test_a_model_called_as_it_is_here_needs_no_route() -> None:
    found = of(entry("openai/gpt-4o", "openai/gpt-4o"))
    assert "routes" not in found.config
    assert kinds(found, "model_list[0].litellm_params.model") == {"maps"}


def test_a_route_is_not_called_as_a_model_that_a_route_leads_to() -> None:
    found = of(entry("openai/gpt-4o", "groq/x"), entry("a", "openai/gpt-4o"))
    assert [each["name"] for each in found.config["routes"]] == ["a"]
    assert "missing" in kinds(found, "model_list[0].litellm_params.model")


def test_patterns() -> None:
    found = of(
        entry("*", "openai/*"),
        entry("anthropic/*", "anthropic/*"),
        entry("own/*", "openai/*", api_base="https://own.example.com/v1"),
        entry("gemini/*", "gemini/*"),
    )
    assert provider(found, "openai")["models"] == ["*"]
    assert provider(found, "own")["base_url"] == "https://own.example.com/v1"
    said = [kinds(found, f"model_list[{index}].litellm_params.model") for index in range(4)]
    assert ["maps" in said[0], "maps" in said[1], "maps" in said[2], said[3]] == [True, True, True, {"missing"}]


def test_fallbacks_are_further_groups() -> None:
    found = of(
        entry("a", "openai/x"),
        entry("b", "groq/y"),
        entry("c", "xai/z"),
        router_settings={"fallbacks": [{"a": ["b", "gone"]}], "context_window_fallbacks": [{"b": ["c"]}]},
        litellm_settings={"default_fallbacks": ["c"]},
    )
    models = {
        each["name"]: [one["model"] for group in each["groups"] for one in group["candidates"]]
        for each in found.config["routes"]
    }
    assert models == {"a": ["openai/x", "groq/y"], "b": ["groq/y", "xai/z"], "c": ["xai/z"]}
    assert kinds(found, "router_settings.fallbacks[0].a[0]") == {"maps"}
    assert kinds(found, "router_settings.fallbacks[0].a[1]") == {"missing"}
    assert kinds(found, "router_settings.context_window_fallbacks[0].b[0]") == {"differs"}


def test_aliases_are_routes() -> None:
    aliases = {"b": "a", "c": {"model": "a", "hidden": True}, "d": "gone"}
    found = of(entry("a", "openai/x"), router_settings={"model_group_alias": aliases})
    assert route(found, "a") == route(found, "b") == route(found, "c")
    assert kinds(found, "router_settings.model_group_alias.d") == {"missing"}
    assert kinds(found, "router_settings.model_group_alias.c.hidden") == {"missing"}


def test_prices_are_exact() -> None:
    found = read(
        "model_list: [{model_name: a, litellm_params: {model: openai/x, input_cost_per_token: 1.25e-06,"
        " output_cost_per_token: 0.00001, cache_read_input_token_cost: 1e-7,"
        " input_cost_per_token_above_200k_tokens: 2.5e-6}}]"
    )
    assert found.config["prices"] == [
        {
            "provider": "openai",
            "model": "x",
            "input": Decimal("1.25"),
            "output": Decimal(10),
            "cache_read": Decimal("0.1"),
            "long_context": [{"above": 200_000, "input": Decimal("2.5")}],
        }
    ]


def test_a_price_that_is_too_fine_is_rounded_and_said() -> None:
    found = of(entry("a", "openai/x", input_cost_per_token="1.23456789012345678e-6", output_cost_per_token=0))
    assert found.config["prices"][0]["input"] == Decimal("1.234567890")
    assert kinds(found, "model_list[0].litellm_params.input_cost_per_token") == {"differs"}


def test_how_much_is_tried_and_how_long_it_may_take() -> None:
    found = of(
        entry("a", "openai/x"),
        router_settings={"num_retries": 2, "timeout": 30, "allowed_fails": 3, "cooldown_time": 60},
        litellm_settings={"drop_params": False},
    )
    assert found.config["failover"] == {
        "attempts": 3,
        "breaker": {"failures": 4, "seconds": Decimal(60), "longest_seconds": Decimal(60)},
    }
    assert provider(found, "openai")["deadlines"] == {"first_byte": Decimal(30), "idle": Decimal(30)}
    assert found.config["translation"] == {"losses": "refuse"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_list: {}", "model_list: expected a list, got a mapping"),
        ("model_list: [3]", r"model_list\[0\]: expected a mapping, got a number"),
        ("model_list: [{litellm_params: {model: a/b}}]", r"model_list\[0\].model_name: needed"),
        ("model_list: [{model_name: a, litellm_params: {model: [x]}}]", r"litellm_params.model: expected text"),
        ("model_list: [{model_name: a, litellm_params: {model: openai/x, rpm: lots}}]", r"rpm: expected a number"),
        ("router_settings: [1]", "router_settings: expected a mapping, got a list"),
        ("router_settings: {fallbacks: [{a: b}]}", r"router_settings.fallbacks\[0\].a: expected a list of names"),
        ("a: [", "line 1: "),
        ("a: 1\na: 2", "line 2: a key is given twice"),
        ("- 1", "the file: expected a mapping, got a list"),
    ],
)
def test_what_has_another_shape_is_said_with_its_path(text: str, says: str) -> None:
    with pytest.raises(ImportFailed, match=says):
        read(text)


def test_an_empty_file_comes_to_nothing() -> None:
    assert read("").config == {"providers": []}


def test_a_reference_without_a_name_is_said_and_the_provider_s_own_variable_is_used() -> None:
    found = of(entry("a", "anthropic/x", api_key="os.environ/"))
    assert provider(found, "anthropic")["api_key"] == "${ANTHROPIC_API_KEY}"
    assert kinds(found, "model_list[0].litellm_params.api_key") == {"missing"}
