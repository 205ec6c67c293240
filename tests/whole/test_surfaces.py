"""Every surface of calls, in the shapes, statuses and headers of its own format, whoever answers behind it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.scripted import SCENES, Script
from tests.whole.upstream import DONE, HELLO, STREAM, Close, Received, Upstream, chunk, delta, stream, whole

USER: Final[list[dict[str, Any]]] = [{"role": "user", "content": "Hi"}]
CALLS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "chat": ("/v1/chat/completions", {"messages": USER}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "messages": ("/v1/messages", {"messages": USER, "max_tokens": 50}),
    "count": ("/v1/messages/count_tokens", {"messages": USER}),
}
PROVIDERS: Final = {
    "c": "openai_chat",
    "r": "openai_responses",
    "m": "anthropic_messages",
    "g": "gemini",
    "b": "bedrock_converse",
}


class Stage:
    """A running Komeet with a provider of each format at one address."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def ask(self, surface: str, model: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        path, body = CALLS[surface]
        return self.gateway.request("POST", path, json.dumps({"model": model, **body, **fields}).encode(), headers)

    @property
    def sent(self) -> Received:
        """The last request of the provider."""
        return self.upstream.received[-1]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream() as upstream:
        providers: list[dict[str, Any]] = [
            {"name": name, "base_url": upstream.url, "formats": [spoken], "api_key": "sk-upstream-canary"}
            for name, spoken in PROVIDERS.items()
        ]
        strict = {"name": "strict", "base_url": upstream.url, "formats": ["openai_responses"], "losses": "refuse"}
        config = {"providers": [*providers, strict]}
        with Gateway(tmp_path_factory.mktemp("surfaces"), config=config) as gateway:
            yield Stage(gateway, upstream)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.upstream.answer = Script().answer
    running.upstream.received.clear()
    return running


def shape(answer: Answer) -> set[str]:
    return set(answer.json["error"])


@pytest.mark.parametrize(
    ("surface", "status"), [("chat", 404), ("completions", 404), ("responses", 400), ("messages", 404), ("count", 404)]
)
def test_a_model_that_nobody_offers_is_refused_as_each_format_does(stage: Stage, surface: str, status: int) -> None:
    answer = stage.ask(surface, " nobody")
    assert answer.status == status
    if surface in ("messages", "count"):
        assert answer.json["type"] == "error"
        assert answer.json["error"]["type"] == "not_found_error"
    else:
        assert answer.error["code"] == "model_not_found"
        assert answer.error["param"] == "model"
    assert stage.upstream.received == []


@pytest.mark.parametrize("surface", CALLS)
def test_a_body_that_is_no_call_is_refused_in_the_shape_of_the_surface(stage: Stage, surface: str) -> None:
    answer = stage.gateway.request("POST", CALLS[surface][0], b'{"model": "c/m", "messages": 7, "input": 7}')
    assert answer.status == 400
    ours = surface in ("messages", "count")
    assert shape(answer) == ({"type", "message"} if ours else {"message", "type", "param", "code"})
    assert "x-request-id" in answer.headers
    assert answer.headers.get("request-id") == (answer.headers["x-request-id"] if ours else None)


@pytest.mark.parametrize("surface", CALLS)
def test_a_wrong_method_is_refused_in_the_shape_of_the_surface(stage: Stage, surface: str) -> None:
    answer = stage.gateway.request("PUT", CALLS[surface][0], b"{}")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")


def test_a_key_is_taken_as_anthropics_library_sends_it(stage: Stage) -> None:
    path, body = CALLS["messages"]
    told = json.dumps({"model": "m/x", **body}).encode()
    for headers in ({"x-api-key": stage.gateway.key}, {"x-api-key": stage.gateway.key, "Authorization": "Bearer sk-x"}):
        answer = stage.gateway.request("POST", path, told, headers, key="")
        assert answer.status == 200
        assert stage.gateway.key not in str(stage.sent)
    assert stage.gateway.request("POST", path, told, {"x-api-key": "sk-km-nobody"}, key="").status == 401


@pytest.mark.parametrize(("version", "header"), [("2023-06-01", "x-api-key"), ("2026-10-21", "authorization")])
def test_both_versions_of_messages_are_handed_on_with_the_key_as_they_take_it(
    stage: Stage, version: str, header: str
) -> None:
    path, body = CALLS["messages"]
    answer = stage.gateway.request(
        "POST",
        f"{path}?beta=true",
        json.dumps({"model": "m/x", **body, "system": None}).encode(),
        {"anthropic-version": version, "anthropic-beta": "a,b", "x-private": "1"},
    )
    assert answer.status == 200
    assert stage.sent.headers["anthropic-version"] == version
    assert stage.sent.headers["anthropic-beta"] == "a,b"
    assert "x-private" not in stage.sent.headers
    assert {name for name, value in stage.sent.headers.items() if "sk-upstream-canary" in value} == {header}


def test_the_new_version_of_messages_knows_no_sampling_parameters(stage: Stage) -> None:
    answer = stage.ask("messages", "c/x", {"anthropic-version": "2026-10-21"}, temperature=1)
    assert answer.status == 400
    assert answer.json["error"]["message"] == "temperature: Extra inputs are not permitted"
    assert stage.ask("messages", "c/x", temperature=1).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_needs_a_store_of_responses_is_refused(stage: Stage, fields: dict[str, Any]) -> None:
    answer = stage.ask("responses", "r/x", **fields)
    assert answer.status == 400
    assert answer.error["param"]
    assert stage.upstream.received == []


def test_a_provider_of_responses_is_told_to_keep_nothing(stage: Stage) -> None:
    assert stage.ask("responses", "r/x").status == 200
    assert stage.sent.json == {"model": "x", "input": "Hi", "store": False}


