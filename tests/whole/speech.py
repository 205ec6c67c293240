"""What a provider writes in each wire format when its model says something, whole and as a stream."""

import json
from dataclasses import dataclass
from typing import Any

from tests.whole.upstream import DONE, Step, stream

Usage = tuple[int, int, int]
"""Tokens of the prompt, how many of them came from a cache, and tokens of the answer."""


@dataclass(frozen=True)
class Scene:
    """What a model says at one step: reasoning, what seals it, calls (id, name, arguments), text."""

    reasoning: str
    seal: str
    calls: tuple[tuple[str, str, str], ...]
    text: str = ""
    stop: str = ""
    """Why it ended, where that is not plain: `length` or `sequence`."""
    model: str = "scripted"
    form: Any = None
    """What was asked of the text: answers in Responses repeat it."""


class Chat:
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
        finish = _ended(scene, calls="tool_calls", end="stop", length="length", sequence="stop")
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": scene.model,
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
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": scene.model}
        chunks: list[dict[str, Any]] = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        finish = _ended(scene, calls="tool_calls", end="stop", length="length", sequence="stop")
        chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        chunks.append({**base, "choices": [], "usage": cls._usage(usage)})
        return stream(*[b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks], DONE)


class Responses:
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
            "status": "incomplete" if scene.stop == "length" else "completed",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if scene.stop == "length" else None,
            "model": scene.model,
            "output": cls._items(scene),
            "parallel_tool_calls": True,
            "text": scene.form or {"format": {"type": "text"}},
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
        events.append({"type": f"response.{final['status']}", "response": final})
        return stream(*[_named({**event, "sequence_number": n}) for n, event in enumerate(events)])


class Messages:
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
            "model": scene.model,
            "content": content,
            "stop_reason": _ended(
                scene, calls="tool_use", end="end_turn", length="max_tokens", sequence="stop_sequence"
            ),
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


def _ended(scene: Scene, *, calls: str, end: str, length: str, sequence: str) -> str:
    if scene.calls:
        return calls
    return {"": end, "length": length, "sequence": sequence}[scene.stop]


class Gemini:
    @staticmethod
    def _usage(usage: Usage) -> dict[str, Any]:
        told, cached, out = usage
        return {
            "promptTokenCount": told,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": out - 5,
            "thoughtsTokenCount": 5,
            "totalTokenCount": told + out,
        }

    @classmethod
    def _answer(cls, scene: Scene, parts: list[dict[str, Any]], usage: Usage, finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
        if finish:
            candidate["finishReason"] = finish
        base = {"candidates": [candidate], "modelVersion": scene.model, "responseId": "resp-1"}
        return {**base, "usageMetadata": cls._usage(usage)}

    @classmethod
    def _parts(cls, scene: Scene) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        if scene.reasoning:
            parts.append({"text": scene.reasoning, "thought": True})
        if scene.text:
            parts.append({"text": scene.text})
        for call_id, name, arguments in scene.calls:
            parts.append({"functionCall": {"id": call_id, "name": name, "args": json.loads(arguments)}})
        if scene.seal and parts:  # of calls made at once the first carries it
            signed = next((part for part in parts if "functionCall" in part), parts[-1])
            signed["thoughtSignature"] = scene.seal
        return parts

    @classmethod
    def whole(cls, scene: Scene, usage: Usage) -> dict[str, Any]:
        finish = "MAX_TOKENS" if scene.stop == "length" else "STOP"
        return cls._answer(scene, cls._parts(scene), usage, finish)

    @classmethod
    def stream(cls, scene: Scene, usage: Usage) -> list[Step]:
        finish = "MAX_TOKENS" if scene.stop == "length" else "STOP"
        pieces: list[dict[str, Any]] = []
        for part in cls._parts(scene):
            texts = _halves(part["text"]) if "text" in part and "thoughtSignature" not in part else [None]
            pieces += [part if text is None else {**part, "text": text} for text in texts]
        last = len(pieces) - 1
        answers = [cls._answer(scene, [piece], usage, finish if n == last else None) for n, piece in enumerate(pieces)]
        return stream(*[b"data: " + json.dumps(answer).encode() + b"\r\n\r\n" for answer in answers])
