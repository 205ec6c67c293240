"""What the embedded model answers over HTTP: what the rest of Komeet leans on."""

import threading
from typing import Any

import msgspec
import pytest
from tests.local.endpoint import Endpoint, child, orders, ready, user

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
CHAT = "/v1/chat/completions"


def counted(model: Endpoint, text: str) -> int:
    """Count tokens with the model's own tokenizer; marks such as `<|im_end|>` are one each."""
    body = msgspec.json.encode({"content": text, "parse_special": True})
    status, answer = model.request("POST", "/tokenize", body)
    assert status == 200
    return len(msgspec.json.decode(answer)["tokens"])


def test_a_whole_answer_and_its_usage(model: Endpoint) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a color."}]
    status, answer = model.chat(model="whatever", messages=messages, temperature=0, max_tokens=40)
    assert status == 200
    [choice] = answer["choices"]
    assert choice["message"]["content"]
    assert answer["model"] == "smollm2-135m"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    prompt = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nName a color.<|im_end|>\n<|im_start|>assistant\n"
    )
    assert usage["prompt_tokens"] == counted(model, prompt)
    assert choice["finish_reason"] in {"stop", "length"}
    ended = choice["finish_reason"] == "stop"  # the mark that ends an answer is counted, and not shown
    assert usage["completion_tokens"] == counted(model, choice["message"]["content"]) + ended


def test_a_stream_says_what_the_whole_answer_says(model: Endpoint) -> None:
    asked: dict[str, Any] = {"messages": user("Say hello."), "temperature": 0, "max_tokens": 24}
    _, whole = model.chat(**asked)
    *events, done = model.stream(**asked, stream_options={"include_usage": True})
    assert done == b"[DONE]"
    *chunks, last = [msgspec.json.decode(event) for event in events]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]


def test_a_stream_that_was_not_asked_for_usage_has_none(model: Endpoint) -> None:
    *events, done = model.stream(messages=user("Say hello."), max_tokens=3)
    assert done == b"[DONE]"
    assert not [event for event in events if b'"usage"' in event]


@pytest.mark.parametrize("seed", range(4))
def test_a_json_schema_is_obeyed(model: Endpoint, seed: int) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    status, answer = model.chat(messages=user("Name a city."), response_format=form, max_tokens=300, seed=seed)
    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "stop"
    city = msgspec.json.decode(answer["choices"][0]["message"]["content"])
    assert set(city) == {"city", "population"}
    assert isinstance(city["city"], str)
    assert isinstance(city["population"], int)


def test_stop_and_limits(model: Endpoint) -> None:
    asked: dict[str, Any] = {"messages": user("Count: one, two, three"), "temperature": 0}
    _, full = model.chat(**asked, max_tokens=20)
    content = full["choices"][0]["message"]["content"]
    word = content.split()[1]
    _, stopped = model.chat(**asked, max_tokens=20, stop=[word])
    assert stopped["choices"][0]["message"]["content"] == content[: content.index(word)]
    assert stopped["choices"][0]["finish_reason"] == "stop"
    for limit in ("max_tokens", "max_completion_tokens"):
        _, cut = model.chat(**asked, **{limit: 3})
        assert cut["usage"]["completion_tokens"] == 3
        assert cut["choices"][0]["finish_reason"] == "length"


def test_a_call_without_a_limit_ends_with_the_context() -> None:
    with child(orders(context=256)) as process:
        status, answer = ready(process).chat(messages=user("word " * 180), ignore_eos=True)
    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 256


def test_the_same_call_gets_the_same_answer_and_nothing_of_an_earlier_one(model: Endpoint) -> None:
    asked: dict[str, Any] = {"messages": user("Tell me about the sea."), "max_tokens": 16, "seed": 11}
    answers = [model.chat(**asked)[1] for _ in range(3)]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
    assert {answer["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in answers} == {0}


def test_calls_at_the_same_time_are_all_answered(model: Endpoint) -> None:
    statuses: list[int] = []
    callers = [
        threading.Thread(target=lambda: statuses.append(model.chat(messages=user("Hi"), max_tokens=8)[0]))
        for _ in range(12)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 12


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b"[]",
        b'{"messages": "hi"}',
        b'{"messages": [{"role": "user"}]}',
        b'{"messages": [{"role": "user", "content": "\xff"}]}',
        b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": "many"}',
        b'{"messages": [{"role": "user", "content": "hi"}], "response_format": {"type": "xml"}}',
        b'{"messages": [{"role": "user", "content": "' + b"word " * 3000 + b'"}]}',
    ],
)
def test_a_bad_request_is_400_with_a_reason(model: Endpoint, body: bytes) -> None:
    status, answer = model.request("POST", CHAT, body)
    error = msgspec.json.decode(answer)["error"]
    assert (status, error["code"]) == (400, 400)
    assert error["message"]


def test_a_prompt_above_the_context_says_both_figures(model: Endpoint) -> None:
    status, answer = model.chat(messages=user("word " * 3000))
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"
    assert answer["error"]["n_ctx"] == 2048
    assert answer["error"]["n_prompt_tokens"] > 3000


def test_without_the_key_there_is_no_answer(model: Endpoint) -> None:
    body = msgspec.json.encode({"messages": user("hi"), "max_tokens": 1})
    assert model.request("POST", CHAT, body, key="another")[0] == 401
    assert model.request("GET", "/v1/models", key="another")[0] == 401
    assert model.request("GET", "/props", key="another")[0] == 401


def test_nothing_but_the_api_is_served(model: Endpoint) -> None:
    assert model.request("GET", "/")[0] == 404
    assert model.request("GET", "/slots")[0] == 501
    assert model.request("GET", "/metrics")[0] == 501


def test_its_model_is_listed_with_its_context(model: Endpoint) -> None:
    status, answer = model.request("GET", "/v1/models")
    assert status == 200
    [listed] = msgspec.json.decode(answer)["data"]
    assert listed["id"] == "smollm2-135m"
    assert listed["meta"]["n_ctx"] == 2048
