"""The virtual models of docs/models.md do what the page says: its file is run, and calls are explained against it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.docs.conftest import ROOT, fenced
from tests.whole.gateway import Gateway

PAGE = ROOT / "docs" / "models.md"
HI = [{"role": "user", "content": "What is the capital of France?"}]
FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL: dict[str, Any] = {"type": "function", "function": FUNCTION}
SCHEMA: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
KEYS = {"OPENAI_API_KEY": "sk-a", "ANTHROPIC_API_KEY": "sk-b", "GEMINI_API_KEY": "sk-c"}


def documented() -> dict[str, Any]:
    (text,) = [text for text in fenced(PAGE, "yaml") if "name: auto" in text]
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = documented() | {"server": {"workers": 1}}
    with Gateway(tmp_path_factory.mktemp("models"), config, KEYS) as running:
        yield running


def asked(gateway: Gateway, **call: Any) -> list[tuple[str, str]]:
    """Whom a call would be sent to, in order, none of them in vain."""
    question = {"request": {"messages": HI} | call}
    told = gateway.request("POST", "/api/explain", json.dumps(question).encode()).json
    assert told["route"] is True
    assert told["refused"] is None
    assert all(one["refused"] is None for one in told["candidates"])
    assert all(one["most_cost"] is not None for one in told["candidates"])
    return [(f"{one['provider']}/{one['model']}", one["why"]) for one in told["candidates"]]


def models(gateway: Gateway, **call: Any) -> list[str]:
    return [model for model, _ in asked(gateway, **call)]


SMALL, SMART, DEEP = "openai/gpt-6-luna", "openai/gpt-6.1-sol", "anthropic/claude-opus-5-5"
LONG, HAIKU, LITE = "google/gemini-3.1-pro-preview", "anthropic/claude-haiku-5-5", "google/gemini-3.5-flash-lite"


def test_instant_does_not_think(gateway: Gateway) -> None:
    found = asked(gateway, model="instant")
    assert {model for model, _ in found} == {"openai/gpt-5.2", HAIKU, LITE}
    assert all("with effort none" in why or "with effort minimal" in why for _, why in found)


def test_thinking_does(gateway: Gateway) -> None:
    first, second, third = asked(gateway, model="thinking")
    assert {first[0], second[0]} == {SMART, DEEP}
    assert third == (LONG, "group 2, as listed, with effort medium unless the call names one")
    again = asked(gateway, model="thinking", messages=[*HI, {"role": "assistant", "content": "Paris"}, *HI])
    assert again[0][0] == first[0]


def test_pro_is_the_best_there_is(gateway: Gateway) -> None:
    assert models(gateway, model="pro") == ["openai/gpt-5.5-pro", DEEP]


@pytest.mark.parametrize(
    ("call", "first"),
    [
        ({"service_tier": "priority"}, {"openai/gpt-5.2", HAIKU}),
        ({"reasoning_effort": "high"}, {SMART}),
        ({"messages": [{"role": "user", "content": "word " * 150_000}]}, {LONG}),
        ({"tools": [TOOL]}, {SMART}),
        ({"response_format": SCHEMA}, {SMALL}),
        ({}, {SMALL, HAIKU}),
    ],
)
def test_auto_goes_by_what_the_call_is_like(gateway: Gateway, call: dict[str, Any], first: set[str]) -> None:
    found = models(gateway, model="auto", **call)
    assert found[0] in first
    assert set(found) >= {SMALL, HAIKU, LITE}  # the last group is for every call


def test_each_choice_explains_itself(gateway: Gateway) -> None:
    question = {"request": {"model": "auto", "messages": HI}}
    told = gateway.request("POST", "/api/explain", json.dumps(question).encode()).json
    reasons = [one["why"].removeprefix("not for this call: ") for one in told["left_out"]]
    assert reasons[2].startswith("input_tokens is about ")
    del reasons[2]
    assert reasons == ["service_tier is default", "effort is default", "tools is false", "json_schema is false"]
    assert told["candidates"][0]["why"].startswith("group 6, about $0.000")


def test_a_dry_run_by_the_command(gateway: Gateway) -> None:
    said = gateway.command(
        "explain", "auto", "Hi", "--config", str(gateway.data_dir / "test.yaml"), "--port", str(gateway.port)
    )
    assert said.returncode == 0, said.stderr
    assert "group 6" in said.stdout


def test_without_a_file_there_are_no_virtual_models(tmp_path: Any) -> None:
    with Gateway(tmp_path / "none", {"server": {"workers": 1}}, KEYS) as running:
        listed = {row["id"]: row for row in running.request("GET", "/v1/models").json["data"]}
    assert not {"instant", "thinking", "pro", "auto"} & set(listed)
    assert not [row for row in listed.values() if row["provider"] == "komeet"]
