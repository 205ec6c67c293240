"""LlamaIndex: OpenAILike on Chat Completions, OpenAIResponses on Responses."""

import base64
from typing import Any

import openai
from kit import PNG, Cases, given
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, LLMMetadata, TextBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

GIVEN = given()
CASES = Cases()


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int


def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


TOOL = FunctionTool.from_defaults(get_weather)


def _llm(model: str = GIVEN.model) -> Any:
    if GIVEN.surface == "openai_chat":
        settings: dict[str, Any] = {"is_chat_model": True, "is_function_calling_model": True, "max_tokens": GIVEN.limit}
        return OpenAILike(
            model=model, api_base=f"{GIVEN.url}/v1", api_key=GIVEN.key, context_window=8000, max_retries=0, **settings
        )

    class Responses(OpenAIResponses):
        """The library asks a table of OpenAI's models for the size of the context."""

        @property
        def metadata(self) -> Any:
            return LLMMetadata(model_name=self.model, is_chat_model=True, is_function_calling_model=True)

    return Responses(
        model=model,
        api_base=f"{GIVEN.url}/v1",
        api_key=GIVEN.key,
        max_output_tokens=GIVEN.limit,
        max_retries=0,
        store=False,
    )


def _user(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=text)]


@CASES.any_model
def whole() -> None:
    assert _llm().chat(_user("Hello")).message.content


@CASES.any_model
def completed() -> None:
    assert _llm().complete("Hello").text


@CASES.any_model
def streamed() -> None:
    assert "".join(piece.delta or "" for piece in _llm().stream_chat(_user("Hello")))


@CASES.any_model
async def asynchronous() -> None:
    assert (await _llm().achat(_user("Hello"))).message.content
    stream = await _llm().astream_chat(_user("Hello"))
    assert "".join([piece.delta or "" async for piece in stream])


@CASES.scripted
def tool() -> None:
    llm = _llm()
    answer = llm.chat_with_tools([TOOL], user_msg="What is the weather in 'Paris'?")
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})


@CASES.scripted
def tool_required() -> None:
    llm = _llm()
    answer = llm.chat_with_tools([TOOL], user_msg="Hello", tool_required=True)
    assert len(llm.get_tool_calls_from_response(answer)) == 1


@CASES.scripted
async def agent() -> None:
    running = FunctionAgent(tools=[TOOL], llm=_llm(), system_prompt="Be brief.", streaming=True)
    assert "The tool said: sunny in Paris" in str(await running.run("What is the weather in 'Paris'?"))


@CASES.scripted
def typed_prediction() -> None:
    city: Any = _llm().structured_predict(City, PromptTemplate("'Paris' has 2000000 people"))
    assert city == City(name="Paris", inhabitants=2000000)


@CASES.scripted
def picture() -> None:
    blocks: Any = [TextBlock(text="Look"), ImageBlock(image=base64.b64decode(PNG), image_mimetype="image/png")]
    answer = _llm().chat([ChatMessage(role="user", blocks=blocks)])
    assert "image/png" in str(answer.message.content)


@CASES.scripted
def error() -> None:
    try:
        _llm("no-such-model").chat(_user("Hello"))
    except (openai.NotFoundError, openai.BadRequestError) as refused:
        assert refused.code == "model_not_found", refused
    else:
        raise AssertionError("no error")


CASES.run()
