"""A thought signature comes back to the call that carried it, whatever format the caller keeps the history in."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from komeet.canonical.request import Request
from komeet.catalog.profile import Profile
from komeet.wire.format import Asked, Envelope
from komeet.wire.formats import BOTH_ROLES

ANSWER: Final[dict[str, Any]] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Let me look."},
                    {"functionCall": {"name": "a", "args": {"x": 1}}, "thoughtSignature": "U0lH"},
                    {"functionCall": {"name": "b", "args": {}}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "responseId": "r1",
    "modelVersion": "gemini-3",
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
}
HI: Final = {"role": "user", "content": "Hi"}


def _chat(answer: Any) -> dict[str, Any]:
    said = answer["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in said["tool_calls"]]
    return {"messages": [HI, said, *results]}


def _responses(answer: Any) -> dict[str, Any]:
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "ok"} for call in calls]
    return {"store": False, "input": [HI, *answer["output"], *results]}


def _messages(answer: Any) -> dict[str, Any]:
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls]
    said = {"role": "assistant", "content": answer["content"]}
    return {"max_tokens": 100, "messages": [HI, said, {"role": "user", "content": results}]}


NEXT: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
}


@pytest.mark.parametrize("caller", NEXT)
def test_a_signature_comes_back_to_its_call(caller: str) -> None:
    gemini, wire = BOTH_ROLES["gemini"], BOTH_ROLES[caller]
    response = gemini.parse_response(json.dumps(ANSWER).encode())
    asked = Asked(
        envelope=Envelope(fields={}, size=0, model="m"), request=Request(model="m", turns=()), id="abc", created=1
    )
    answer = json.loads(wire.render_response(response, asked))
    envelope = wire.parse_envelope(json.dumps({"model": "m", **NEXT[caller](answer)}).encode(), {})
    edited = gemini.render_request(wire.parse_request(envelope), Profile(), ask_usage=False)
    _, said, results = json.loads(edited.body)["contents"]
    text, first, second = said["parts"]
    assert text == {"text": "Let me look."}
    assert (first["functionCall"]["name"], first["thoughtSignature"]) == ("a", "U0lH")
    assert second["functionCall"]["name"] == "b"
    assert "thoughtSignature" not in second
    names = [part["functionResponse"]["name"] for part in results["parts"]]
    assert names == ["a", "b"]
    assert edited.losses == ()
