"""A conversation with tools by OpenAI's library over Chat Completions: `openai_chat.py URL KEY MODEL whole|stream`."""

import json
import sys
from collections.abc import Callable
from typing import Any

import openai

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Tells the {what}.",
            "parameters": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
        },
    }
    for name, what, field in (("get_weather", "weather", "city"), ("get_time", "time", "zone"))
]


def whole(client: openai.OpenAI, arguments: dict[str, Any]) -> tuple[dict[str, Any], str, Any]:
    """Return message, finish reason and usage."""
    create: Any = client.chat.completions.create
    answer: Any = create(**arguments)
    return answer.choices[0].message.model_dump(exclude_none=True), answer.choices[0].finish_reason, answer.usage


def streamed(client: openai.OpenAI, arguments: dict[str, Any]) -> tuple[dict[str, Any], str, Any]:
    """The same by the library's own helper for streams."""
    arguments = arguments | {"stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**arguments) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    message = answer.choices[0].message.model_dump(exclude_none=True)
    for call in message.get("tool_calls", ()):
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    message.pop("parsed", None)
    return message, answer.choices[0].finish_reason, answer.usage


def main(url: str, key: str, model: str, form: str) -> None:
    """Talk until there are no more calls; print what happened."""
    ask: Callable[[openai.OpenAI, dict[str, Any]], tuple[dict[str, Any], str, Any]] = (
        streamed if form == "stream" else whole
    )
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather, and the time, in Paris?"},
    ]
    steps: list[Any] = []
    while True:
        message, finish, usage = ask(client, {"model": model, "messages": messages, "tools": TOOLS})
        calls = message.get("tool_calls", [])
        steps.append(
            {
                "text": message.get("content") or "",
                "reasoning": message.get("reasoning_content", ""),
                "calls": [[call["function"]["name"], json.loads(call["function"]["arguments"])] for call in calls],
                "stop": {"tool_calls": "tools", "stop": "end"}[finish],
                "usage": [
                    usage.prompt_tokens,
                    usage.prompt_tokens_details.cached_tokens,
                    usage.completion_tokens,
                ],
            }
        )
        if not calls:
            break
        messages.append(message)
        for call in calls:
            failed = call["function"]["name"] == "get_time" and "Paris" in call["function"]["arguments"]
            content = "the clock is broken" if failed else f"result of {call['function']['name']}"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    print(json.dumps({"version": openai.__version__, "steps": steps}))


main(*sys.argv[1:])
