"""A provider that plays one conversation with tools in each wire format, and notes what a request fails to carry.

Step 0 reasons and asks for two tools at once, step 1 reasons and asks for one more, step 2 answers.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.whole.converse import Converse
from tests.whole.speech import Chat, Gemini, Messages, Responses, Scene
from tests.whole.upstream import Received, Step, whole

SCENES: Final = (
    Scene(
        "I need both.",
        "U0VBTC0w",
        (("call_a", "get_weather", '{"city": "Paris"}'), ("call_b", "get_time", '{"zone":"Europe/Paris"}')),
    ),
    Scene("The clock failed; UTC then.", "U0VBTC0x", (("call_c", "get_time", '{"zone":"UTC"}'),)),
    Scene("", "", (), "Sunny, and noon in Paris."),
)
RESULTS: Final = {"call_a": "result of get_weather", "call_b": "the clock is broken", "call_c": "result of get_time"}
EXPECTED: Final = [
    {
        "text": scene.text,
        "reasoning": scene.reasoning,
        "calls": [[name, json.loads(arguments)] for _, name, arguments in scene.calls],
        "stop": "tools" if scene.calls else "end",
        "usage": [100 * (step + 1), 40, 20],
    }
    for step, scene in enumerate(SCENES)
]


class Script:
    """Answers a provider's endpoints, by how far the conversation has come."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        """What requests failed to carry."""

    def answer(self, request: Received) -> list[Step]:
        """Return the next step of the conversation."""
        body = request.json
        read, write = {
            "/v1/chat/completions": (_chat_history, Chat),
            "/v1/responses": (_responses_history, Responses),
            "/v1/messages": (_messages_history, Messages),
            "/v1/models/scripted:generateContent": (_gemini_history, Gemini),
            "/v1/models/scripted:streamGenerateContent?alt=sse": (_gemini_history, Gemini),
            "/v1/model/scripted/converse": (_converse_history, Converse),
            "/v1/model/scripted/converse-stream": (_converse_history, Converse),
        }[request.target]
        history = list(read(body))
        results = {each[1]: each[2] for each in history if each[0] == "result"}
        step = {0: 0, 2: 1, 3: 2}[len(results)]
        self._check(history, step, str(request.target))
        scene = SCENES[step]
        usage = (100 * (step + 1), 40, 20)
        streamed = body.get("stream") or "stream" in request.target
        return write.stream(scene, usage) if streamed else whole(write.whole(scene, usage))

    def _check(self, history: list[tuple[str, ...]], step: int, where: str) -> None:
        expected: list[tuple[str, ...]] = []
        for scene in SCENES[:step]:
            # Gemini wants its signatures back, and not its thoughts.
            said = "" if "generateContent" in where or "streamGenerate" in where else scene.reasoning
            expected.append(("reasoning", said, "" if "chat" in where else scene.seal))
            expected += [("call", call_id, name, arguments) for call_id, name, arguments in scene.calls]
            expected += [("result", call_id, RESULTS[call_id]) for call_id, _, _ in scene.calls]
        same = [_plain(each) for each in history] == [_plain(each) for each in expected]
        if not same:
            self.missing.append(f"{where} step {step}: {history} instead of {expected}")


def _plain(entry: tuple[str, ...]) -> tuple[object, ...]:
    return (*entry[:3], json.loads(entry[3])) if entry[0] == "call" else entry


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _chat_history(body: Any) -> Iterator[tuple[str, ...]]:
    for message in body["messages"]:
        if message["role"] == "assistant":
            yield "reasoning", message.get("reasoning_content", ""), ""
            for call in message["tool_calls"]:
                yield "call", call["id"], call["function"]["name"], call["function"]["arguments"]
        elif message["role"] == "tool":
            yield "result", message["tool_call_id"], _text(message["content"])


def _responses_history(body: Any) -> Iterator[tuple[str, ...]]:
    items: list[Any] = [] if isinstance(body["input"], str) else body["input"]
    for item in items:
        match item.get("type"):
            case "reasoning":
                yield "reasoning", "".join(part["text"] for part in item["summary"]), item["encrypted_content"]
            case "function_call":
                yield "call", item["call_id"], item["name"], item["arguments"]
            case "function_call_output":
                yield "result", item["call_id"], _text(item["output"])
            case _:
                pass


def _messages_history(body: Any) -> Iterator[tuple[str, ...]]:
    for message in body["messages"]:
        if isinstance(message["content"], str):
            continue
        for block in message["content"]:
            match block["type"]:
                case "thinking":
                    yield "reasoning", block["thinking"], block["signature"]
                case "tool_use":
                    yield "call", block["id"], block["name"], json.dumps(block["input"])
                case "tool_result":
                    yield "result", block["tool_use_id"], _text(block["content"])
                case _:
                    pass


def _gemini_history(body: Any) -> Iterator[tuple[str, ...]]:
    for content in body["contents"]:
        parts: list[Any] = content["parts"]
        seals = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
        if seals:
            yield "reasoning", "", "".join(seals)
        for part in parts:
            if "functionCall" in part:
                call = part["functionCall"]
                yield "call", call["id"], call["name"], json.dumps(call["args"])
            elif "functionResponse" in part:
                result = part["functionResponse"]
                said = result["response"]
                yield "result", result["id"], said.get("result") or said.get("error") or said["output"]


def _converse_history(body: Any) -> Iterator[tuple[str, ...]]:
    for message in body["messages"]:
        for block in message["content"]:
            if "reasoningContent" in block:
                said = block["reasoningContent"]["reasoningText"]
                yield "reasoning", said["text"], said["signature"]
            elif "toolUse" in block:
                call = block["toolUse"]
                yield "call", call["toolUseId"], call["name"], json.dumps(call["input"])
            elif "toolResult" in block:
                result = block["toolResult"]
                yield "result", result["toolUseId"], "".join(part["text"] for part in result["content"])
