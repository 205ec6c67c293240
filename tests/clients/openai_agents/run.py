"""OpenAI's Agents SDK, on Chat Completions and on Responses."""

from typing import Any

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from kit import PNG, Cases, given
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

GIVEN = given()
CASES = Cases()
set_tracing_disabled(True)


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def _agent(name: str = "one", model: str = GIVEN.model, **more: Any) -> Agent[Any]:
    client = openai.AsyncOpenAI(base_url=f"{GIVEN.url}/v1", api_key=GIVEN.key, max_retries=0)
    kind: Any = OpenAIChatCompletionsModel if GIVEN.surface == "openai_chat" else OpenAIResponsesModel
    settings = ModelSettings(max_tokens=500, include_usage=True, store=False)
    return Agent(name=name, model=kind(model=model, openai_client=client), model_settings=settings, **more)


@CASES.any_model
async def whole() -> None:
    result = await Runner.run(_agent(), "Hello")
    assert result.final_output
    assert result.context_wrapper.usage.input_tokens > 0
    assert result.context_wrapper.usage.output_tokens > 0


@CASES.any_model
async def streamed() -> None:
    result = Runner.run_streamed(_agent(), "Hello")
    pieces = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
    ]
    assert "".join(pieces) == result.final_output != ""
    assert result.context_wrapper.usage.output_tokens > 0


@CASES.scripted
async def history() -> None:
    first = await Runner.run(_agent(instructions="Be brief."), "Hello")
    second = await Runner.run(_agent(), [*first.to_input_list(), {"role": "user", "content": "Again"}])
    assert second.final_output == "You said: Again"


@CASES.scripted
async def tool_loop() -> None:
    result = await Runner.run(_agent(tools=[get_weather]), "What is the weather in 'Paris'?")
    assert result.final_output == "The tool said: sunny in Paris"


@CASES.scripted
async def tool_loop_streamed() -> None:
    result = Runner.run_streamed(_agent(tools=[get_weather]), "What is the weather in 'Paris'?")
    async for _ in result.stream_events():
        pass
    assert result.final_output == "The tool said: sunny in Paris"


@CASES.scripted
async def handover() -> None:
    french = _agent("french", instructions="Speak French.")
    result = await Runner.run(_agent(handoffs=[french]), "Please transfer_to_french")
    assert result.last_agent is french
    assert result.final_output


@CASES.scripted
async def typed_output() -> None:
    result = await Runner.run(_agent(output_type=City), "'Paris' has 2000000 people")
    assert result.final_output == City(name="Paris", inhabitants=2000000)


@CASES.scripted
async def picture() -> None:
    image: Any = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    content: Any = [{"type": "input_text", "text": "Look"}, image]
    result = await Runner.run(_agent(), [{"role": "user", "content": content}])
    assert "image/png" in result.final_output


@CASES.scripted
async def error() -> None:
    try:
        await Runner.run(_agent(model="no-such-model"), "Hello")
    except (openai.NotFoundError, openai.BadRequestError) as refused:
        assert refused.code == "model_not_found", refused
    else:
        raise AssertionError("no error")


CASES.run()
