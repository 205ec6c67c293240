"""Anthropic's library for Python."""

from typing import Any

import anthropic
from kit import PNG, Cases, given
from pydantic import BaseModel

GIVEN = given()
CASES = Cases()
CLIENT: Any = anthropic.Anthropic(base_url=GIVEN.url, api_key=GIVEN.key, max_retries=0)


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: where.
    """
    return f"sunny in {city}"


def _asked(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": GIVEN.model, "max_tokens": GIVEN.limit, "messages": [{"role": "user", "content": text}], **more}


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@CASES.any_model
def whole() -> None:
    message = CLIENT.messages.create(**_asked("Hello", system="Be brief."))
    assert _text(message)
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@CASES.any_model
async def asynchronous() -> None:
    async with anthropic.AsyncAnthropic(base_url=GIVEN.url, api_key=GIVEN.key, max_retries=0) as client:
        create: Any = client.messages.create
        assert _text(await create(**_asked("Hello")))


@CASES.any_model
def streamed() -> None:
    events = list(CLIENT.messages.create(**_asked("Hello", stream=True)))
    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"


@CASES.any_model
def stream_helper() -> None:
    with CLIENT.messages.stream(**_asked("Hello")) as stream:
        assert "".join(stream.text_stream)
        assert stream.get_final_message().usage.output_tokens > 0


@CASES.any_model
def counting_tokens() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    assert CLIENT.messages.count_tokens(model=GIVEN.model, messages=messages).input_tokens > 0


@CASES.any_model
def list_of_models() -> None:
    assert [model.id for model in CLIENT.models.list()]


@CASES.scripted
def tool_runner() -> None:
    asked = _asked("What is the weather in 'Paris'?", tools=[get_weather])
    assert _text(CLIENT.beta.messages.tool_runner(**asked).until_done()) == "The tool said: sunny in Paris"


@CASES.scripted
def typed_output() -> None:
    message = CLIENT.messages.parse(**_asked("'Paris' has 2000000 people", output_format=City))
    assert message.parsed_output == City(name="Paris", inhabitants=2000000)


@CASES.scripted
def picture() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    message = CLIENT.messages.create(**_asked([{"type": "image", "source": source}, {"type": "text", "text": "Look"}]))
    assert "image/png" in _text(message)


@CASES.scripted
def thinking() -> None:
    asked = _asked("Hello", max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 2000})
    with CLIENT.messages.stream(**asked) as stream:
        message = stream.get_final_message()
    assert "wants an answer" in "".join(block.thinking for block in message.content if block.type == "thinking")
    asked["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": "Again"}]
    assert _text(CLIENT.messages.create(**asked)) == "You said: Again"


@CASES.scripted
def error() -> None:
    try:
        CLIENT.messages.create(**{**_asked("Hello"), "model": "no-such-model"})
    except anthropic.NotFoundError as refused:
        assert refused.type == "not_found_error"
    else:
        raise AssertionError("no error")


@CASES.scripted
def request_id() -> None:
    assert CLIENT.messages.create(**_asked("Hello"))._request_id, "no request-id header"


CASES.run()
