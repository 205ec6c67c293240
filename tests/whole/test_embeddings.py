"""Embeddings and moderations end to end: OpenAI's library in front, providers and the embedded model behind."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import openai
import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.upstream import Received, Step, Upstream, whole

from komeet.ledger.port import State

FLOATS: Final = [0.5, -1.0, 0.25]
FORMATS: Final[Mapping[str, list[str]]] = {
    "openai": ["openai_chat", "openai_embeddings", "openai_moderations"],
    "mistral": ["mistral_embeddings", "mistral_moderations"],
    "google": ["gemini_embeddings"],
    "cohere": ["cohere_embeddings"],
    "chatty": ["openai_chat"],
}
PRICED: Final = {"openai/text-embedding-3-small", "mistral/mistral-embed", "google/gemini-embedding-001"}


def answer(request: Received) -> list[Step]:
    """Every provider's answer; none of them writes base64, whatever it is asked."""
    body = request.json
    match request.target.rpartition("/")[2]:
        case "embeddings":
            inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": FLOATS} for i in range(len(inputs))]
            usage = {"prompt_tokens": 5 * len(inputs), "total_tokens": 5 * len(inputs)}
            return whole({"object": "list", "data": data, "model": "served", "usage": usage})
        case "embed":
            meta = {"billed_units": {"input_tokens": 5 * len(body["texts"])}}
            return whole({"id": "1", "embeddings": {"float": [FLOATS] * len(body["texts"])}, "meta": meta})
        case "moderations":
            result: dict[str, Any] = {"categories": {"sexual": True}, "category_scores": {"sexual": 0.9}}
            return whole({"id": "m-1", "model": "served", "results": [result | {"flagged": True}]})
        case name if name.endswith(":batchEmbedContents"):
            return whole({"embeddings": [{"values": FLOATS}] * len(body["requests"])})
        case _:
            return whole({"error": {"message": f"no {request.target}"}}, status=404)


