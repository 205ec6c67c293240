"""The official SDK against the embedded model, as a newcomer uses it; the ledger shows what the answers reported."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI
from tests.whole.gateway import Gateway, komeet

MODEL = "smollm2-135m"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("komeet")) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0) as made:
        yield made


def _tokens(gateway: Gateway) -> tuple[int, int]:
    rows = gateway.usage("--by", "model")
    return sum(row["input"] for row in rows), sum(row["output"] for row in rows)


def test_whole_with_system_user_and_assistant(client: OpenAI, gateway: Gateway) -> None:
    before = _tokens(gateway)
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "Hello, I am Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": "What is my name?"},
        ],
        max_tokens=24,
        temperature=0,
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24
    assert raw.headers["x-komeet-provider"] == "local"
    assert raw.headers["x-komeet-cost"] == "0"
    assert raw.headers["x-request-id"].startswith("req_")
    after = _tokens(gateway)
    assert (after[0] - before[0], after[1] - before[1]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_stream_with_usage(client: OpenAI, gateway: Gateway) -> None:
    before = _tokens(gateway)
    stream = client.chat.completions.create(
        model=f"local/{MODEL}",
        messages=[{"role": "user", "content": "Count to five."}],
        max_tokens=20,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    usage = chunks[-1].usage
    assert usage is not None
    after = _tokens(gateway)
    assert (after[0] - before[0], after[1] - before[1]) == (usage.prompt_tokens, usage.completion_tokens)


def test_stream_without_asking_for_usage_is_metered_all_the_same(client: OpenAI, gateway: Gateway) -> None:
    before = _tokens(gateway)
    stream = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=8, stream=True
    )
    chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert _tokens(gateway)[1] > before[1]


def test_stop(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Write: one two three"}], stop=["e"], max_tokens=40
    )
    assert "e" not in (answer.choices[0].message.content or "")


def test_json_schema_is_obeyed(client: OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Ada is 36 years old. Give name and age."}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}},
        max_tokens=100,
    )
    person = json.loads(answer.choices[0].message.content or "")
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def test_async_calls_at_once(gateway: Gateway) -> None:
    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:

            async def one(number: int) -> str:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"Say {number}"}], max_tokens=8
                )
                return answer.choices[0].message.content or ""

            async def streamed() -> str:
                stream = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=8, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

            return await asyncio.gather(*(one(number) for number in range(3)), streamed())

    assert all(asyncio.run(ask()))


def test_errors_are_the_sdk_s_own(client: OpenAI, gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-5.2", messages=[{"role": "user", "content": "Hi"}])
    assert missing.value.code == "model_not_found"
    with (
        OpenAI(base_url=gateway.url, api_key="sk-km-wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_models(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).owned_by == "local"


def test_komeet_chat_streams_and_says_what_it_cost(gateway: Gateway) -> None:
    said = komeet(
        "chat", "--port", str(gateway.port), "-m", MODEL, "--max-tokens", "12", "Hi", data_dir=gateway.data_dir
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip()
    assert "tokens" in said.stderr
    assert "$0" in said.stderr


def test_komeet_chat_needs_no_server(tmp_path: Path) -> None:
    said = komeet("chat", "--port", "9", "-m", MODEL, "--max-tokens", "8", "Hi", data_dir=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip()


def test_responses_and_messages_are_answered_by_the_same_model(client: OpenAI, gateway: Gateway) -> None:
    before = _tokens(gateway)
    response = client.responses.create(
        model=MODEL, instructions="Be brief.", input="What is a comet?", max_output_tokens=16, temperature=0
    )
    assert response.output_text
    assert response.usage is not None
    assert (response.status, response.incomplete_details is not None) in {("completed", False), ("incomplete", True)}
    with Anthropic(base_url=gateway.url.removesuffix("/v1"), api_key=gateway.key, max_retries=0) as anthropic:
        with anthropic.messages.stream(
            model=MODEL, max_tokens=16, system="Be brief.", messages=[{"role": "user", "content": "What is a comet?"}]
        ) as stream:
            message = stream.get_final_message()
        counted = anthropic.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "Hello."}])
    assert "".join(block.text for block in message.content if block.type == "text")
    assert message.stop_reason in {"end_turn", "max_tokens"}
    assert counted.input_tokens > 0
    used = message.usage
    after = _tokens(gateway)
    assert after[0] - before[0] == response.usage.input_tokens + used.input_tokens + (used.cache_read_input_tokens or 0)
    assert after[1] - before[1] == response.usage.output_tokens + used.output_tokens


def test_legacy_completions_and_a_schema_by_responses(client: OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt="A comet is", max_tokens=12, temperature=0)
    assert completion.choices[0].text
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    response = client.responses.create(
        model=MODEL,
        input="Ada is 36 years old.",
        text={"format": {"type": "json_schema", "name": "person", "schema": schema, "strict": True}},
        max_output_tokens=60,
        temperature=0,
    )
    if response.status == "completed":
        assert set(json.loads(response.output_text)) == {"name", "age"}
