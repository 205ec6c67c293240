"""A conversation with tools by Google's library: `gemini.py URL KEY MODEL whole|stream`."""

import json
import sys
from typing import Any

from google import genai
from google.genai import types

TOOLS: Any = [
    types.FunctionDeclaration(
        name=name,
        description=f"Tells the {what}.",
        parameters_json_schema={"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
    )
    for name, what, field in (("get_weather", "weather", "city"), ("get_time", "time", "zone"))
]


def ask(client: Any, arguments: dict[str, Any], form: str) -> tuple[list[Any], Any]:
    """Return the parts of the answer, pieces put together, and the usage."""
    if form == "whole":
        answer = client.models.generate_content(**arguments)
        return answer.candidates[0].content.parts, answer.usage_metadata
    parts: list[Any] = []
    usage: Any = None
    for chunk in client.models.generate_content_stream(**arguments):
        usage = chunk.usage_metadata or usage
        for candidate in chunk.candidates or ():
            parts += candidate.content.parts or () if candidate.content else ()
    return parts, usage


def main(url: str, key: str, model: str, form: str) -> None:
    """Talk until there are no more calls; print what happened."""
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version="v1beta"))
    contents: list[Any] = [
        types.Content(role="user", parts=[types.Part(text="What is the weather, and the time, in Paris?")])
    ]
    steps: list[Any] = []
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        tools=[types.Tool(function_declarations=TOOLS)],
        max_output_tokens=4000,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2000),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    while True:
        parts, usage = ask(client, {"model": model, "contents": contents, "config": config}, form)
        calls = [part.function_call for part in parts if part.function_call]
        steps.append(
            {
                "text": "".join(part.text for part in parts if part.text and not part.thought),
                "reasoning": "".join(part.text for part in parts if part.text and part.thought),
                "calls": [[call.name, call.args] for call in calls],
                "stop": "tools" if calls else "end",
                "usage": [
                    usage.prompt_token_count,
                    usage.cached_content_token_count,
                    usage.candidates_token_count + (usage.thoughts_token_count or 0),
                ],
            }
        )
        if not calls:
            break
        contents.append(types.Content(role="model", parts=parts))
        results: list[Any] = []
        for call in calls:
            failed = call.name == "get_time" and "Paris" in json.dumps(call.args)
            said = {"error": "the clock is broken"} if failed else {"result": f"result of {call.name}"}
            results.append(
                types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response=said))
            )
        contents.append(types.Content(role="user", parts=results))
    print(json.dumps({"version": genai.__version__, "steps": steps}))


main(*sys.argv[1:])
