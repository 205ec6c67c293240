"""A conversation with tools by Anthropic's library: `anthropic_messages.py URL KEY MODEL whole|stream`."""

import json
import sys
from typing import Any

import anthropic

TOOLS: Any = [
    {
        "name": name,
        "description": f"Tells the {what}.",
        "input_schema": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
    }
    for name, what, field in (("get_weather", "weather", "city"), ("get_time", "time", "zone"))
]


def ask(client: anthropic.Anthropic, arguments: dict[str, Any], form: str) -> Any:
    """Return the message, whole or by the library's own helper for streams."""
    create: Any = client.messages.create
    if form == "whole":
        return create(**arguments)
    with client.messages.stream(**arguments) as stream:
        for _ in stream:
            pass
        return stream.get_final_message()


def main(url: str, key: str, model: str, form: str) -> None:
    """Talk until there are no more calls; print what happened."""
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "What is the weather, and the time, in Paris?"}]
    steps: list[Any] = []
    while True:
        answer = ask(
            client,
            {
                "model": model,
                "system": "Be brief.",
                "messages": messages,
                "tools": TOOLS,
                "max_tokens": 4000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
            },
            form,
        )
        calls = [block for block in answer.content if block.type == "tool_use"]
        read, written = answer.usage.cache_read_input_tokens or 0, answer.usage.cache_creation_input_tokens or 0
        steps.append(
            {
                "text": "".join(block.text for block in answer.content if block.type == "text"),
                "reasoning": "".join(block.thinking for block in answer.content if block.type == "thinking"),
                "calls": [[block.name, block.input] for block in calls],
                "stop": {"tool_use": "tools", "end_turn": "end"}[answer.stop_reason],
                "usage": [answer.usage.input_tokens + read + written, read, answer.usage.output_tokens],
            }
        )
        if not calls:
            break
        messages.append({"role": "assistant", "content": answer.content})
        results: list[Any] = []
        for call in calls:
            failed = call.name == "get_time" and "Paris" in json.dumps(call.input)
            said = "the clock is broken" if failed else f"result of {call.name}"
            results.append({"type": "tool_result", "tool_use_id": call.id, "content": said, "is_error": failed})
        messages.append({"role": "user", "content": results})
    print(json.dumps({"version": anthropic.__version__, "steps": steps}))


main(*sys.argv[1:])
