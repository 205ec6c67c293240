"""Answers to begin with, small and written by hand: one of each thing that a provider's format can say."""

import json
from collections.abc import Iterator
from typing import Any, Final

Said = dict[str, Any]

WHOLE: Final = 0
STREAM: Final = 1


def starts_of(name: str) -> Iterator[tuple[int, bytes]]:
    """Yield answers in a format, each with whether it is whole or a stream."""
    match name:
        case "openai_chat":
            yield from _chat()
        case "openai_responses":
            yield from _responses()
        case "anthropic_messages":
            yield from _messages()
        case "gemini":
            yield from _gemini()
        case "bedrock_converse":
            yield from _converse()
        case _:
            yield from _cohere()


def refusals() -> Iterator[bytes]:
    """Yield refusals in all shapes: a header field, and a body."""
    yield b'x: y\n{"error":{"message":"No.","type":"invalid_request_error","param":"a.b","code":"x"}}'
    yield b"retry-after: 2\n{}"
    yield b'retry-after-ms: 1500.5\n[{"error":{"code":400,"message":"No.","status":"INVALID_ARGUMENT"}}]'
    yield b'retry-after: Wed, 21 Oct 2026 07:28:00 GMT\n{"message":"No."}'
    yield b'x: y\n{"type":"error","error":{"type":"overloaded_error","message":"No."},"request_id":"r"}'
    yield b'x-amzn-errortype: ThrottlingException:http://x\n{"message":"Slow"}'
    yield b'x: y\n{"error":{"code":429,"message":"No.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"3s"}]}}'
    yield b'x: y\n{"detail":"No."}'
    yield b"x: y\n<html>no</html>"
    yield b'x: y\n{"error":{"message":"You do not have permission to access the File x. API_KEY_INVALID","status":"X"}}'
    yield b'x: y\n{"error":{"message":"stream_options is not taken","code":"insufficient_quota"}}'
    yield b'x: y\n{"__type":"com#ValidationException","Message":"No."}'


def _whole(said: Said) -> tuple[int, bytes]:
    return WHOLE, _dumped(said)


def _data(*chunks: Said | str) -> tuple[int, bytes]:
    lines = [chunk.encode() if isinstance(chunk, str) else _dumped(chunk) for chunk in chunks]
    return STREAM, b"".join([b"data: " + line + b"\n\n" for line in lines])


def _named(*chunks: Said, by: str = "type") -> tuple[int, bytes]:
    return STREAM, b"".join(
        [b"event: %b\ndata: %b\n\n" % (str(chunk[by]).encode(), _dumped(chunk)) for chunk in chunks]
    )


def _dumped(said: Said) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


_CHAT_USAGE: Final[Said] = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def _chat() -> Iterator[tuple[int, bytes]]:
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "x"}}
    cited = [{"type": "url_citation", "url_citation": {"url": "https://x", "title": "t", "start_index": 0}}]
    messages: tuple[Said, ...] = (
        {"role": "assistant", "content": "Hello", "refusal": None, "annotations": cited},
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "assistant", "content": "x", "reasoning_content": "Hm", "reasoning_details": [{"type": "t"}]},
        {"role": "assistant", "refusal": "No", "reasoning": "Hm"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
        {"role": "assistant", "audio": {"id": "a", "data": "AAAA", "expires_at": 1, "transcript": "Hi"}},
        {"role": "assistant", "content": "x", "images": [{"image_url": {"url": "data:image/png;base64,AAAA"}}]},
    )
    for number, message in enumerate(messages):
        reason = ("stop", "tool_calls", "length", "content_filter", "function_call", None, "other")[number]
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        yield _whole({**head, "choices": [choice], "usage": _CHAT_USAGE, "service_tier": "default"})
    yield _whole({"error": {"message": "no", "code": 503}})
    head["object"] = "chat.completion.chunk"

    def chunk(delta: Said, reason: str | None = None, **more: Any) -> Said:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}

    yield _data(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        {**head, "choices": [], "usage": _CHAT_USAGE},
        "[DONE]",
    )
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    yield _data(
        chunk({"reasoning_content": "Hm"}),
        chunk({"tool_calls": [begun]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}, {**begun, "index": 1, "id": "d"}]}),
        chunk({}, "tool_calls", usage=_CHAT_USAGE),
        "[DONE]",
    )
    yield _data(chunk({"audio": {"id": "a", "data": "AAAA", "transcript": "x"}}), chunk({"refusal": "No"}))
    yield _data(chunk({"content": "x"}), {"error": {"message": "no", "code": 429}})


