"""A hard budget is not overspent by any number of calls at once, and the refusal says how to go on."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.whole.gateway import Gateway
from tests.whole.upstream import DONE, HELLO, Received, Step, Upstream, delta, event, stream, usage, whole

# 100 bytes of request at the most are 100 tokens; 10 tokens of output are what a call asks for.
CALL = {"max_completion_tokens": 10}


def test_exactly_as_many_calls_as_there_is_room_for(gateway: Gateway, upstream: Upstream) -> None:
    """The provider bills exactly what was held: ten calls fit, of a hundred at once."""
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}], **CALL}).encode()
    probe = gateway.create_key("probe", "--budget", "1")
    release = threading.Event()

    def holding(_: Received) -> Iterator[Step]:
        release.wait(20)
        yield from whole(HELLO)

    upstream.answer = holding
    with ThreadPoolExecutor(1) as one:
        pending = one.submit(gateway.request, "POST", "/v1/chat/completions", body, key=probe)
        while not upstream.received:
            assert not pending.done()
        row = next(row for row in gateway.usage("--by", "key") if row["key"] == "probe")
        release.set()
        assert pending.result().status == 200
    hold = int(row["held_nano"])
    assert hold > 0
    budget = hold * 10
    key = gateway.create_key("ten", "--budget", f"0.{budget:09d}")
    billed = hold

    def dear(_: Received) -> list[Step]:
        # 14 $ a million: as many output tokens as cost the whole hold, rounded down.
        return whole(HELLO | {"usage": usage(0, billed // 14_000)})

    upstream.received.clear()
    upstream.answer = dear
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(gateway.request, "POST", "/v1/chat/completions", body, key=key) for _ in range(100)]
    answers = [call.result() for call in calls]
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 402}
    assert len(upstream.received) == statuses.count(200)
    row = next(row for row in gateway.usage("--by", "key") if row["key"] == "ten")
    assert int(row["cost_nano"]) <= budget
    assert int(row["held_nano"]) == 0
    assert budget - int(row["cost_nano"]) < hold
    refused = next(answer for answer in answers if answer.status == 402)
    assert refused.error["code"] == "budget_exceeded"
    for said in ("ten", "limit", "spent", "held"):
        assert said in refused.error["message"]


def test_a_limit_is_set_where_the_caller_sets_none(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.create_key("five-cents", "--budget", "0.05")
    answer = gateway.chat(key)
    assert answer.status == 200
    limit = upstream.received[0].json["max_completion_tokens"]
    assert 16 < limit < 16_384
    assert limit * 14_000 <= 50_000_000
    assert "max_completion_tokens" not in json.dumps(answer.json)


def test_without_a_budget_nothing_is_set(gateway: Gateway, upstream: Upstream) -> None:
    gateway.chat()
    assert "max_completion_tokens" not in upstream.received[0].json


def test_an_exhausted_budget_sends_nothing(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.create_key("broke", "--budget", "0.0000001")
    answer = gateway.chat(key)
    assert answer.status == 402
    assert upstream.received == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "openai/my-own-model"}, 403),
        ({"tools": [{"type": "web_search"}]}, 403),
        ({"web_search_options": {}}, 403),
        ({"models": ["gpt-5.2-pro"]}, 403),
    ],
)
def test_what_has_no_bound_is_refused_on_a_budget(
    fields: dict[str, object], status: int, gateway: Gateway, upstream: Upstream
) -> None:
    key = gateway.create_key("bounded", "--budget", "1")
    answer = gateway.chat(key, **fields)
    assert (answer.status, answer.error["code"]) == (status, "not_allowed")
    assert upstream.received == []


def test_an_unknown_price_is_said_and_never_zero(gateway: Gateway, upstream: Upstream) -> None:
    answer = gateway.chat(model="openai/my-own-model")
    assert answer.status == 200
    assert answer.headers["x-komeet-cost"] == "unpriced"
    row = next(row for row in gateway.usage("--by", "model") if row["model"] == "openai/my-own-model")
    assert row["unpriced"] == 1


def test_a_stream_on_a_budget(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.create_key("stream", "--budget", "1")
    upstream.answer = lambda _: stream(delta("Hi"), delta(finish="stop"), event(choices=[], usage=usage(10, 2)), DONE)
    assert gateway.chat(key, stream=True).status == 200
    row = next(row for row in gateway.usage("--by", "key") if row["key"] == "stream")
    assert int(row["cost_nano"]) == 10 * 1_750 + 2 * 14_000
