"""What Amazon Bedrock writes by Converse when its model says something, whole and as frames of its event stream."""

import json
from typing import Any

from tests.whole.speech import Scene, Usage
from tests.whole.upstream import LAST, Step, chunk
from tests.wire.bedrock_converse.framed import event

FRAMES = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Converse:
    @staticmethod
    def _usage(usage: Usage) -> dict[str, Any]:
        told, cached, out = usage
        return {
            "inputTokens": told - cached,
            "cacheReadInputTokens": cached,
            "cacheWriteInputTokens": 0,
            "outputTokens": out,
            "totalTokens": told + out,
        }

    @classmethod
    def whole(cls, scene: Scene, usage: Usage) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if scene.reasoning:
            said = {"text": scene.reasoning, "signature": scene.seal}
            content.append({"reasoningContent": {"reasoningText": said}})
        if scene.text:
            content.append({"text": scene.text})
        for call_id, name, arguments in scene.calls:
            content.append({"toolUse": {"toolUseId": call_id, "name": name, "input": json.loads(arguments)}})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use" if scene.calls else "end_turn",
            "usage": cls._usage(usage),
            "metrics": {"latencyMs": 1},
        }

    @classmethod
    def stream(cls, scene: Scene, usage: Usage) -> list[Step]:
        frames = [event("messageStart", role="assistant")]
        index = 0
        for text in (scene.reasoning, scene.text):
            if not text:
                continue
            thought = text is scene.reasoning
            for piece in (text[:3], text[3:]):
                delta: dict[str, Any] = {"reasoningContent": {"text": piece}} if thought else {"text": piece}
                frames.append(event("contentBlockDelta", contentBlockIndex=index, delta=delta))
            if thought:
                signed = {"reasoningContent": {"signature": scene.seal}}
                frames.append(event("contentBlockDelta", contentBlockIndex=index, delta=signed))
            frames.append(event("contentBlockStop", contentBlockIndex=index))
            index += 1
        for call_id, name, arguments in scene.calls:
            begun = {"toolUse": {"toolUseId": call_id, "name": name}}
            frames.append(event("contentBlockStart", contentBlockIndex=index, start=begun))
            deltas = [{"toolUse": {"input": piece}} for piece in (arguments[:5], arguments[5:])]
            frames += [event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in deltas]
            frames.append(event("contentBlockStop", contentBlockIndex=index))
            index += 1
        frames.append(event("messageStop", stopReason="tool_use" if scene.calls else "end_turn"))
        frames.append(event("metadata", usage=cls._usage(usage), metrics={"latencyMs": 1}))
        return [FRAMES, *[chunk(frame) for frame in frames], LAST]
