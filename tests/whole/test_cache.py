"""The response cache with the real command: who gets which answer once more, in which form, and what it costs."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.whole.gateway import ONCE, Answer, Gateway
from tests.whole.processes import until
from tests.whole.upstream import DONE, HELLO, Received, Step, Upstream, delta, event, stream, usage, whole

from komeet.canonical.record import CallRecord
from komeet.store.request_log import find_request

CHAT = "/v1/chat/completions"


def config(upstream: Upstream, **cache: Any) -> dict[str, Any]:
    """One worker, so that what is kept is there for the next call of the test."""
    provider = {
        "name": "openai",
        "base_url": upstream.url,
        "api_key": "sk-upstream-canary",
        "formats": ["openai_chat", "openai_embeddings"],
    }
    return {
        "providers": [provider],
        "failover": ONCE,
        "server": {"workers": 1},
        "cache": {"on_request": True, **cache},
        "routes": [{"name": "smart", "groups": [{"candidates": [{"model": "gpt-5.2"}]}], "cache": {"ttl_seconds": 60}}],
    }


@pytest.fixture(scope="module")
def running(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("cache"), config(shared_upstream)) as running:
        yield running
        assert running.audit() == []


def ask(
    gateway: Gateway, text: str, key: str | None = None, *, how: str | None = "use", ttl: int | None = None, **more: Any
) -> Answer:
    body = {"model": "gpt-5.2", "messages": [{"role": "user", "content": text}]} | more
    headers = {} if how is None else {"x-komeet-cache": how}
    if ttl is not None:
        headers["x-komeet-cache-ttl"] = str(ttl)
    return gateway.request("POST", CHAT, json.dumps(body).encode(), headers, key)


def verdict(answer: Answer) -> str | None:
    return answer.headers.get("x-komeet-cache")


def logged(gateway: Gateway, answer: Answer) -> CallRecord:
    """What the request log says of a call."""
    found: list[CallRecord] = []

    def there() -> bool:
        record = find_request(gateway.files.requests, answer.headers["x-request-id"])
        found[:] = [] if record is None else [record]
        return bool(found)

    until(there)
    return found[0]


def counter(gateway: Gateway, name: str) -> float:
    said = gateway.request("GET", "/metrics").body.decode()
    return float(next(line.rpartition(" ")[2] for line in said.splitlines() if line.startswith(f"{name} ")))


def test_the_same_call_is_answered_once_more_and_costs_nothing(running: Gateway, upstream: Upstream) -> None:
    before = counter(running, "komeet_cache_hits_total"), counter(running, "komeet_cache_saved_nanodollars_total")
    first = ask(running, "same")
    holds = running.holds()
    second = ask(running, "same")
    assert (verdict(first), verdict(second)) == ("miss", "hit")
    assert second.body == first.body
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-komeet-provider"] == "openai"
    assert float(second.headers["x-komeet-cost"]) == 0
    assert 0 <= int(second.headers["age"]) < 60
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(upstream.received) == 1
    assert running.holds() == holds
    paid, free = logged(running, first), logged(running, second)
    assert (paid.cache, paid.saved, paid.attempts) == ("miss", 0, 1)
    assert (free.cache, free.saved, free.cost, free.attempts) == ("hit", paid.cost, 0, 0)
    assert free.saved > 0
    assert free.replay_of == paid.request_id
    assert free.model_served == paid.model_served
    assert counter(running, "komeet_cache_hits_total") == before[0] + 1
    assert counter(running, "komeet_cache_saved_nanodollars_total") == before[1] + paid.cost


def test_what_was_saved_is_shown(running: Gateway, upstream: Upstream) -> None:
    key = running.create_key("saver")
    first, second = ask(running, "save", key), ask(running, "save", key)
    assert (verdict(first), verdict(second)) == ("miss", "hit")
    assert logged(running, second).saved == logged(running, first).cost > 0
    said = running.command("usage", "savings", "--by", "key", "--json")
    rows = [row for row in json.loads(said.stdout) if row["cache_hits"] == 1 and row["calls"] == 2]
    assert logged(running, first).cost in [row["cache_saved_nano"] for row in rows]
    assert "answered from the cache" in running.command("usage", "savings").stdout


def test_nobody_who_does_not_ask_gets_an_old_answer(running: Gateway, upstream: Upstream) -> None:
    assert verdict(ask(running, "unasked")) == "miss"
    plain = ask(running, "unasked", how=None)
    assert verdict(plain) is None
    assert "age" not in plain.headers
    assert len(upstream.received) == 2


def test_a_caller_may_go_round_it_or_have_it_renewed(running: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: whole(HELLO | {"id": f"chatcmpl-{len(upstream.received)}"})
    assert ask(running, "renew").json["id"] == "chatcmpl-1"
    around = ask(running, "renew", how="bypass")
    assert (verdict(around), around.json["id"]) == ("bypassed", "chatcmpl-2")
    assert ask(running, "renew").json["id"] == "chatcmpl-1"
    again = ask(running, "renew", how="refresh")
    assert (verdict(again), again.json["id"]) == ("refreshed", "chatcmpl-3")
    until(lambda: ask(running, "renew").json["id"] == "chatcmpl-3")
    assert len(upstream.received) == 3
    wrong = ask(running, "renew", how="always")
    assert (wrong.status, wrong.error["message"]) == (400, "`x-komeet-cache` is one of: use, bypass, refresh.")


def test_an_answer_expires(running: Gateway, upstream: Upstream) -> None:
    assert verdict(ask(running, "old", ttl=1)) == "miss"
    until(lambda: verdict(ask(running, "old", ttl=1)) == "miss")  # by the clock of the real command
    assert len(upstream.received) == 2


def test_a_caller_wants_no_answer_that_is_older_than_it_says(running: Gateway, upstream: Upstream) -> None:
    assert verdict(ask(running, "fresh")) == "miss"
    until(lambda: int(ask(running, "fresh").headers["age"]) >= 1)
    assert len(upstream.received) == 1
    assert verdict(ask(running, "fresh", ttl=1)) == "miss"


def test_a_route_has_its_own(running: Gateway, upstream: Upstream) -> None:
    assert [verdict(ask(running, "route", how=None, model="smart")) for _ in range(2)] == ["miss", "hit"]
    assert len(upstream.received) == 1


STREAMED = [delta("Hel"), delta("lo."), delta(finish="stop"), event(choices=[], usage=usage(5, 2)), DONE]


def test_a_stream_is_streamed_again(running: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: stream(*STREAMED)
    first, second = (ask(running, "stream", stream=True) for _ in range(2))
    assert (verdict(first), verdict(second)) == ("miss", "hit")
    assert second.body == first.body
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["transfer-encoding"] == "chunked"
    assert len(upstream.received) == 1
    assert logged(running, second).saved == logged(running, first).cost > 0


def test_what_came_whole_is_streamed_and_what_was_streamed_comes_whole(running: Gateway, upstream: Upstream) -> None:
    messages: Any = [{"role": "user", "content": "both"}]
    assert verdict(ask(running, "both", messages=messages)) == "miss"
    with openai.OpenAI(base_url=running.url, api_key=running.key, max_retries=0) as connection:
        client: Any = connection
        pieces = list(
            client.chat.completions.create(
                model="gpt-5.2",
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={"x-komeet-cache": "use"},
            )
        )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "Hello."
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (12, 3)
    upstream.answer = lambda _: stream(*STREAMED)
    assert verdict(ask(running, "other way", stream=True)) == "miss"
    whole_one = ask(running, "other way")
    assert verdict(whole_one) == "hit"
    assert whole_one.json["choices"][0]["message"]["content"] == "Hello."
    assert whole_one.json["usage"]["prompt_tokens"] == 5
    assert len(upstream.received) == 2


def test_no_answer_crosses_from_one_tenant_to_another(running: Gateway, upstream: Upstream) -> None:
    """S5: the hit rate between tenants is none, whatever they send, and so is what they learn of each other."""
    upstream.answer = lambda _: whole(HELLO | {"id": f"chatcmpl-{len(upstream.received)}"})
    keys = [running.create_key(f"tenant-{name}") for name in "abc"]
    answers = [ask(running, "tenants", key) for key in keys]
    assert [verdict(answer) for answer in answers] == ["miss"] * 3
    assert len({answer.json["id"] for answer in answers}) == 3
    again = [ask(running, "tenants", key) for key in keys]
    assert [verdict(answer) for answer in again] == ["hit"] * 3
    assert [answer.json["id"] for answer in again] == [answer.json["id"] for answer in answers]


def test_of_many_at_once_one_is_asked(running: Gateway, upstream: Upstream) -> None:
    release = threading.Event()

    def holding(_: Received) -> Iterator[Step]:
        release.wait(30)
        yield from whole(HELLO)

    upstream.answer = holding
    with ThreadPoolExecutor(12) as pool:
        pending = [pool.submit(ask, running, "at once") for _ in range(12)]
        until(lambda: counter(running, "komeet_calls_running") == 12)
        release.set()
        answers = [call.result() for call in pending]
    assert [answer.status for answer in answers] == [200] * 12
    assert sorted(str(verdict(answer)) for answer in answers) == ["hit"] * 11 + ["miss"]
    assert len({answer.body for answer in answers}) == 1
    assert len(upstream.received) == 1


def test_where_the_one_fails_the_others_go_on_by_themselves(running: Gateway, upstream: Upstream) -> None:
    release = threading.Event()

    def failing(received: Received) -> Iterator[Step]:
        if received is upstream.received[0]:
            release.wait(30)
            yield from whole({"error": {"message": "down", "type": "server_error"}}, 500)
        else:
            yield from whole(HELLO)

    upstream.answer = failing
    with ThreadPoolExecutor(6) as pool:
        pending = [pool.submit(ask, running, "fails")]
        until(lambda: len(upstream.received) == 1)
        pending += [pool.submit(ask, running, "fails") for _ in range(5)]
        until(lambda: counter(running, "komeet_calls_running") == 6)
        release.set()
        answers = [call.result() for call in pending]
    assert [answer.status for answer in answers] == [502] + [200] * 5


REFUSED = HELLO | {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"}
    ]
}


def ended(reason: str) -> dict[str, Any]:
    return HELLO | {"choices": [{**HELLO["choices"][0], "finish_reason": reason}]}  # type: ignore[index]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(whole({"error": {"message": "no", "type": "invalid_request_error"}}, 400), id="refused"),
        pytest.param(whole({"error": {"message": "down", "type": "server_error"}}, 500), id="failed"),
        pytest.param(whole(ended("length")), id="cut by a limit"),
        pytest.param(whole(ended("content_filter")), id="filtered"),
        pytest.param(whole(REFUSED), id="declined"),
        pytest.param(whole(HELLO | {"choices": []}), id="empty"),
    ],
)
def test_what_is_no_whole_answer_is_not_kept(
    running: Gateway, upstream: Upstream, answer: list[Step], request: pytest.FixtureRequest
) -> None:
    upstream.answer = lambda _: answer
    verdicts = [verdict(ask(running, request.node.name)) for _ in range(3)]
    assert verdicts == ["miss"] * 3
    assert len(upstream.received) == 3


def test_a_stream_that_was_cut_is_not_kept(running: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: stream(STREAMED[0], STREAMED[1])
    assert [verdict(ask(running, "cut", stream=True)) for _ in range(2)] == ["miss"] * 2
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"store": True},
        {"web_search_options": {}},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a"}}]}
            ]
        },
    ],
    ids=["several answers", "kept by the provider", "a search", "a picture elsewhere"],
)
def test_what_can_differ_by_itself_goes_round_the_cache(
    running: Gateway, upstream: Upstream, more: dict[str, Any]
) -> None:
    assert [verdict(ask(running, "around", **more)) for _ in range(2)] == ["bypassed"] * 2
    assert len(upstream.received) == 2


def test_another_route_of_the_same_name_misses_and_answers_outlive_a_restart(
    shared_upstream: Upstream, upstream: Upstream, tmp_path: Path
) -> None:
    settings = config(shared_upstream, enabled=True, keys=["te*"])
    gateway = Gateway(tmp_path, settings)
    with gateway:
        assert verdict(ask(gateway, "kept", how=None, model="smart")) == "miss"
        other = gateway.create_key("other")
        assert verdict(ask(gateway, "kept", other, how=None)) is None
        assert verdict(ask(gateway, "kept", other)) == "bypassed"
    upstream.received.clear()
    with gateway:
        assert verdict(ask(gateway, "kept", how=None, model="smart")) == "hit"
        assert not upstream.received
    settings["routes"][0]["groups"][0]["candidates"] = [{"model": "gpt-5.2"}, {"model": "gpt-5.1"}]
    with gateway:
        assert verdict(ask(gateway, "kept", how=None, model="smart")) == "miss"
    assert oct((tmp_path / "answers.db").stat().st_mode)[-3:] == "600"


def test_an_organisation_may_share(shared_upstream: Upstream, upstream: Upstream, tmp_path: Path) -> None:
    with Gateway(tmp_path, config(shared_upstream, enabled=True, shared_by="organisation")) as gateway:
        for name in ("a", "b"):
            assert gateway.command("org", "create", name).returncode == 0
        keys = [gateway.create_key(f"k{number}", "--org", name) for number, name in enumerate("aab")]
        assert [verdict(ask(gateway, "shared", key, how=None)) for key in keys] == ["miss", "hit", "miss"]
        narrow = gateway.create_key("narrow", "--org", "a", "--models", "gpt-4*")
        assert ask(gateway, "shared", narrow, how=None).status == 403


def test_a_key_whose_budget_is_spent_still_gets_what_is_there(running: Gateway, upstream: Upstream) -> None:
    key = running.create_key("spent", "--budget", "0.001")
    assert verdict(ask(running, "spent", key, max_completion_tokens=20)) == "miss"
    assert ask(running, "too much", key, max_completion_tokens=100_000).status == 402
    assert verdict(ask(running, "spent", key, max_completion_tokens=20)) == "hit"
    assert len(upstream.received) == 1


def test_without_a_word_of_it_there_is_no_cache(gateway: Gateway, upstream: Upstream) -> None:
    assert [verdict(ask(gateway, "off")) for _ in range(2)] == [None, None]
    assert len(upstream.received) == 2
    assert not (gateway.data_dir / "answers.db").exists()


FORMATS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "messages": (
        "/v1/messages",
        None,
        {"model": "gpt-5.2", "max_tokens": 50, "messages": [{"role": "user", "content": "m"}]},
    ),
    "responses": ("/v1/responses", None, {"model": "gpt-5.2", "input": "r"}),
    "gemini": (
        "/v1beta/models/gpt-5.2:generateContent",
        "/v1beta/models/gpt-5.2:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "g"}]}]},
    ),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("streamed_first", [False, True])
def test_callers_of_every_format_get_it_in_either_form(
    running: Gateway, upstream: Upstream, name: str, streamed_first: bool
) -> None:
    path, stream_path, body = FORMATS[name]
    body = body | ({"user": str(streamed_first)} if name == "responses" else {})
    key = running.create_key(f"{name}-{streamed_first}")

    def call(streamed: bool) -> Answer:
        said = body | ({"stream": True} if streamed and stream_path is None else {})
        address = stream_path if streamed and stream_path is not None else path
        return running.request("POST", address, json.dumps(said).encode(), {"x-komeet-cache": "use"}, key)

    upstream.answer = lambda got: stream(*STREAMED) if got.json.get("stream") else whole(HELLO)
    answers = [call(streamed) for streamed in (streamed_first, not streamed_first, streamed_first, not streamed_first)]
    assert [answer.status for answer in answers] == [200] * 4
    assert [verdict(answer) for answer in answers] == ["miss", "hit", "hit", "hit"]
    assert answers[2].body == answers[0].body
    for answer in answers:
        assert b"Hello." in answer.body or all(piece in answer.body for piece in (b"Hel", b"lo."))
    assert len(upstream.received) == 1


def test_embeddings_are_kept_and_legacy_completions_are_not(running: Gateway, upstream: Upstream) -> None:
    told = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
            "usage": {"prompt_tokens": 2, "total_tokens": 2}}  # fmt: skip
    upstream.answer = lambda _: whole(told)
    body = json.dumps({"model": "text-embedding-3-small", "input": "x"}).encode()
    answers = [running.request("POST", "/v1/embeddings", body, {"x-komeet-cache": "use"}) for _ in range(2)]
    assert [verdict(answer) for answer in answers] == ["miss", "hit"]
    assert answers[0].json == answers[1].json
    assert len(upstream.received) == 1
    upstream.answer = lambda _: whole(HELLO)
    body = json.dumps({"model": "gpt-5.2", "prompt": "x"}).encode()
    assert verdict(running.request("POST", "/v1/completions", body, {"x-komeet-cache": "use"})) == "bypassed"


def test_where_the_one_that_is_asked_leaves_another_goes_on(running: Gateway, upstream: Upstream) -> None:
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "leaves"}]}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: komeet\r\nAuthorization: Bearer {running.key}\r\n"
        f"x-komeet-cache: use\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    release = threading.Event()

    def holding(received: Received) -> Iterator[Step]:
        if received is upstream.received[0]:
            release.wait(30)
        yield from whole(HELLO)

    upstream.answer = holding
    with ThreadPoolExecutor(1) as pool:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: len(upstream.received) == 1)
            pending = pool.submit(running.request, "POST", CHAT, body, {"x-komeet-cache": "use"})
            until(lambda: counter(running, "komeet_calls_running") == 2)
        answer = pending.result(30)
        release.set()
    assert (answer.status, verdict(answer)) == (200, "miss")
    assert len(upstream.received) == 2


def test_a_name_for_a_call_goes_along_with_the_cache(running: Gateway, upstream: Upstream) -> None:
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "named"}]}).encode()

    def call(name: str) -> Answer:
        return running.request("POST", CHAT, body, {"x-komeet-cache": "use", "idempotency-key": name})

    first, replay, hit, again = call("n-1"), call("n-1"), call("n-2"), call("n-2")
    assert [verdict(each) for each in (first, replay, hit, again)] == ["miss", None, "hit", "hit"]
    assert replay.headers["idempotent-replayed"] == "true"
    assert len({each.body for each in (first, replay, hit, again)}) == 1
    assert len(upstream.received) == 1


def test_a_stopgap_is_not_kept(shared_upstream: Upstream, upstream: Upstream, tmp_path: Path) -> None:
    settings = config(shared_upstream, enabled=True)
    settings["failover"] = {}
    settings["routes"][0]["groups"][0]["candidates"] = [{"model": "gpt-5.2"}, {"model": "gpt-5.1"}]
    down = whole({"error": {"message": "down", "type": "server_error"}}, 503)
    upstream.answer = lambda got: down if got.json["model"] == "gpt-5.2" else whole(HELLO)
    with Gateway(tmp_path, settings) as gateway:
        answer = ask(gateway, "stopgap", how=None, model="smart")
        assert (answer.status, verdict(answer)) == (200, "miss")
        upstream.answer = lambda _: whole(HELLO)
        assert [verdict(ask(gateway, "stopgap", how=None, model="smart")) for _ in range(2)] == ["miss", "hit"]
