"""Models that are shut down, and other names, as callers of each format see them: the command as it is run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.upstream import HELLO, Upstream, whole

from komeet.ledger.port import State

HI = [{"role": "user", "content": "Hi"}]
CONFIG: dict[str, Any] = {
    "aliases": {"smart": "quick", "quick": "box/new", "pinned": "box/old"},
    "embedded": {"enabled": False},
    "server": {"workers": 1},
    "catalog": {"public": True},
}
ENDS = [
    {"provider": "box", "model": "old", "deprecated": "2026-01-01", "shutdown": "2026-02-01", "successor": "new"},
    {"provider": "box", "model": "gone", "shutdown": "2026-02-01"},
    {"provider": "box", "model": "going", "deprecated": "2026-01-01", "shutdown": "2999-01-01", "successor": "new"},
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer=lambda _: whole(HELLO)) as running:
        yield running


def gateway_of(place: Any, upstream: Upstream, retired: str) -> Gateway:
    providers = [{"name": "box", "base_url": upstream.url, "models": ["new", "old", "gone", "going"]}]
    prices = [{"provider": "box", "model": name, "input": 1, "output": "2.50"} for name in ("new", "going")]
    more = {"providers": providers, "models": {"retired": retired, "lifecycle": ENDS}, "prices": prices}
    return Gateway(place, CONFIG | more)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    with gateway_of(tmp_path_factory.mktemp("refuse"), upstream, "refuse") as running:
        yield running


@pytest.fixture(scope="module")
def replacing(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    with gateway_of(tmp_path_factory.mktemp("replace"), upstream, "replace") as running:
        yield running


def explain(gateway: Gateway, model: str) -> Any:
    question = {"request": {"model": model, "messages": HI}}
    return gateway.request("POST", "/api/explain", json.dumps(question).encode()).json


def call(gateway: Gateway, path: str, **fields: Any) -> Answer:
    return gateway.request("POST", path, json.dumps(fields).encode())


@pytest.mark.parametrize("name", ["old", "box/old", "pinned"])
def test_a_call_is_refused_in_the_words_of_its_format(refusing: Gateway, upstream: Upstream, name: str) -> None:
    before = len(upstream.received)
    chat = refusing.chat(model=name, messages=HI)
    assert (chat.status, chat.error["code"]) == (404, "model_retired")
    assert "shut down on 2026-02-01 by box; `box/new` replaces it" in chat.error["message"]
    responses = call(refusing, "/v1/responses", model=name, input="Hi")
    assert (responses.status, responses.error["code"]) == (400, "model_retired")
    claude = call(refusing, "/v1/messages", model=name, messages=HI, max_tokens=9)
    assert (claude.status, claude.json["error"]["type"]) == (404, "not_found_error")
    assert "`box/new` replaces it" in claude.json["error"]["message"]
    gemini = call(refusing, f"/v1beta/models/{name}:generateContent", contents=[{"parts": [{"text": "Hi"}]}])
    assert (gemini.status, gemini.json["error"]["status"]) == (404, "NOT_FOUND")
    assert len(upstream.received) == before
    assert refusing.holds() == 0


def test_explain_says_so(refusing: Gateway, replacing: Gateway) -> None:
    assert explain(refusing, "old")["refused"]["code"] == "model_retired"
    told = explain(replacing, "pinned")
    assert (told["alias_of"], told["candidates"][0]["model"]) == ("box/old", "new")
    assert "old was shut down on 2026-02-01, and new replaces it" in told["candidates"][0]["why"]


def test_or_its_successor_answers_and_a_header_says_so(replacing: Gateway, upstream: Upstream) -> None:
    answer = replacing.chat(model="old", messages=HI)
    assert answer.status == 200
    assert answer.headers["x-komeet-model-replaced"] == "old -> new"
    assert upstream.received[-1].json["model"] == "new"
    entry = replacing.outcome(answer.headers["x-request-id"])
    assert (entry.model, entry.state) == ("new", State.SETTLED)
    assert entry.cost > 0
    assert replacing.chat(model="gone", messages=HI).error["code"] == "model_retired"


def test_a_key_that_may_use_the_old_one_may_not_use_the_new_one_for_that(replacing: Gateway) -> None:
    narrow = replacing.create_key("narrow", "--models", "old")
    refused = replacing.chat(key=narrow, model="old", messages=HI)
    assert refused.status == 403
    assert "may not use the model `new`, which replaces `old`" in refused.error["message"]


def test_what_is_deprecated_is_called_without_a_word(refusing: Gateway) -> None:
    answer = refusing.chat(model="going", messages=HI)
    assert answer.status == 200
    assert "x-komeet-model-replaced" not in answer.headers
    found = {row["id"]: row for row in refusing.request("GET", "/v1/models").json["data"]}
    assert found["going"]["shutdown_date"] == "2999-01-01"
    assert "old" not in found


def test_an_alias_is_called_like_a_model(refusing: Gateway, upstream: Upstream) -> None:
    assert refusing.chat(model="smart", messages=HI).status == 200
    assert upstream.received[-1].json["model"] == "new"
    told = explain(refusing, "smart")
    assert (told["route"], told["alias_of"]) == (True, "box/new")
    key = refusing.create_key("alias", "--models", "smart")
    assert refusing.chat(key=key, model="smart", messages=HI).status == 200
    assert refusing.chat(key=key, model="box/new", messages=HI).status == 403


def test_everybody_sees_the_list(refusing: Gateway) -> None:
    answer = refusing.request("GET", "/api/models", key="")
    assert answer.status == 200
    found = {row["id"]: row for row in answer.json["data"]}
    assert found["new"]["prices"]["dollars_per_million"] == {"input": "1", "output": "2.5"}
    assert set(found) == {"new", "going"}
