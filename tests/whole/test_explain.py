"""`komeet explain` and `POST /api/explain`, against the command as it is run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.test_failover import config
from tests.whole.upstream import HELLO, Upstream, whole


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        Upstream(answer=lambda _: whole(HELLO)) as first,
        Upstream(answer=lambda _: whole(HELLO)) as second,
        Gateway(tmp_path_factory.mktemp("explain"), config(first, second)) as running,
    ):
        yield running
        assert not first.received
        assert not second.received
        assert running.holds() == 0


def ask(gateway: Gateway, question: object, key: str | None = None) -> Answer:
    return gateway.request("POST", "/api/explain", json.dumps(question).encode(), key=key)


CALL: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_route_is_explained_candidate_by_candidate(gateway: Gateway) -> None:
    told = ask(gateway, {"request": CALL}).json
    assert told["route"] is True
    assert [(one["provider"], one["model"]) for one in told["candidates"]] == [("openai", "gpt-5.2"), ("box", "llama")]
    assert told["candidates"][0]["why"] == "group 1, as listed"
    assert 0 < told["candidates"][1]["most_charge"] <= told["candidates"][1]["most_cost"]
    assert told["refused"] is None


def test_another_surface_is_translated_and_what_is_lost_is_said(gateway: Gateway) -> None:
    call = {"model": "box/llama", "max_tokens": 10, "top_k": 5, "messages": CALL["messages"]}
    (one,) = ask(gateway, {"surface": "/v1/messages", "request": call}).json["candidates"]
    assert (one["format"], one["passed_through"]) == ("openai_chat", False)
    assert one["losses"] == ["top_k"]


def test_what_a_key_may_not_do_is_what_it_would_be_told(gateway: Gateway) -> None:
    key = gateway.create_key("narrow", "--models", "box/*")
    told = ask(gateway, {"request": CALL}, key).json
    assert [one["provider"] for one in told["candidates"]] == ["box"]
    told = ask(gateway, {"request": CALL | {"model": "openai/gpt-5.2"}}, key).json
    assert told["refused"]["status"] == 403


def test_a_limit_that_has_no_room_is_said_and_nothing_is_taken_from_it(gateway: Gateway) -> None:
    key = gateway.create_key("limited", "--rpm", "1", "--tpm", "500")
    for _ in range(3):
        assert ask(gateway, {"request": CALL | {"max_tokens": 50}}, key).json["refused"] is None
    refused = ask(gateway, {"request": CALL | {"max_tokens": 5000}}, key).json["refused"]
    assert refused["status"] == 429
    assert "500 tokens per minute" in refused["message"]
    assert "never fit" in refused["message"]


@pytest.mark.parametrize(
    ("question", "param"),
    [
        ({}, None),
        ({"request": CALL, "more": 1}, None),
        ({"request": CALL, "surface": "/v1/nowhere"}, "surface"),
        ({"request": {"model": "fast"}}, "request.messages"),
        ({"request": 5}, "request"),
    ],
)
def test_mistakes_are_named_by_their_path(gateway: Gateway, question: object, param: str | None) -> None:
    answer = ask(gateway, question)
    assert answer.status == 400
    assert answer.json["error"]["param"] == param
    assert ask(gateway, question, key="sk-km-nobody").status == 401


def test_the_command_tells_it_to_people_and_to_programs(gateway: Gateway, tmp_path: Path) -> None:
    said = gateway.command("explain", "fast", "--port", str(gateway.port))
    assert said.returncode == 0, said.stderr
    assert "openai/gpt-5.2" in said.stdout
    assert "box/llama" in said.stdout
    file = tmp_path / "call.json"
    file.write_text(json.dumps(CALL))
    said = gateway.command("explain", "--file", str(file), "--port", str(gateway.port), "--json")
    assert [one["provider"] for one in json.loads(said.stdout)["candidates"]] == ["openai", "box"]
    assert gateway.command("explain", "--port", str(gateway.port)).returncode == 1
    assert "no Komeet answers" in gateway.command("explain", "fast", "--port", "9").stderr
