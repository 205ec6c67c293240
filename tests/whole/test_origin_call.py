"""The call that this project began with works, against a provider that refuses `max_tokens` as OpenAI does."""

from pathlib import Path

import pytest
from openai import OpenAI
from tests.whole.gateway import Gateway
from tests.whole.upstream import DONE, HELLO, Received, Step, Upstream, delta, event, stream, usage, whole

REFUSAL = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}


def _openai(request: Received) -> list[Step]:
    body = request.json
    if "max_tokens" in body:
        return whole(REFUSAL, 400)
    if body.get("temperature", 1) != 1 and body.get("reasoning_effort", "none") != "none":
        return whole({"error": REFUSAL["error"] | {"param": "temperature"}}, 400)
    assert request.headers["authorization"] == "Bearer sk-upstream-canary"
    assert request.target == "/v1/chat/completions"
    return whole(HELLO)


def test_the_origin_s_call(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = _openai
    with OpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-5.2",
            messages=[
                {"role": "system", "content": "You are a concise assistant."},
                {"role": "user", "content": "Summarise linear and logistic regression."},
            ],
            max_tokens=300,
            temperature=0.0,
        )
    assert raw.parse().choices[0].message.content == "Hello."
    sent = upstream.received[0].json
    assert sent["max_completion_tokens"] == 300
    assert sent["temperature"] == 0.0
    assert "x-komeet-loss" not in raw.headers
    # 12 in at 1.75 $ and 3 out at 14 $ per million.
    assert raw.headers["x-komeet-cost"] == "0.000063"


def test_what_the_model_does_not_take_is_left_out_and_said(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = _openai
    answer = gateway.chat(max_tokens=10, temperature=0.2, top_p=0.9, reasoning_effort="high")
    assert answer.status == 200
    assert {path.strip() for path in answer.headers["x-komeet-loss"].split(",")} == {"temperature", "top_p"}
    assert upstream.received[0].json["reasoning_effort"] == "high"


def test_unknown_fields_travel_on_in_their_order(gateway: Gateway, upstream: Upstream) -> None:
    gateway.chat(invented_last_week={"b": 1.10, "a": [1, 2]}, seed=7)
    assert b'"invented_last_week":{"b": 1.1, "a": [1, 2]}' in upstream.received[0].body
    assert upstream.received[0].json["seed"] == 7


def test_only_what_belongs_there_is_sent_on(gateway: Gateway, upstream: Upstream) -> None:
    gateway.request(
        "POST",
        "/v1/chat/completions",
        b'{"model":"gpt-5.2","messages":[{"role":"user","content":"Hi"}]}',
        {"X-Canary": "1", "Cookie": "a=b", "Accept-Encoding": "gzip"},
    )
    headers = upstream.received[0].headers
    assert gateway.key not in str(headers)
    assert not {"x-canary", "cookie"} & set(headers)
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("komeet/")


def test_what_a_provider_adds_is_not_handed_back(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: whole(HELLO, headers="Set-Cookie: a=b\r\nAuthorization: Bearer leak\r\nServer: x\r\n")
    answer = gateway.chat()
    assert not {"set-cookie", "authorization", "server"} & set(answer.headers)


@pytest.mark.parametrize("name", ["gpt-5.2", "openai/gpt-5.2"])
def test_a_name_with_and_without_its_provider(name: str, gateway: Gateway, upstream: Upstream) -> None:
    answer = gateway.chat(model=name)
    assert answer.headers["x-komeet-provider"] == "openai"
    assert upstream.received[0].json["model"] == "gpt-5.2"


def test_a_provider_that_does_not_take_stream_options_is_asked_once(upstream: Upstream, tmp_path: Path) -> None:
    def picky(request: Received) -> list[Step]:
        if "stream_options" in request.json:
            message = "Unrecognized request argument supplied: stream_options"
            return whole(
                {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, 400
            )
        return stream(delta("Hel"), delta("lo."), delta(finish="stop"), DONE)

    upstream.answer = picky
    # Each worker learns it for itself.
    config = {
        "providers": [{"name": "mine", "base_url": upstream.url, "api_key": "k", "models": ["m"]}],
        "server": {"workers": 1},
    }
    with Gateway(tmp_path, config) as gateway:
        for _ in range(2):
            answer = gateway.chat(model="m", stream=True)
            assert answer.status == 200
            assert answer.body.endswith(DONE)
        assert ["stream_options" in request.json for request in upstream.received] == [True, False, False]
        row = gateway.usage("--by", "model")[0]
        assert (row["calls"], row["estimated"], row["unpriced"]) == (2, 2, 2)
        assert row["output"] > 0


def test_the_usage_chunk_is_taken_out_unless_it_was_asked_for(gateway: Gateway, upstream: Upstream) -> None:
    last = event(choices=[], usage=usage(5, 2))
    pieces = [delta("Hi"), delta(finish="stop"), last, DONE]
    upstream.answer = lambda _: stream(*pieces)
    assert gateway.chat(stream=True).body == b"".join(piece for piece in pieces if piece is not last)
    assert gateway.chat(stream=True, stream_options={"include_usage": True}).body == b"".join(pieces)
    assert upstream.received[0].json["stream_options"] == {"include_usage": True}