@pytest.mark.parametrize("surface", ["chat", "completions", "responses", "messages"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_surface_is_answered_and_charged_whoever_answers(stage: Stage, surface: str, provider: str) -> None:
    answer = stage.ask(surface, f"{provider}/scripted")
    assert answer.status == 200
    assert answer.headers["x-komeet-provider"] == provider
    ended = stage.gateway.outcome(answer.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.cache_read, ended.usage.output) == (100, 40, 20)
    streamed = stage.ask(surface, f"{provider}/scripted", stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    ended = stage.gateway.outcome(streamed.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.cache_read, ended.usage.output) == (100, 40, 20)


def test_tokens_are_counted_by_the_provider_or_here(stage: Stage) -> None:
    stage.upstream.answer = lambda _: whole({"input_tokens": 17})
    answer = stage.ask("count", "m/x", tools=[], max_tokens=5)
    assert (answer.status, answer.json) == (200, {"input_tokens": 17})
    assert stage.sent.target == "/v1/messages/count_tokens"
    assert stage.sent.json == {"model": "x", "messages": USER, "tools": []}
    here = stage.ask("count", "c/x")
    assert here.headers["x-komeet-usage"] == "estimated"
    assert 0 < here.json["input_tokens"] < 50
    assert len(stage.upstream.received) == 1
    stage.upstream.answer = Script().answer
    stage.gateway.outcome(stage.ask("chat", "c/x").headers["x-request-id"])  # rows are written in their order
    assert not any(stage.gateway.held(each.headers["x-request-id"]) for each in (answer, here))


def test_a_call_that_would_lose_something_is_refused_where_that_is_the_policy(stage: Stage) -> None:
    answer = stage.ask("chat", "strict/x", stop=["END"])
    assert answer.status == 422
    assert answer.error["param"] == "stop"
    assert stage.upstream.received == []
    adapted = stage.ask("chat", "r/x", stop=["END"])
    assert (adapted.status, adapted.headers["x-komeet-loss"]) == (200, "stop")


def test_content_that_a_format_cannot_carry_is_refused_and_nothing_is_sent(stage: Stage) -> None:
    sound = [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    answer = stage.ask("chat", "m/x", messages=[{"role": "user", "content": sound}])
    assert answer.status == 422
    assert answer.error["code"] == "unrepresentable"
    assert stage.upstream.received == []


def test_several_answers_are_refused_where_the_provider_gives_one(stage: Stage) -> None:
    answer = stage.ask("chat", "m/x", n=2)
    assert (answer.status, answer.error["param"]) == (400, "n")
    assert stage.upstream.received == []


def test_a_refusal_is_said_in_the_format_of_the_caller(stage: Stage) -> None:
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too many"}}
    stage.upstream.answer = lambda _: whole(refusal, status=400)
    answer = stage.ask("chat", "m/x")
    assert (answer.status, answer.error["message"]) == (400, "messages: too many")
    stage.upstream.answer = lambda _: whole({"error": {"message": "Bad 'input'.", "type": "x", "param": "input"}}, 400)
    answer = stage.ask("messages", "r/x")
    assert answer.json == {"type": "error", "error": {"type": "invalid_request_error", "message": "Bad 'input'."}}


def _cut(request: Received) -> Any:
    """Break the provider's stream off after its first words, in its own format."""
    steps = Script().answer(request)
    return [*steps[: min(6, len(steps) - 2)], Close()]


@pytest.mark.parametrize("surface", ["chat", "responses", "messages"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_breaks_ends_in_an_error_of_the_callers_format(stage: Stage, surface: str, provider: str) -> None:
    stage.upstream.answer = _cut
    body = stage.ask(surface, f"{provider}/scripted", stream=True).body
    assert b"error" in body
    for end in (b"[DONE]", b"response.completed", b"message_stop"):
        assert end not in body


def test_usage_that_no_provider_reports_is_counted_before_the_stream_ends(stage: Stage) -> None:
    stage.upstream.answer = lambda _: stream(delta("Hello"), delta(finish="stop"), DONE)
    answer = stage.ask("messages", "c/x", stream=True)
    ended = stage.gateway.outcome(answer.headers["x-request-id"])
    assert ended.estimated
    last = json.loads(answer.body.split(b"event: message_delta\ndata: ")[1].splitlines()[0])
    assert last["usage"]["output_tokens"] == ended.usage.output > 0
    assert last["usage"]["input_tokens"] == ended.usage.input > 0


def test_a_wrapped_seal_never_reaches_a_provider_of_the_callers_own_format(stage: Stage) -> None:
    first = stage.ask("messages", "r/x")
    thought = first.json["content"][0]
    assert thought["thinking"] == SCENES[0].reasoning
    turns = [*USER, {"role": "assistant", "content": [thought, {"type": "text", "text": "Well."}]}, *USER]
    answer = stage.ask("messages", "m/x", messages=turns)
    assert answer.status == 200
    assert answer.headers["x-komeet-loss"]
    assert b"komeet-seal" not in stage.sent.body
    back = stage.ask("messages", "r/x", messages=turns)
    assert back.status == 200
    assert SCENES[0].seal.encode() in stage.sent.body


def test_a_provider_that_does_not_stream_is_read_all_the_same(stage: Stage) -> None:
    stage.upstream.answer = lambda _: whole(HELLO)
    body = stage.ask("messages", "c/x", stream=True).body
    assert b'"text":"Hello."' in body
    assert body.rstrip().endswith(b'{"type":"message_stop"}')
    stage.upstream.answer = lambda _: [STREAM, chunk(delta("Hello.") + delta(finish="stop") + DONE), chunk(b"")]
    assert stage.ask("messages", "c/x").json["content"] == [{"type": "text", "text": "Hello."}]
