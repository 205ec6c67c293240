"""Google's Gemini as callers speak it: addresses, keys, both forms of streams, errors, counting; whoever answers."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.scripted import SCENES, Script
from tests.whole.upstream import Close, Received, Upstream, whole

HI: Final[dict[str, Any]] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
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

    def ask(
        self,
        model: str,
        verb: str = "generateContent",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        version: str = "v1beta",
        **fields: Any,
    ) -> Answer:
        path = f"/{version}/models/{model}:{verb}{query}"
        return self.gateway.request("POST", path, json.dumps({**HI, **fields}).encode(), headers, key)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream() as upstream:
        providers = [
            {"name": name, "base_url": upstream.url, "formats": [spoken], "api_key": "sk-upstream-canary"}
            for name, spoken in PROVIDERS.items()
        ]
        with Gateway(tmp_path_factory.mktemp("gemini"), config={"providers": providers}) as gateway:
            yield Stage(gateway, upstream)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.upstream.answer = Script().answer
    running.upstream.received.clear()
    return running


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_answers_and_is_charged(stage: Stage, provider: str, version: str) -> None:
    answer = stage.ask(f"{provider}/scripted", version=version)
    assert answer.status == 200, answer.body
    assert answer.headers["x-komeet-provider"] == provider
    calls = [
        part["functionCall"] for part in answer.json["candidates"][0]["content"]["parts"] if "functionCall" in part
    ]
    assert [call["name"] for call in calls] == ["get_weather", "get_time"]
    ended = stage.gateway.outcome(answer.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.cache_read, ended.usage.output) == (100, 40, 20)


@pytest.mark.parametrize("query", ["?alt=sse", ""])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_comes_as_events_or_as_one_array(stage: Stage, provider: str, query: str) -> None:
    answer = stage.ask(f"{provider}/scripted", "streamGenerateContent", query)
    assert answer.status == 200
    if query:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.body.decode().split("\r\n\r\n")
        said = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    else:
        assert answer.headers["content-type"] == "application/json"
        said = answer.json
    parts = [part for each in said for part in each["candidates"][0]["content"].get("parts", ())]
    assert "".join(part["text"] for part in parts if part.get("thought")) == SCENES[0].reasoning
    assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == ["get_weather", "get_time"]
    assert said[-1]["candidates"][0]["finishReason"] == "STOP"
    ended = stage.gateway.outcome(answer.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.output) == (100, 20)


def _cut(request: Received) -> Any:
    return [*Script().answer(request)[:3], Close()]


@pytest.mark.parametrize("query", ["?alt=sse", ""])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_breaks_ends_in_an_error_that_can_be_read(stage: Stage, provider: str, query: str) -> None:
    stage.upstream.answer = _cut
    answer = stage.ask(f"{provider}/scripted", "streamGenerateContent", query)
    last = json.loads(answer.body.decode().strip().rpartition("data: ")[2]) if query else answer.json[-1]
    assert last["error"]["code"] >= 500
    assert b"finishReason" not in answer.body


@pytest.mark.parametrize("where", ["x-goog-api-key", "query", "bearer"])
def test_a_key_is_taken_as_googles_libraries_send_it_and_goes_no_further(stage: Stage, where: str) -> None:
    key = stage.gateway.key
    query = f"?key={key}" if where == "query" else ""
    headers = {"x-goog-api-key": key} if where == "x-goog-api-key" else {}
    answer = stage.ask("g/scripted", query=query, headers=headers, key=key if where == "bearer" else "")
    assert answer.status == 200
    assert key not in str(stage.upstream.received[-1])
    assert stage.upstream.received[-1].headers["x-goog-api-key"] == "sk-upstream-canary"
    assert stage.ask("g/scripted", query="?key=sk-km-nobody", key="").status == 401
    assert key not in stage.gateway.errors()


@pytest.mark.parametrize(
    ("model", "verb", "fields", "status", "said"),
    [
        ("%20nobody", "generateContent", {}, 404, "NOT_FOUND"),
        ("g/scripted", "batchEmbedContents", {}, 404, "NOT_FOUND"),
        ("g/scripted", "generateContent", {"contents": 7}, 400, "INVALID_ARGUMENT"),
        ("g/scripted", "generateContent", {"generationConfig": {"maxOutputTokens": "x"}}, 400, "INVALID_ARGUMENT"),
        ("m/scripted", "generateContent", {"generationConfig": {"candidateCount": 2}}, 400, "INVALID_ARGUMENT"),
        ("m/scripted", "generateContent", {"cachedContent": "cachedContents/1"}, 422, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_wrong_is_said_in_googles_words(
    stage: Stage, model: str, verb: str, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = stage.ask(model, verb, **fields)
    assert (answer.status, answer.json["error"]["status"], answer.json["error"]["code"]) == (status, said, status)
    assert answer.json["error"]["message"]
    assert stage.upstream.received == []


def test_a_refusal_of_another_format_is_said_in_googles_words(stage: Stage) -> None:
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too many"}}
    stage.upstream.answer = lambda _: whole(refusal, status=400)
    answer = stage.ask("m/scripted")
    assert answer.status == 400
    assert answer.json["error"]["message"] == "messages: too many"
    assert answer.json["error"]["status"] == "INVALID_ARGUMENT"


def test_tokens_are_counted_by_google_or_here(stage: Stage) -> None:
    stage.upstream.answer = lambda _: whole({"totalTokens": 17, "totalBillableCharacters": 3})
    answer = stage.ask("g/scripted", "countTokens")
    assert (answer.status, answer.json["totalTokens"]) == (200, 17)
    assert stage.upstream.received[-1].target == "/v1/models/scripted:countTokens"
    here = stage.ask("m/scripted", "countTokens")
    assert here.headers["x-komeet-usage"] == "estimated"
    assert 0 < here.json["totalTokens"] < 50
    stage.upstream.answer = Script().answer
    stage.gateway.outcome(stage.ask("g/scripted").headers["x-request-id"])  # rows are written in their order
    assert not any(stage.gateway.held(each.headers["x-request-id"]) for each in (answer, here))


def test_a_model_with_a_slash_in_its_name_may_be_written_either_way(stage: Stage) -> None:
    stage.upstream.answer = lambda _: whole({"candidates": [], "promptFeedback": {"blockReason": "SAFETY"}})
    for written in ("g/vendor/model", "g%2Fvendor%2Fmodel"):
        assert stage.ask(written).status == 200
        assert stage.upstream.received[-1].target == "/v1/models/vendor/model:generateContent"
