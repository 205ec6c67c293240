"""`Idempotency-Key` with the real command: one execution, one bill, whatever is sent again, by whomever, to whom."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import select
from tests.whole.gateway import Answer, Gateway, komeet
from tests.whole.processes import at, serving, until
from tests.whole.upstream import DONE, HELLO, Received, Step, Upstream, delta, event, stream, usage, whole

from komeet.store.request_log import recent_requests
from komeet.store.tables import idempotency

CALL: dict[str, Any] = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def running(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("once"), at(shared_upstream)) as running:
        yield running


def send(gateway: Gateway, name: str, key: str | None = None, **fields: Any) -> Answer:
    headers = {"Idempotency-Key": name, "x-request-id": "req_forged"}
    return gateway.request("POST", "/v1/chat/completions", json.dumps(CALL | fields).encode(), headers, key)


def test_a_call_that_is_sent_again_is_answered_again(running: Gateway, upstream: Upstream) -> None:
    key = running.create_key("again")
    with openai.OpenAI(base_url=running.url, api_key=key, max_retries=0) as connection:
        client: Any = connection
        headers = {"Idempotency-Key": "order-1"}
        raw = [client.chat.completions.with_raw_response.create(**CALL, extra_headers=headers) for _ in range(3)]
    assert [each.headers.get("idempotent-replayed") for each in raw] == [None, "true", "true"]
    assert len({each.text for each in raw}) == 1
    assert raw[1].parse().choices[0].message.content == raw[0].parse().choices[0].message.content
    assert len(upstream.received) == 1
    until(lambda: len(_records(running, key)) == 3)
    first, *replays = sorted(_records(running, key), key=lambda each: each[0])
    assert first[1] == ""
    assert first[2] > 0
    assert [(each[1], each[2]) for each in replays] == [(raw[0].headers["x-request-id"], 0)] * 2
    row = next(row for row in running.usage("--by", "key") if row["key"] == "again")
    assert int(row["cost_nano"]) == first[2]


def _records(gateway: Gateway, key: str) -> list[tuple[int, str, int]]:
    hint = key[-4:]
    keys = {row["id"] for row in json.loads(_keys(gateway)) if row["hint"] == hint}
    return [
        (each.at, each.replay_of, each.cost) for each in recent_requests(gateway.files.requests) if each.key_id in keys
    ]


def _keys(gateway: Gateway) -> str:
    return komeet("key", "list", "--json", data_dir=gateway.data_dir).stdout


def test_of_many_at_once_one_is_executed(running: Gateway, upstream: Upstream) -> None:
    """M4: colliding names, from both workers at once."""
    release = threading.Event()

    def holding(_: Received) -> Iterator[Step]:
        release.wait(30)
        yield from whole(HELLO)

    upstream.answer = holding
    with ThreadPoolExecutor(12) as pool:
        pending = [pool.submit(send, running, "at-once") for _ in range(12)]
        until(lambda: sum(call.done() for call in pending) == 11)
        release.set()
        answers = [call.result() for call in pending]
    assert sorted(answer.status for answer in answers) == [200, *[409] * 11]
    assert {answer.error["code"] for answer in answers if answer.status == 409} == {"idempotency_conflict"}
    assert len(upstream.received) == 1
    assert send(running, "at-once").headers["idempotent-replayed"] == "true"


def test_the_same_name_means_nothing_to_another_tenant(running: Gateway, upstream: Upstream) -> None:
    """M4: no answer crosses from one key to another, and each pays for its own."""
    keys = [running.create_key(name) for name in ("tenant-a", "tenant-b")]
    upstream.answer = lambda _: whole(HELLO | {"id": f"chatcmpl-{len(upstream.received)}"})
    answers = [send(running, "the-same", key) for key in keys]
    assert [answer.status for answer in answers] == [200, 200]
    assert "idempotent-replayed" not in answers[1].headers
    assert answers[0].json["id"] != answers[1].json["id"]
    assert len(upstream.received) == 2
    rows = {row["key"]: int(row["cost_nano"]) for row in running.usage("--by", "key")}
    assert rows["tenant-a"] == rows["tenant-b"] > 0
    other = send(running, "the-same", keys[0], temperature=1)
    assert (other.status, other.error["code"]) == (400, "idempotency_key_reused")


def test_ids_that_callers_forge_hide_no_bill(running: Gateway, upstream: Upstream) -> None:
    """M4: the id of a call is ours, whatever the caller sends as `x-request-id`."""
    key = running.create_key("forger")
    ids = {send(running, f"name-{number}", key).headers["x-request-id"] for number in range(3)}
    assert len(ids) == 3
    assert "req_forged" not in ids
    assert all(running.outcome(each).cost > 0 for each in ids)
    assert len(upstream.received) == 3


def test_a_short_stream_is_streamed_again(running: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: stream(delta("Hi"), delta(finish="stop"), event(choices=[], usage=usage(5, 2)), DONE)
    first, second = send(running, "stream", stream=True), send(running, "stream", stream=True)
    assert first.body == second.body
    assert second.body.endswith(DONE)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["transfer-encoding"] == "chunked"
    assert len(upstream.received) == 1


def test_a_worker_that_dies_releases_its_call_and_answers_outlive_it(shared_upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, at(shared_upstream, workers=1)) as gateway:
        shared_upstream.answer = lambda _: whole(HELLO)
        assert send(gateway, "before").status == 200
        shared_upstream.received.clear()
        release = threading.Event()

        def holding(_: Received) -> Iterator[Step]:
            release.wait(30)
            yield from whole(HELLO)

        shared_upstream.answer = holding
        (pid,) = serving(gateway, 1)
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(send, gateway, "during")
            until(lambda: len(shared_upstream.received) == 1)
            os.kill(pid, signal.SIGKILL)
            assert pending.exception(30) is not None
        release.set()
        shared_upstream.answer = lambda _: whole(HELLO)

        def again() -> bool:
            try:
                return send(gateway, "during").status == 200
            except OSError:
                return False

        until(again)
        assert send(gateway, "before").headers["idempotent-replayed"] == "true"
        with gateway.files.requests.connect() as connection:
            states = connection.execute(select(idempotency.c.state)).scalars().all()
        assert states == ["done", "done"]
