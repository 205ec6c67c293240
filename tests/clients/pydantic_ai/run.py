"""Pydantic AI: an agent on each of the surfaces."""

import base64
from typing import Any

from kit import PNG, Cases, given
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

GIVEN = given()
CASES = Cases()


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int
    mayor: str | None = None


def _model(name: str = GIVEN.model) -> Any:
    match GIVEN.surface:
        case "anthropic_messages":
            provider: Any = AnthropicProvider(api_key=GIVEN.key, base_url=GIVEN.url)
            # By the name of the model it would judge what the model can do.
            return AnthropicModel(name, provider=provider, profile=ModelProfile(supports_json_schema_output=True))
        case "gemini":
            return GoogleModel(name, provider=GoogleProvider(api_key=GIVEN.key, base_url=GIVEN.url))
        case surface:
            kind = OpenAIChatModel if surface == "openai_chat" else OpenAIResponsesModel
            return kind(name, provider=OpenAIProvider(base_url=f"{GIVEN.url}/v1", api_key=GIVEN.key))


SETTINGS = ModelSettings(max_tokens=GIVEN.limit)


def _agent(**more: Any) -> Agent[Any, Any]:
    return Agent(_model(), model_settings=SETTINGS, **more)


@CASES.any_model
async def whole() -> None:
    result = await _agent().run("Hello")
    assert result.output
    usage: Any = result.usage
    usage = usage() if callable(usage) else usage
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


@CASES.any_model
async def streamed() -> None:
    async with _agent().run_stream("Hello") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces)


@CASES.scripted
async def instructions_and_history() -> None:
    agent = _agent(instructions="Be brief.")
    first = await agent.run("Hello")
    second = await agent.run("Hello again", message_history=first.all_messages())
    assert second.output == "You said: Hello again"


@CASES.scripted
async def tool_loop() -> None:
    agent = _agent()
    seen: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather."""
        seen.append(city)
        return "sunny"

    result = await agent.run("What is the weather in 'Paris'?")
    assert seen == ["Paris"]
    assert "sunny" in result.output


@CASES.scripted
async def tool_loop_streamed() -> None:
    agent = _agent()

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    async with agent.run_stream("What is the weather in 'Paris'?") as result:
        assert "sunny in Paris" in await result.get_output()


@CASES.scripted
async def typed_output_by_a_tool() -> None:
    result = await _agent(output_type=ToolOutput(City)).run("'Paris' has 2000000 people")
    assert result.output == City(name="Paris", inhabitants=2000000)


@CASES.scripted
async def typed_output_by_a_schema() -> None:
    result = await _agent(output_type=NativeOutput(City)).run("'Paris' has 2000000 people")
    assert (result.output.name, result.output.inhabitants) == ("Paris", 2000000)


@CASES.scripted
async def typed_output_streamed() -> None:
    async with _agent(output_type=ToolOutput(City)).run_stream("'Paris' has 2000000 people") as result:
        assert (await result.get_output()).name == "Paris"


@CASES.scripted
async def picture() -> None:
    result = await _agent().run(["Look", BinaryContent(base64.b64decode(PNG), media_type="image/png")])
    assert "image/png" in result.output


@CASES.scripted
async def thinking_survives_a_turn() -> None:
    agent = _agent()
    settings: Any = {"max_tokens": 4000}
    match GIVEN.surface:
        case "openai_chat":
            settings |= {"openai_reasoning_effort": "medium"}
        case "openai_responses":
            settings |= {"openai_reasoning_effort": "medium", "openai_reasoning_summary": "auto"}
        case "gemini":
            settings |= {"google_thinking_config": {"include_thoughts": True, "thinking_budget": 2000}}
        case _:
            settings |= {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2000}}
    first = await agent.run("Hello", model_settings=settings)
    parts = [part for message in first.all_messages() for part in message.parts]
    assert any(isinstance(part, ThinkingPart) and "wants an answer" in part.content for part in parts), parts
    second = await agent.run("Again", message_history=first.all_messages(), model_settings=settings)
    assert second.output == "You said: Again"


@CASES.scripted
async def error() -> None:
    try:
        await Agent(_model("no-such-model"), model_settings=SETTINGS).run("Hello")
    except ModelHTTPError as refused:
        assert refused.status_code in {400, 404}, refused
    else:
        raise AssertionError("no error")


CASES.run()
