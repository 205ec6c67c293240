"""Streams of Cohere's, as its client library describes them, and what is read from one."""

import json
from typing import Any

from komeet.canonical.event import Event
from komeet.wire.cohere_chat.format import FORMAT


def stream(*events: dict[str, Any]) -> bytes:
    """Return the stream that says `events`."""
    return b"".join([f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events])


def start() -> dict[str, Any]:
    return {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant", "content": []}}}


def block(index: int, name: str, *texts: str) -> list[dict[str, Any]]:
    """A whole block of the content: `text` or `thinking`."""
    begun = {"type": "content-start", "index": index, "delta": {"message": {"content": {"type": name, name: ""}}}}
    said = [
        {"type": "content-delta", "index": index, "delta": {"message": {"content": {name: text}}}} for text in texts
    ]
    return [begun, *said, {"type": "content-end", "index": index}]


def plan(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}} for text in texts]


def call(index: int, name: str, *arguments: str) -> list[dict[str, Any]]:
    """A whole call."""
    inside = {"id": f"{name}_1", "type": "function", "function": {"name": name, "arguments": ""}}
    return [
        {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": inside}}},
        *[
            {
                "type": "tool-call-delta",
                "index": index,
                "delta": {"message": {"tool_calls": {"function": {"arguments": more}}}},
            }
            for more in arguments
        ],
        {"type": "tool-call-end", "index": index},
    ]


USAGE = {"billed_units": {"input_tokens": 7, "output_tokens": 2}, "tokens": {"input_tokens": 70, "output_tokens": 4}}


def end(reason: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **more}}


def events(data: bytes, size: int = 0) -> list[Event]:
    """Return what a stream tells, fed in pieces of `size` bytes; 0: at once."""
    framing, parser = FORMAT.framing(), FORMAT.stream_parser()
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    said = [each for piece in pieces for each in framing.feed(piece)] + framing.rest()
    return [event for each in said for event in parser.feed(each)] + list(parser.end())
