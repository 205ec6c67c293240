"""A provider that plays one conversation with tools in each wire format, and notes what a request fails to carry.

Step 0 reasons and asks for two tools at once, step 1 reasons and asks for one more, step 2 answers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.whole.upstream import DONE, Received, Step, stream, whole


@dataclass(frozen=True)
class Scene:
    """What the model says at one step."""

    reasoning: str
    seal: str
    calls: tuple[tuple[str, str, str], ...]
    text: str = ""


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
    """Answers a provider's three endpoints, by how far the conversation has come."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        """What requests failed to carry."""

    def answer(self, request: Received) -> list[Step]:
        """Return the next step of the conversation."""
        body = request.json
        read, write = {
            "/v1/chat/completions": (_chat_history, _Chat),
            "/v1/responses": (_responses_history, _Responses),
            "/v1/messages": (_messages_history, _Messages),
        }[request.target]
        history = list(read(body))
        results = {each[1]: each[2] for each in history if each[0] == "result"}
        step = {0: 0, 2: 1, 3: 2}[len(results)]
        self._check(history, step, str(request.target))
        scene = SCENES[step]
        usage = (100 * (step + 1), 40, 20)
        return write.stream(scene, usage) if body.get("stream") else whole(write.whole(scene, usage))

    def _check(self, history: list[tuple[str, ...]], step: int, where: str) -> None:
        expected: list[tuple[str, ...]] = []
        for scene in SCENES[:step]:
            expected.append(("reasoning", scene.reasoning, "" if "chat" in where else scene.seal))
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


Usage = tuple[int, int, int]


class _Chat:
    @staticmethod
    def _usage(usage: Usage) -> dict[str, Any]:
        told, cached, out = usage
        return {
            "prompt_tokens": told,
            "completion_tokens": out,
            "total_tokens": told + out,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    @classmethod
    def whole(cls, scene: Scene, usage: Usage) -> dict[str, Any]:
        calls = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in scene.calls
        ]
        message: dict[str, Any] = {"role": "assistant", "content": scene.text or None}
        if scene.reasoning:
            message["reasoning_content"] = scene.reasoning
        if calls:
            message["tool_calls"] = calls
        finish = "tool_calls" if calls else "stop"
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": cls._usage(usage),
        }

    @classmethod
    def stream(cls, scene: Scene, usage: Usage) -> list[Step]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        deltas += [{"reasoning_content": piece} for piece in _halves(scene.reasoning)]
        deltas += [{"content": piece} for piece in _halves(scene.text)]
        for index, (call_id, name, arguments) in enumerate(scene.calls):
            begun: dict[str, Any] = {
                "index": index,
                "id": call_id,
                "type": "function",
                "function": {"name": name, "arguments": ""},
            }
            deltas.append({"tool_calls": [begun]})
            for piece in _halves(arguments):
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
        chunks: list[dict[str, Any]] = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        finish = "tool_calls" if scene.calls else "stop"
        chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        chunks.append({**base, "choices": [], "usage": cls._usage(usage)})
        return stream(*[b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks], DONE)


