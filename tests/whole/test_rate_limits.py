"""Rate limits with the real command: exact over its workers, told as OpenAI tells them, and given back."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.whole.gateway import Gateway, komeet, towards
from tests.whole.processes import at, serving, until
from tests.whole.upstream import HELLO, Received, Step, Upstream, usage, whole

RULES: list[dict[str, Any]] = [
    {"scope": "provider", "match": ["openai"], "requests_per_day": 500},
    {"scope": "key", "tag": "batch", "requests_per_day": 2},
    {"scope": "key", "match": ["ten"], "requests_per_day": 10},
]


@pytest.fixture(scope="module")
def limited(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Komeet with two workers, and limits."""
    shared_upstream.answer = lambda _: whole(HELLO | {"usage": usage(9, 4)})
    config = at(shared_upstream) | {"limits": RULES}
    with Gateway(tmp_path_factory.mktemp("limits"), config) as running:
        yield running


def client(gateway: Gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0)


def test_the_library_of_openai_reads_its_limits(limited: Gateway, upstream: Upstream) -> None:
    key = limited.create_key("a", "--rpm", "3", "--tpm", "2000")
    call: Any = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 100}
    with client(limited, key) as connection:
        its: Any = connection
        raw = its.chat.completions.with_raw_response.create(**call)
        assert raw.headers["x-ratelimit-limit-requests"] == "3"
        assert raw.headers["x-ratelimit-remaining-requests"] == "2"
        assert raw.headers["x-ratelimit-reset-requests"] == "20s"
        assert raw.headers["x-ratelimit-limit-tokens"] == "2000"
        assert 1_800 < int(raw.headers["x-ratelimit-remaining-tokens"]) < 1_900
        streamed = its.chat.completions.with_raw_response.create(**call, stream=True)
        assert streamed.headers["x-ratelimit-remaining-requests"] == "1"
        its.chat.completions.create(**call)
        with pytest.raises(openai.RateLimitError) as refused:
            its.chat.completions.create(**call)
    assert refused.value.code == "rate_limit_exceeded"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 20
    for said in ("3 requests per minute", "the key a", "3 are used", "room again in"):
        assert said in refused.value.message
    with anthropic.Anthropic(base_url=limited.url.removesuffix("/v1"), api_key=key, max_retries=0) as other:
        with pytest.raises(anthropic.RateLimitError) as told:
            other.messages.create(model="gpt-5.2", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
        assert "3 requests per minute" in told.value.message


def test_exactly_as_many_as_it_says_over_all_workers(limited: Gateway, upstream: Upstream) -> None:
    serving(limited, 2)
    key = limited.create_key("ten")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(limited.chat, [key] * 60))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (10, 50)
    assert len(upstream.received) == 10
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"10"}


def test_what_the_file_says_of_a_tag_holds_for_each_key_for_itself(limited: Gateway, upstream: Upstream) -> None:
    keys = [limited.create_key(name, "--tag", "batch") for name in "bc"]
    statuses = [[limited.chat(key).status for _ in range(3)] for key in keys]
    assert statuses == [[200, 200, 429]] * 2


def test_a_call_may_wait_for_its_turn(limited: Gateway, upstream: Upstream) -> None:
    key = limited.create_key("patient", "--rpm", "60", "--wait", "30")
    with ThreadPoolExecutor(62) as pool:
        begun = time.monotonic()
        answers = list(pool.map(limited.chat, [key] * 62))
    assert {answer.status for answer in answers} == {200}
    assert time.monotonic() - begun > 1


def test_a_change_holds_for_workers_that_run(limited: Gateway, upstream: Upstream) -> None:
    key = limited.create_key("changing")
    assert "x-ratelimit-limit-requests" not in limited.chat(key).headers
    changed = komeet("key", "limit", "changing", "--rpd", "1", data_dir=limited.data_dir)
    assert "1 requests per day" in changed.stdout
    told = "x-ratelimit-limit-requests"
    until(lambda: (last := limited.chat(key)).status == 429 and last.headers.get(told) == "1")  # by each worker


def test_what_a_killed_worker_had_under_way_counts_no_more(shared_upstream: Upstream, tmp_path: Path) -> None:
    release = threading.Event()

    def holding(_: Received) -> Iterator[Step]:
        release.wait(30)
        yield from whole(HELLO)

    shared_upstream.answer = holding
    shared_upstream.received.clear()
    with Gateway(tmp_path, at(shared_upstream, workers=2)) as gateway:
        key = gateway.create_key("one", "--concurrent", "2")
        pids = serving(gateway, 2)
        with ThreadPoolExecutor(2) as pool:
            pending = [pool.submit(gateway.chat, key) for _ in range(2)]
            until(lambda: len(shared_upstream.received) == 2)
            refused = gateway.chat(key)
            assert refused.status == 429
            assert "2 calls at once" in refused.error["message"]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            for call in pending:
                assert call.exception(30) is not None
        release.set()
        until(lambda: gateway.errors().count("takes connections") >= 3)
        until(lambda: gateway.chat(key).status == 200)


def test_limits_survive_a_start(shared_upstream: Upstream, tmp_path: Path) -> None:
    shared_upstream.answer = lambda _: whole(HELLO)
    config = towards(shared_upstream.url) | {"embedded": {"enabled": False}, "limits": [RULES[1] | {"tag": "t"}]}
    gateway = Gateway(tmp_path, config)
    with gateway:
        key = gateway.create_key("t", "--tag", "t")
        assert [gateway.chat(key).status for _ in range(3)] == [200, 200, 429]
    gateway.port = 0
    with gateway:
        assert gateway.chat(key).status == 429
