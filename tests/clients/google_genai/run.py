"""Google's library for Gemini."""

import base64
from typing import Any

from google import genai
from google.genai import errors, types
from kit import PNG, Cases, given
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


def _client() -> genai.Client:
    return genai.Client(api_key=GIVEN.key, http_options=types.HttpOptions(base_url=GIVEN.url))


def _config(**more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(max_output_tokens=GIVEN.limit, **more)


def _ask(contents: Any, **more: Any) -> types.GenerateContentResponse:
    with _client() as client:
        return client.models.generate_content(model=GIVEN.model, contents=contents, config=_config(**more))


@CASES.any_model
def whole() -> None:
    answer = _ask("Hello", system_instruction="Be brief.")
    assert answer.text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.prompt_token_count or 0) > 0
    assert (answer.usage_metadata.candidates_token_count or 0) > 0


@CASES.any_model
def streamed() -> None:
    with _client() as client:
        pieces = list(client.models.generate_content_stream(model=GIVEN.model, contents="Hello", config=_config()))
    assert "".join(piece.text or "" for piece in pieces)
    assert pieces[-1].usage_metadata is not None


@CASES.any_model
async def asynchronous() -> None:
    client = _client()
    answer = await client.aio.models.generate_content(model=GIVEN.model, contents="Hello", config=_config())
    assert answer.text
    stream = await client.aio.models.generate_content_stream(model=GIVEN.model, contents="Hello", config=_config())
    assert "".join([piece.text or "" async for piece in stream])
    await client.aio.aclose()


@CASES.any_model
def counting_tokens() -> None:
    with _client() as client:
        assert (client.models.count_tokens(model=GIVEN.model, contents="Hello").total_tokens or 0) > 0


@CASES.scripted
def chat() -> None:
    with _client() as client:
        session = client.chats.create(model=GIVEN.model)
        session.send_message("Hello")
        assert session.send_message("Again").text == "You said: Again"


@CASES.scripted
def function_called_by_the_library() -> None:
    assert _ask("What is the weather in 'Paris'?", tools=[get_weather]).text == "The tool said: sunny in Paris"


@CASES.scripted
def function_declared() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    declared = types.FunctionDeclaration(name="get_weather", parameters_json_schema=schema)
    forced = types.FunctionCallingConfig(
        mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["get_weather"]
    )
    answer = _ask(
        "I am in 'Paris'",
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(function_calling_config=forced),
    )
    (call,) = answer.function_calls or ()
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})


@CASES.scripted
def typed_output() -> None:
    answer = _ask("'Paris' has 2000000 people", response_mime_type="application/json", response_schema=City)
    assert answer.parsed == City(name="Paris", inhabitants=2000000)


@CASES.scripted
def picture() -> None:
    part = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    assert "image/png" in (_ask(["Look", part]).text or "")


@CASES.scripted
def thoughts() -> None:
    answer = _ask("Hello", thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2000))
    assert answer.candidates
    content = answer.candidates[0].content
    assert content is not None
    thought = [part.text or "" for part in content.parts or () if part.thought]
    assert "wants an answer" in "".join(thought)


@CASES.scripted
def error() -> None:
    try:
        with _client() as client:
            client.models.generate_content(model="no-such-model", contents="Hello")
    except errors.ClientError as refused:
        assert refused.code == 404, refused
    else:
        raise AssertionError("no error")


CASES.run()