class _Responses:
    @staticmethod
    def _items(scene: Scene) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if scene.reasoning:
            summary = [{"type": "summary_text", "text": scene.reasoning}]
            items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": scene.seal})
        for number, (call_id, name, arguments) in enumerate(scene.calls):
            call = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
            items.append({"id": f"fc_{number}", **call, "status": "completed"})
        if scene.text:
            text: dict[str, Any] = {"type": "output_text", "text": scene.text, "annotations": [], "logprobs": []}
            items.append(
                {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
            )
        return items

    @classmethod
    def whole(cls, scene: Scene, usage: Usage) -> dict[str, Any]:
        told, cached, out = usage
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "model": "scripted",
            "output": cls._items(scene),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": told,
                "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
                "output_tokens": out,
                "output_tokens_details": {"reasoning_tokens": 5},
                "total_tokens": told + out,
            },
        }

    @classmethod
    def stream(cls, scene: Scene, usage: Usage) -> list[Step]:
        final = cls.whole(scene, usage)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {**final, "status": "in_progress", "output": [], "usage": None}}
        ]
        for index, item in enumerate(final["output"]):
            at = {"output_index": index, "item_id": item["id"]}
            match item["type"]:
                case "reasoning":
                    empty: dict[str, Any] = {**item, "summary": [], "encrypted_content": ""}
                    events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
                    part = {**at, "summary_index": 0}
                    events.append(
                        {
                            "type": "response.reasoning_summary_part.added",
                            **part,
                            "part": {"type": "summary_text", "text": ""},
                        }
                    )
                    events += _deltas("response.reasoning_summary_text.delta", part, scene.reasoning)
                    events.append({"type": "response.reasoning_summary_text.done", **part, "text": scene.reasoning})
                    events.append({"type": "response.reasoning_summary_part.done", **part, "part": item["summary"][0]})
                case "function_call":
                    empty = {**item, "arguments": "", "status": "in_progress"}
                    events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
                    events += _deltas("response.function_call_arguments.delta", at, item["arguments"])
                    events.append(
                        {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}
                    )
                case _:
                    empty = {**item, "content": [], "status": "in_progress"}
                    events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
                    part = {**at, "content_index": 0}
                    blank = {**item["content"][0], "text": ""}
                    events.append({"type": "response.content_part.added", **part, "part": blank})
                    events += _deltas("response.output_text.delta", {**part, "logprobs": []}, scene.text)
                    events.append({"type": "response.output_text.done", **part, "text": scene.text, "logprobs": []})
                    events.append({"type": "response.content_part.done", **part, "part": item["content"][0]})
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        events.append({"type": "response.completed", "response": final})
        return stream(*[_named({**event, "sequence_number": n}) for n, event in enumerate(events)])


class _Messages:
    @staticmethod
    def _usage(usage: Usage) -> dict[str, Any]:
        told, cached, out = usage
        return {
            "input_tokens": told - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": out,
        }

    @classmethod
    def whole(cls, scene: Scene, usage: Usage) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if scene.reasoning:
            content.append({"type": "thinking", "thinking": scene.reasoning, "signature": scene.seal})
        if scene.text:
            content.append({"type": "text", "text": scene.text})
        for call_id, name, arguments in scene.calls:
            content.append({"type": "tool_use", "id": call_id, "name": name, "input": json.loads(arguments)})
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": content,
            "stop_reason": "tool_use" if scene.calls else "end_turn",
            "stop_sequence": None,
            "usage": cls._usage(usage),
        }

    @classmethod
    def stream(cls, scene: Scene, usage: Usage) -> list[Step]:
        final = cls.whole(scene, usage)
        begun: dict[str, Any] = {
            **final,
            "content": [],
            "stop_reason": None,
            "usage": {**final["usage"], "output_tokens": 1},
        }
        events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
        calls = iter(scene.calls)
        for index, block in enumerate(final["content"]):
            match block["type"]:
                case "thinking":
                    empty: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
                    deltas: list[dict[str, Any]] = [
                        {"type": "thinking_delta", "thinking": piece} for piece in _halves(scene.reasoning)
                    ]
                    deltas.append({"type": "signature_delta", "signature": scene.seal})
                case "text":
                    empty = {"type": "text", "text": ""}
                    deltas = [{"type": "text_delta", "text": piece} for piece in _halves(scene.text)]
                case _:
                    empty = {**block, "input": {}}
                    pieces = ["", *_halves(next(calls)[2])]
                    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        stop = {"stop_reason": final["stop_reason"], "stop_sequence": None}
        events.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": usage[2]}})
        events.append({"type": "message_stop"})
        return stream(*[_named(event) for event in events])


def _deltas(kind: str, at: dict[str, Any], text: str) -> list[dict[str, Any]]:
    return [{"type": kind, **at, "delta": piece} for piece in _halves(text)]


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def _named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