class Stage:
    """A running Komeet, providers behind it, and a client library in front."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.client = openai.OpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0)

    def post(self, path: str, key: str | None = None, **body: Any) -> Answer:
        return self.gateway.request("POST", f"/v1/{path}", json.dumps(body).encode(), key=key)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream(answer) as upstream:
        providers = [
            {"name": name, "base_url": upstream.url, "formats": formats, "api_key": "sk-upstream-canary"}
            | ({"prices_of": name} if name in ("openai", "mistral", "google", "cohere") else {})
            for name, formats in FORMATS.items()
        ]
        with Gateway(tmp_path_factory.mktemp("embeddings"), config={"providers": providers}) as gateway:
            stage = Stage(gateway, upstream)
            with stage.client:
                yield stage


@pytest.mark.parametrize(
    "model", ["text-embedding-3-small", "mistral/mistral-embed", "google/gemini-embedding-001", "cohere/embed-v4.0"]
)
@pytest.mark.parametrize("encoding", ["base64", "float", None])
def test_openais_library_gets_vectors_from_every_provider(stage: Stage, model: str, encoding: Any) -> None:
    """The library asks for base64 itself, where its caller names no encoding."""
    given = {} if encoding is None else {"encoding_format": encoding}
    made = stage.client.embeddings.create(model=model, input=["a b c", "d e f"], **given)
    vectors: list[Any] = [each.embedding for each in made.data]
    assert vectors == ([FLOATS] * 2 if encoding != "base64" else ["AAAAPwAAgL8AAIA+"] * 2)
    assert [each.index for each in made.data] == [0, 1]
    assert made.usage.prompt_tokens == made.usage.total_tokens > 0


@pytest.mark.parametrize(
    ("model", "tokens", "estimated", "nano"),
    [
        ("openai/text-embedding-3-small", 5, False, 100),  # $0.02 a million
        ("mistral/mistral-embed", 5, False, 500),  # $0.10
        ("google/gemini-embedding-001", 3, True, 450),  # $0.15
        ("cohere/embed-v4.0", 5, False, 600),  # $0.12
    ],
)
def test_a_call_is_metered_and_priced(stage: Stage, model: str, tokens: int, estimated: bool, nano: int) -> None:
    made = stage.post("embeddings", model=model, input="a b c")
    assert made.status == 200
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.state, ended.usage.input, ended.usage.output) == (State.SETTLED, tokens, 0)
    assert (ended.cost, ended.estimated, ended.unpriced) == (nano, estimated, False)
    assert ("x-komeet-usage" in made.headers) is estimated
    assert made.json["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_a_key_with_a_budget_is_held_for_the_input_alone(stage: Stage) -> None:
    """A text of 4 bytes: far below a budget that an answer of a chat model would not fit in."""
    key = stage.gateway.create_key("small", "--budget", "0.0001")
    made = stage.post("embeddings", key, model="openai/text-embedding-3-small", input="a b")
    assert made.status == 200, made.body
    refused = stage.post("embeddings", key, model="openai/text-embedding-3-small", input=["a b"] * 2000)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    assert stage.gateway.audit() == []


def test_the_input_limit_holds_for_each_of_many_inputs(stage: Stage) -> None:
    """2048 texts of 3 kB are more than one context window (8192 tokens), and are held as what they are."""
    key = stage.gateway.create_key("middle", "--budget", "0.01")
    refused = stage.post("embeddings", key, model="openai/text-embedding-3-small", input=["a" * 3000] * 2048)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")


def test_losses_are_declared(stage: Stage) -> None:
    made = stage.post("embeddings", model="google/gemini-embedding-001", input="a", user="u", input_type="query")
    assert made.headers["x-komeet-loss"] == "user"
    assert stage.upstream.received[-1].json["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    assert stage.upstream.received[-1].headers["x-goog-api-key"] == "sk-upstream-canary"


@pytest.mark.parametrize(
    ("status", "code", "param", "body"),
    [
        (400, "empty_string", "input[1]", {"model": "text-embedding-3-small", "input": ["a", ""]}),
        (400, "missing_required_parameter", "model", {"input": "a"}),
        (404, "model_not_found", "model", {"model": " nobody", "input": "a"}),
        (404, "model_not_found", "model", {"model": "chatty/any", "input": "a"}),
        (422, "unrepresentable", "input", {"model": "mistral/mistral-embed", "input": [1, 2]}),
    ],
)
def test_refusals_have_openais_shape(stage: Stage, status: int, code: str, param: str, body: Any) -> None:
    refused = stage.post("embeddings", **body)
    assert (refused.status, refused.error["code"], refused.error["param"]) == (status, code, param)


def test_ids_of_tokens_go_to_providers_that_take_them(stage: Stage) -> None:
    made = stage.client.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]])
    assert [each.embedding for each in made.data] == [FLOATS] * 2
    assert stage.upstream.received[-1].json["input"] == [[1, 2], [3]]


def test_a_chat_model_cannot_be_called_without_a_price_for_its_output(stage: Stage) -> None:
    """A model that has no price for output is priced for embeddings only."""
    key = stage.gateway.create_key("chats", "--budget", "1")
    body = {"model": "openai/text-embedding-3-small", "messages": [{"role": "user", "content": "Hi"}]}
    assert stage.post("chat/completions", key, **body).error["code"] == "not_allowed"


def test_models_that_embed_are_listed(stage: Stage) -> None:
    listed = {each.id for each in stage.client.models.list()}
    assert {"text-embedding-3-small", "mistral-embed", "gemini-embedding-001", "local/wordllama"} & listed >= {
        "text-embedding-3-small"
    }
    assert any(name.endswith("wordllama") for name in listed)


@pytest.mark.parametrize("size", [256, 128, 64])
def test_the_embedded_model_embeds_without_a_key_or_a_network(stage: Stage, size: int) -> None:
    texts = ["a cat sat on the mat", "a kitten was sitting on a rug", "interest rates were raised again"]
    made = stage.client.embeddings.create(model="local/wordllama", input=texts, dimensions=size)
    cat, kitten, rates = (each.embedding for each in made.data)
    assert len(cat) == size
    assert math.isclose(sum(x * x for x in cat), 1, abs_tol=1e-5)
    assert _dot(cat, kitten) > 2 * _dot(cat, rates)
    plain = stage.client.embeddings.create(
        model="local/wordllama", input=texts, dimensions=size, encoding_format="float"
    )
    assert [each.embedding for each in plain.data] == [each.embedding for each in made.data]


def test_the_embedded_model_counts_its_tokens_and_costs_nothing(stage: Stage) -> None:
    made = stage.post("embeddings", model="local/wordllama", input="hello world")
    assert made.json["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert made.headers["x-komeet-cost"] == "0"
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.usage.input, ended.cost, ended.estimated, ended.unpriced) == (2, 0, False, False)


@pytest.mark.parametrize(("field", "value"), [("dimensions", 100), ("input", [1, 2])])
def test_what_the_embedded_model_does_not_take_is_refused(stage: Stage, field: str, value: object) -> None:
    body: dict[str, Any] = {"model": "local/wordllama", "input": "a"}
    body[field] = value
    refused = stage.post("embeddings", **body)
    assert refused.status == 400
    assert refused.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("model", [None, "omni-moderation-latest", "mistral/mistral-moderation-latest"])
def test_openais_library_gets_moderations(stage: Stage, model: str | None) -> None:
    given: dict[str, Any] = {} if model is None else {"model": model}
    made = stage.client.moderations.create(input="something", **given)
    assert (made.id, made.model) == ("m-1", "served")
    assert made.results[0].flagged
    assert made.results[0].categories.sexual
    asked = stage.upstream.received[-1].json
    assert asked["model"] == (model or "omni-moderation-latest").rpartition("/")[2]


def test_openais_moderation_is_known_to_be_free(stage: Stage) -> None:
    key = stage.gateway.create_key("judge", "--budget", "1")
    made = stage.post("moderations", key, input="something")
    assert made.status == 200
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.state, ended.cost, ended.unpriced) == (State.SETTLED, 0, False)


def test_a_moderation_that_is_no_call_is_refused(stage: Stage) -> None:
    refused = stage.post("moderations", input=[])
    assert (refused.status, refused.error["param"]) == (400, "input")


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
