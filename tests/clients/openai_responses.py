"""A conversation with tools by OpenAI's library over Responses: `openai_responses.py URL KEY MODEL whole|stream`."""

import json
import sys
from typing import Any

import openai

TOOLS: Any = [
    {
        "type": "function",
        "name": name,
        "description": f"Tells the {what}.",
        "parameters": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
        "strict": False,
    }
    for name, what, field in (("get_weather", "weather", "city"), ("get_time", "time", "zone"))
]


def ask(client: openai.OpenAI, arguments: dict[str, Any], form: str) -> Any:
    """Return the response, whole or by the library's own helper for streams."""
    create: Any = client.responses.create
    if form == "whole":
        return create(**arguments)
    with client.responses.stream(**arguments) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


def main(url: str, key: str, model: str, form: str) -> None:
    """Talk until there are no more calls; print what happened."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    items: list[Any] = [{"role": "user", "content": "What is the weather, and the time, in Paris?"}]
    steps: list[Any] = []
    while True:
        answer = ask(
            client,
            {
                "model": model,
                "instructions": "Be brief.",
                "input": items,
                "tools": TOOLS,
                "store": False,
                "include": ["reasoning.encrypted_content"],
                "reasoning": {"effort": "medium", "summary": "auto"},
            },
            form,
        )
        output = [item.model_dump(exclude_none=True) for item in answer.output]
        calls = [item for item in output if item["type"] == "function_call"]
        for call in calls:
            call.pop("parsed_arguments", None)
        reasoning = [part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"]]
        steps.append(
            {
                "text": answer.output_text,
                "reasoning": "".join(reasoning),
                "calls": [[call["name"], json.loads(call["arguments"])] for call in calls],
                "stop": "tools" if calls else {"completed": "end"}[answer.status],
                "usage": [
                    answer.usage.input_tokens,
                    answer.usage.input_tokens_details.cached_tokens,
                    answer.usage.output_tokens,
                ],
            }
        )
        if not calls:
            break
        items += output
        for call in calls:
            failed = call["name"] == "get_time" and "Paris" in call["arguments"]
            said = "the clock is broken" if failed else f"result of {call['name']}"
            items.append({"type": "function_call_output", "call_id": call["call_id"], "output": said})
    print(json.dumps({"version": openai.__version__, "steps": steps}))


main(*sys.argv[1:])