_RESPONSES_USAGE: Final[Said] = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}


def _responses() -> Iterator[tuple[int, bytes]]:
    text: Said = {"type": "output_text", "text": "Hello", "annotations": [{"type": "url_citation", "url": "https://x"}]}
    message: Said = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    items: tuple[Said, ...] = (
        message,
        {**message, "content": [{"type": "refusal", "refusal": "No"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "encrypted_content": "e",
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a":1}',
            "namespace": "n",
        },
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "g", "input": "x"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
    )
    head: Said = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    head |= {"usage": _RESPONSES_USAGE, "service_tier": "default"}
    for item in items:
        yield _whole({**head, "output": [item]})
    yield _whole({**head, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []})
    yield _whole({**head, "status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []})
    for item in items:
        yield _named(*_item_told(item, head))
    failed: Said = {**head, "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "no"}, "output": []}
    yield _named({"type": "response.failed", "response": failed})
    yield _named({"type": "error", "code": "x", "message": "no", "param": None})


def _item_told(item: Said, head: Said) -> Iterator[Said]:
    started: Said = {**head, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "sequence_number": 0, "response": started}
    at = {"output_index": 0, "item_id": item["id"]}
    yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": [], "summary": []}}
    match item["type"]:
        case "message":
            part = {**at, "content_index": 0}
            kind = item["content"][0]["type"]
            yield {"type": "response.content_part.added", **part, "part": {"type": kind, kind: "", "text": ""}}
            yield {"type": f"response.{kind}.delta", **part, "delta": "Hello"}
            cited = {"type": "url_citation", "url": "https://x"}
            yield {"type": "response.output_text.annotation.added", **part, "annotation_index": 0, "annotation": cited}
            yield {"type": f"response.{kind}.done", **part, "text": "Hello", "refusal": "Hello"}
            yield {"type": "response.content_part.done", **part, "part": item["content"][0]}
        case "reasoning":
            part = {**at, "summary_index": 0, "content_index": 0}
            yield {
                "type": "response.reasoning_summary_part.added",
                **part,
                "part": {"type": "summary_text", "text": ""},
            }
            yield {"type": "response.reasoning_summary_text.delta", **part, "delta": "Hm"}
            yield {"type": "response.reasoning_text.delta", **part, "delta": "Hm"}
        case "function_call":
            yield {"type": "response.function_call_arguments.delta", **at, "delta": '{"a":1}'}
        case "custom_tool_call":
            yield {"type": "response.custom_tool_call_input.delta", **at, "delta": "x"}
        case _:
            pass
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": {**head, "output": [item]}}


_MESSAGES_USAGE: Final[Said] = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 1,
    "cache_read_input_tokens": 2,
    "cache_creation": {"ephemeral_1h_input_tokens": 1, "ephemeral_5m_input_tokens": 0},
    "output_tokens": 5,
    "service_tier": "standard",
}


def _messages() -> Iterator[tuple[int, bytes]]:
    cited = {"type": "web_search_result_location", "url": "https://x", "title": "t", "cited_text": "c"}
    blocks: tuple[tuple[Said, tuple[Said, ...]], ...] = (
        ({"type": "text", "text": "Hello", "citations": [cited]}, ({"type": "text_delta", "text": "Hello"},)),
        (
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            ({"type": "thinking_delta", "thinking": "Hm"}, {"type": "signature_delta", "signature": "c2ln"}),
        ),
        ({"type": "redacted_thinking", "data": "ZGF0YQ=="}, ()),
        (
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            ({"type": "input_json_delta", "partial_json": '{"a":'}, {"type": "input_json_delta", "partial_json": "1}"}),
        ),
        (
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            ({"type": "input_json_delta", "partial_json": "{}"},),
        ),
        ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, ()),
        ({"type": "text", "text": ""}, ({"type": "citations_delta", "citation": cited},)),
    )
    head: Said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    reasons = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "other")
    for (block, _), reason in zip(blocks, reasons, strict=True):
        yield _whole({**head, "content": [block], "stop_reason": reason, "usage": _MESSAGES_USAGE})
    yield _whole({"type": "error", "error": {"type": "overloaded_error", "message": "no"}})
    for (block, deltas), reason in zip(blocks, reasons, strict=True):
        empty: Said = {name: "" if isinstance(value, str) else value for name, value in block.items()}
        begun: Said = {**empty, "type": block["type"]} | (
            {"name": "f", "id": "t", "input": {}} if "name" in block else {}
        )
        yield _named(
            {
                "type": "message_start",
                "message": {**head, "content": [], "stop_reason": None, "usage": _MESSAGES_USAGE},
            },
            {"type": "content_block_start", "index": 0, "content_block": begun},
            {"type": "ping"},
            *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        )
    yield _named({"type": "error", "error": {"type": "rate_limit_error", "message": "no"}})


_GEMINI_USAGE: Final[Said] = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 2,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 2,
    "toolUsePromptTokenCount": 1,
    "totalTokenCount": 15,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
}


def _gemini() -> Iterator[tuple[int, bytes]]:
    parts: tuple[Said, ...] = (
        {"text": "Hello"},
        {"text": "Hm", "thought": True, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "x"}, "thoughtSignature": "c2ln"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"fileData": {"mimeType": "a/b", "fileUri": "https://x"}},
        {"text": "", "thoughtSignature": "c2ln"},
    )
    reasons = ("STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL", "OTHER", 1, None, "STOP")
    grounding: Said = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "https://x", "title": "t"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 2, "text": "He"}, "groundingChunkIndices": [0]}
        ],
    }
    told: list[Said] = []
    for part, reason in zip(parts, reasons, strict=True):
        candidate: Said = {"content": {"parts": [part], "role": "model"}, "finishReason": reason, "index": 0}
        candidate["groundingMetadata"] = grounding
        told.append({"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "m", "responseId": "r"})
    told.append({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": _GEMINI_USAGE})
    told.append({"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}})
    for each in told:
        yield _whole(each)
    for at in range(len(told)):
        begun = {**told[at], "candidates": [{"content": {"parts": [parts[at % 8]]}}]}
        yield _data(begun, told[(at + 1) % len(told)], told[at])


_CONVERSE_USAGE: Final[Said] = {
    "inputTokens": 9,
    "outputTokens": 5,
    "totalTokens": 17,
    "cacheReadInputTokens": 2,
    "cacheWriteInputTokens": 1,
}


def _converse() -> Iterator[tuple[int, bytes]]:
    reasoning: Said = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}}
    blocks: tuple[Said, ...] = (
        {"text": "Hello"},
        reasoning,
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"toolUse": {"toolUseId": "t_1", "name": "f", "input": {"a": 1}}},
        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
        {"citationsContent": {"content": [{"text": "x"}], "citations": [{"title": "t", "source": "s"}]}},
        {"toolUse": {"toolUseId": "t_2", "name": "g", "type": "server_tool_use", "input": {}}},
        {"toolResult": {"toolUseId": "t_2", "type": "x", "content": [{"text": "x"}]}},
    )
    reasons = (
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "guardrail_intervened",
        "content_filtered",
        "x",
        "",
    )
    for block, reason in zip(blocks, reasons, strict=True):
        message = {"message": {"role": "assistant", "content": [block]}}
        yield _whole({"output": message, "stopReason": reason, "usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 1}})
    deltas: tuple[tuple[Said, Said], ...] = (
        ({}, {"text": "Hello"}),
        ({}, {"reasoningContent": {"text": "Hm"}}),
        ({}, {"reasoningContent": {"signature": "c2ln"}}),
        ({}, {"reasoningContent": {"redactedContent": "AAAA"}}),
        ({"toolUse": {"toolUseId": "t_1", "name": "f"}}, {"toolUse": {"input": '{"a":1}'}}),
        ({}, {"citation": {"title": "t", "location": {"web": {"url": "https://x"}}}}),
        ({"toolResult": {"toolUseId": "t_2"}}, {"toolResult": [{"text": "x"}]}),
        ({"image": {"format": "png"}}, {"image": {"source": {"bytes": "AAAA"}}}),
    )
    for (start, delta), reason in zip(deltas, reasons, strict=True):
        told: tuple[tuple[str, Said], ...] = (
            ("messageStart", {"role": "assistant", "p": "ab"}),
            ("contentBlockStart", {"start": start, "contentBlockIndex": 0}),
            ("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": reason}),
            ("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 1}}),
        )
        yield STREAM, b"".join([b"event: %b\ndata: %b\n\n" % (kind.encode(), _dumped(said)) for kind, said in told])
    yield STREAM, b'event: throttlingException\ndata: {"message":"Slow"}\n\n'


_COHERE_USAGE: Final[Said] = {
    "billed_units": {"input_tokens": 7, "output_tokens": 2},
    "tokens": {"input_tokens": 70, "output_tokens": 4},
}


def _cohere() -> Iterator[tuple[int, bytes]]:
    call = {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    cited = {
        "start": 0,
        "end": 2,
        "text": "He",
        "sources": [{"type": "document", "id": "d", "document": {"title": "t"}}],
    }
    messages: tuple[Said, ...] = (
        {"content": [{"type": "text", "text": "Hello"}], "citations": [cited]},
        {"content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "x"}]},
        {"tool_plan": "I look.", "tool_calls": [call]},
        {"content": []},
    )
    reasons = ("COMPLETE", "MAX_TOKENS", "TOOL_CALL", "ERROR")
    for message, reason in zip(messages, reasons, strict=True):
        told = {"id": "c", "finish_reason": reason, "message": {"role": "assistant", **message}, "usage": _COHERE_USAGE}
        yield _whole(told)

    def delta(kind: str, index: int, message: Said) -> Said:
        return {"type": kind, "index": index, "delta": {"message": message}}

    start: Said = {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant", "content": []}}}
    middles: tuple[tuple[Said, ...], ...] = (
        (
            delta("content-start", 0, {"content": {"type": "text", "text": ""}}),
            delta("content-delta", 0, {"content": {"text": "Hello"}}),
            delta("citation-start", 0, {"citations": cited}),
            {"type": "citation-end", "index": 0},
            {"type": "content-end", "index": 0},
        ),
        (
            delta("content-start", 0, {"content": {"type": "thinking", "thinking": ""}}),
            delta("content-delta", 0, {"content": {"thinking": "Hm"}}),
            {"type": "content-end", "index": 0},
        ),
        (
            {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I look."}}},
            delta("tool-call-start", 0, {"tool_calls": {**call, "function": {"name": "f", "arguments": ""}}}),
            delta("tool-call-delta", 0, {"tool_calls": {"function": {"arguments": '{"a":1}'}}}),
            {"type": "tool-call-end", "index": 0},
        ),
        (),
    )
    for middle, reason in zip(middles, reasons, strict=True):
        yield _named(
            start, *middle, {"type": "message-end", "delta": {"finish_reason": reason, "usage": _COHERE_USAGE}}
        )
