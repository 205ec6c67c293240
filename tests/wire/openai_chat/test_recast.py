"""An answer in the other form says the same."""

import json
from typing import Any

import pytest

from komeet.core.errors import CutMidStream, Garbled, UpstreamBusy, UpstreamError
from komeet.wire.openai_chat.recast import as_stream, as_whole
from komeet.wire.openai_chat.tap import ChatTap

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 7,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello",
                "refusal": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}


@pytest.mark.parametrize("asked", [False, True])
def test_a_whole_answer_as_a_stream(asked: bool) -> None:
    stream = as_stream(json.dumps(ANSWER).encode(), include_usage=asked)
    assert stream.endswith(b"data: [DONE]\n\n")
    chunks = [json.loads(text[6:]) for text in stream.split(b"\n\n") if text.startswith(b"data: {")]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-1"}
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * (len(chunks) - 1) + [asked]
    tap = ChatTap(include_usage=True)
    tap.feed(stream)
    assert tap.end() == (b"", True)
    assert tap.output_text() == 'Hellof{"x": 1}'


def test_there_and_back() -> None:
    back = json.loads(as_whole(as_stream(json.dumps(ANSWER).encode(), include_usage=True)))
    assert back["usage"].items() >= ANSWER["usage"].items()
    assert back | {"usage": None} == ANSWER | {"usage": None}


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"", CutMidStream),
        (b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n', CutMidStream),
        (b'data: {"error":{"message":"overloaded","code":503}}\n\n', UpstreamBusy),
        (b"data: what?\n\n", Garbled),
    ],
)
def test_a_broken_stream_is_no_answer(stream: bytes, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        as_whole(stream)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id":"x"}', b"<html>"])
def test_what_is_no_answer_is_no_stream(body: bytes) -> None:
    with pytest.raises(Garbled):
        as_stream(body, include_usage=False)
