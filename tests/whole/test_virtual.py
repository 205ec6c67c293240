"""Virtual models: an effort that a route gives its candidates reaches the provider, unless the call names one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.whole.gateway import Gateway
from tests.whole.upstream import HELLO, Upstream, whole

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer=lambda _: whole(HELLO)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    def route(name: str, **candidate: Any) -> dict[str, Any]:
        return {"name": name, "groups": [{"candidates": [{"model": "openai/gpt-5.2"} | candidate]}]}

    config = {
        "providers": [{"name": "openai", "base_url": upstream.url, "api_key": "sk-x", "formats": ["openai_chat"]}],
        "routes": [route("instant"), route("thinking", effort="high")],
        "embedded": {"enabled": False},
        "server": {"workers": 1},
    }
    with Gateway(tmp_path_factory.mktemp("virtual"), config) as running:
        yield running


def sent(gateway: Gateway, upstream: Upstream, **fields: Any) -> dict[str, Any]:
    assert gateway.chat(messages=HI, **fields).status == 200
    return upstream.received[-1].json


def test_the_effort_of_the_route_is_asked_for(gateway: Gateway, upstream: Upstream) -> None:
    asked = sent(gateway, upstream, model="thinking", temperature=1, seed=7)
    assert (asked["model"], asked["reasoning_effort"], asked["seed"]) == ("gpt-5.2", "high", 7)
    assert asked["messages"] == HI


@pytest.mark.parametrize("effort", ["none", "low", "xhigh"])
def test_what_the_call_asks_for_goes_first(gateway: Gateway, upstream: Upstream, effort: str) -> None:
    assert sent(gateway, upstream, model="thinking", reasoning_effort=effort)["reasoning_effort"] == effort


def test_without_an_effort_bytes_go_through_as_they_came(gateway: Gateway, upstream: Upstream) -> None:
    assert sent(gateway, upstream, model="instant", unheard_of=1) == {
        "model": "gpt-5.2",
        "messages": HI,
        "unheard_of": 1,
    }


def test_in_another_format_too(gateway: Gateway, upstream: Upstream) -> None:
    call = {"model": "thinking", "input": "Hi"}
    assert gateway.request("POST", "/v1/responses", json.dumps(call).encode()).status == 200
    assert upstream.received[-1].json["reasoning_effort"] == "high"
    call = {"model": "thinking", "max_tokens": 2000, "messages": HI, "thinking": {"type": "disabled"}}
    assert gateway.request("POST", "/v1/messages", json.dumps(call).encode()).status == 200
    assert upstream.received[-1].json.get("reasoning_effort") in {None, "none"}


def test_explain_says_so(gateway: Gateway) -> None:
    question = {"request": {"model": "thinking", "messages": HI}}
    told = gateway.request("POST", "/api/explain", json.dumps(question).encode()).json
    (one,) = told["candidates"]
    assert one["why"] == "group 1, as listed, with effort high unless the call names one"
    assert one["passed_through"] is False
