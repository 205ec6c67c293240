"""Routes and failover as a caller sees them: two providers, one of which lies, and the command as it is run."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.whole.gateway import Gateway
from tests.whole.processes import until
from tests.whole.upstream import (
    DONE,
    HELLO,
    LAST,
    STREAM,
    Answer,
    Received,
    Reset,
    Step,
    Upstream,
    chunk,
    delta,
    event,
    usage,
    whole,
)

from komeet.store import tables

ERROR = {"error": {"message": "no", "type": "x", "param": None, "code": None}}


def streamed(_: Received) -> Iterator[Step]:
    yield STREAM
    yield chunk(delta("Hello"))
    yield chunk(delta(finish="stop")) + chunk(event(choices=[], usage=usage(9, 4))) + chunk(DONE) + LAST


def config(first: Upstream, second: Upstream, **more: Any) -> dict[str, Any]:
    return {
        "providers": [
            {"name": "openai", "base_url": first.url, "api_key": "sk-upstream-canary"},
            {"name": "box", "base_url": second.url, "api_key": "sk-upstream-canary-2"},
        ],
        "prices": [{"provider": "box", "model": "*", "input": 1, "output": 2}],
        "routes": [
            {
                "name": "fast",
                "groups": [{"candidates": [{"model": "openai/gpt-5.2"}]}, {"candidates": [{"model": "box/llama"}]}],
            }
        ],
        "embedded": {"enabled": False},
        "server": {"workers": 1},
    } | more


@pytest.fixture
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream() as first, Upstream() as second:
        yield first, second


def fails(status: int) -> Answer:
    return lambda _: whole(ERROR, status=status)


def resets(_: Received) -> Sequence[Step]:
    return [Reset()]


@pytest.mark.parametrize(
    "failing", [fails(500), fails(503), fails(429), fails(401), resets], ids=["500", "503", "429", "401", "reset"]
)
def test_the_second_answers_where_the_first_fails(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream], failing: Answer
) -> None:
    first, second = upstreams
    first.answer, second.answer = failing, lambda _: whole(HELLO)
    with Gateway(tmp_path, config(first, second)) as gateway:
        answer = gateway.chat(gateway.key, model="fast")
        assert answer.status == 200
        assert answer.headers["x-komeet-provider"] == "box"
        assert [request.json["model"] for request in second.received] == ["llama"]
        until(lambda: gateway.holds() == 2 == len(gateway.outcomes()))
        with gateway.files.ledger.connect() as connection:
            asked = set(connection.execute(select(tables.holds.c.model_asked, tables.holds.c.provider)).all())
        assert asked == {("fast", "openai"), ("fast", "box")}
        assert gateway.audit() == []
        told = gateway.command("explain", "--request", answer.headers["x-request-id"], "--json")
        first_tried, second_tried = json.loads(told.stdout)["candidates"]
        assert (first_tried["model"], second_tried["model"]) == ("openai/gpt-5.2", "box/llama")
        assert first_tried["error"]
        assert "error" not in second_tried


def test_a_stream_that_breaks_at_once_is_had_elsewhere_and_one_that_was_shown_is_not(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream]
) -> None:
    first, second = upstreams
    second.answer = streamed
    with Gateway(tmp_path, config(first, second)) as gateway:
        first.answer = lambda _: [STREAM, Reset()]
        answer = gateway.chat(gateway.key, model="fast", stream=True)
        assert (answer.headers["x-komeet-provider"], answer.body.count(b"[DONE]")) == ("box", 1)
        first.answer = lambda _: [STREAM, chunk(delta("Hel")), Reset()]
        answer = gateway.chat(gateway.key, model="fast", stream=True)
        assert answer.headers["x-komeet-provider"] == "openai"
        assert b"[DONE]" not in answer.body
        assert answer.body.count(b'"error"') == 1


def test_a_route_is_listed_like_a_model(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    with Gateway(tmp_path, config(*upstreams)) as gateway:
        listed = gateway.request("GET", "/v1/models").json["data"]
        assert (listed[0]["id"], listed[0]["owned_by"]) == ("fast", "komeet")
        assert gateway.request("GET", "/v1/models/fast").json["id"] == "fast"
        narrow = gateway.create_key("narrow", "--models", "box/*")
        assert "fast" not in [one["id"] for one in gateway.request("GET", "/v1/models", key=narrow).json["data"]]
        assert gateway.request("GET", "/v1/models/fast", key=narrow).status == 404


def test_who_keeps_failing_is_left_alone_until_it_is_well(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    first, second = upstreams
    first.answer, second.answer = fails(500), lambda _: whole(HELLO)
    settings = {"failover": {"breaker": {"failures": 3, "seconds": 0.2, "longest_seconds": 0.2}}}
    with Gateway(tmp_path, config(first, second, **settings)) as gateway:
        for _ in range(10):
            assert gateway.chat(gateway.key, model="fast").status == 200
        assert len(first.received) < 10
        first.answer = lambda _: whole(HELLO)
        until(lambda: gateway.chat(gateway.key, model="fast").headers["x-komeet-provider"] == "openai")


def test_alone_a_provider_that_stumbles_is_asked_again(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    first, second = upstreams
    stumbles = iter([500, 503])

    def answer(_: Received) -> Sequence[Step]:
        status = next(stumbles, None)
        return whole(HELLO) if status is None else whole(ERROR, status=status)

    first.answer = answer
    with Gateway(tmp_path, config(first, second)) as gateway:
        assert gateway.chat(gateway.key, model="openai/gpt-5.2").status == 200
        assert len(first.received) == 3
        assert not second.received


def test_conditions_of_a_call(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    first, second = upstreams
    first.answer = second.answer = lambda _: whole(HELLO)
    route = {
        "name": "auto",
        "groups": [
            {"candidates": [{"model": "openai/gpt-5.2"}], "when": {"tools": True}},
            {"candidates": [{"model": "openai/gpt-5.2"}], "when": {"input_tokens": {"over": 1000}}},
            {"candidates": [{"model": "box/llama"}]},
        ],
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with Gateway(tmp_path, config(first, second, routes=[route])) as gateway:

        def who(**fields: Any) -> str:
            return gateway.chat(gateway.key, model="auto", **fields).headers["x-komeet-provider"]

        assert who() == "box"
        assert who(tools=[tool]) == "openai"
        assert who(messages=[{"role": "user", "content": "word " * 1000}]) == "openai"
