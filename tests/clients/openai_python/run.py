"""OpenAI's library for Python, on Chat Completions and on Responses; the same script for two major versions."""

import json
from typing import Any

import openai
from kit import PNG, Cases, given
from pydantic import BaseModel

GIVEN = given()
CASES = Cases()
CHAT = GIVEN.surface == "openai_chat"
CLIENT: Any = openai.OpenAI(base_url=f"{GIVEN.url}/v1", api_key=GIVEN.key, max_retries=0)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = "What is the weather in 'Paris'?"


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int


def _asked(text: Any, model: str = GIVEN.model, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": text}]
    limit = {"max_completion_tokens" if CHAT else "max_output_tokens": GIVEN.limit}
    return {"model": model, "messages" if CHAT else "input": said, **limit, **more}


def _text(answer: Any) -> str:
    return answer.choices[0].message.content if CHAT else answer.output_text


def _create(client: Any = CLIENT) -> Any:
    return client.chat.completions.create if CHAT else client.responses.create


@CASES.any_model
def whole() -> None:
    answer = _create()(**_asked("Hello"))
    assert _text(answer)
    usage = answer.usage
    assert (usage.prompt_tokens if CHAT else usage.input_tokens) > 0
    assert (usage.completion_tokens if CHAT else usage.output_tokens) > 0


@CASES.any_model
async def asynchronous() -> None:
    async with openai.AsyncOpenAI(base_url=f"{GIVEN.url}/v1", api_key=GIVEN.key, max_retries=0) as client:
        assert _text(await _create(client)(**_asked("Hello")))


@CASES.any_model
def streamed() -> None:
    options = {"stream_options": {"include_usage": True}} if CHAT else {}
    events = list(_create()(**_asked("Hello", stream=True, **options)))
    if CHAT:
        assert "".join(event.choices[0].delta.content or "" for event in events if event.choices)
        assert events[-1].usage.completion_tokens > 0
    else:
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert events[-1].response.usage.output_tokens > 0


@CASES.scripted
def stream_helper() -> None:
    with (CLIENT.chat.completions.stream if CHAT else CLIENT.responses.stream)(**_asked("Hello")) as stream:
        for _ in stream:
            pass
        assert _text(stream.get_final_completion() if CHAT else stream.get_final_response())


@CASES.any_model
def raw_answer() -> None:
    kind = CLIENT.chat.completions if CHAT else CLIENT.responses
    answer = kind.with_raw_response.create(**_asked("Hello"))
    assert answer.request_id
    assert _text(answer.parse())


@CASES.any_model
def list_of_models() -> None:
    assert [model.id for model in CLIENT.models.list()]


@CASES.scripted
def tool() -> None:
    if CHAT:
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
        first = _create()(**_asked(WEATHER, tools=tools))
        (call,) = first.choices[0].message.tool_calls
        assert json.loads(call.function.arguments) == {"city": "Paris"}
        history = [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    else:
        tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}]
        first = _create()(**_asked(WEATHER, tools=tools, store=False))
        (call,) = [item for item in first.output if item.type == "function_call"]
        assert json.loads(call.arguments) == {"city": "Paris"}
        history = [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    asked = _asked(WEATHER, tools=tools)
    asked["messages" if CHAT else "input"] += history
    assert _text(_create()(**asked)) == "The tool said: sunny"


@CASES.scripted
def typed_output() -> None:
    wish = "'Paris' has 2000000 people"
    if CHAT:
        found = CLIENT.chat.completions.parse(**_asked(wish, response_format=City)).choices[0].message.parsed
    else:
        found = CLIENT.responses.parse(**_asked(wish, text_format=City)).output_parsed
    assert found == City(name="Paris", inhabitants=2000000)


@CASES.scripted
def picture() -> None:
    url = f"data:image/png;base64,{PNG}"
    if CHAT:
        content: Any = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]
    else:
        content = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    assert "image/png" in _text(_create()(**_asked(content)))


@CASES.scripted
def error() -> None:
    try:
        _create()(**_asked("Hello", model="no-such-model"))
    except (openai.NotFoundError, openai.BadRequestError) as refused:
        assert refused.code == "model_not_found", refused
        assert refused.request_id
    else:
        raise AssertionError("no error")


CASES.run()
