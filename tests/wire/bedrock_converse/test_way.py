"""A caller of another format, with Bedrock behind: streams are translated, and seals cross turns."""

import json
from typing import Any

import pytest
from tests.wire.bedrock_converse.framed import event
from tests.wire.bedrock_converse.model import check

from komeet.catalog.profile import Profile
from komeet.wire.bedrock_converse.format import FORMAT
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.way import Way

STREAM = b"".join(
    [
        event("messageStart", role="assistant"),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "Hm."}}),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "c2VhbA=="}}),
        event("contentBlockStop", contentBlockIndex=0),
        event("contentBlockDelta", contentBlockIndex=1, delta={"text": "Hello."}),
        event("contentBlockStop", contentBlockIndex=1),
        event("messageStop", stopReason="end_turn"),
        event("metadata", usage={"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}),
    ]
)


def _way(caller: str, **members: Any) -> Way:
    wire = BOTH_ROLES[caller]
    body = {"model": "m", "stream": True, **members}
    return Way(wire, FORMAT, wire.parse_envelope(json.dumps(body).encode(), {}), id="1", created=1)


def _messages(*more: Any) -> Way:
    return _way("anthropic_messages", max_tokens=100, messages=[{"role": "user", "content": "Hi"}, *more])


@pytest.mark.parametrize("caller", ["openai_chat", "anthropic_messages"])
def test_a_stream_is_translated_and_metered(caller: str) -> None:
    way = _way(caller, max_tokens=100, messages=[{"role": "user", "content": "Hi"}])
    tap = way.tap()
    out = b"".join([tap.feed(STREAM[at : at + 7]) for at in range(0, len(STREAM), 7)])
    rest, complete = tap.end()
    assert complete
    assert tap.usage is not None
    assert (tap.usage.input, tap.usage.output) == (5, 7)
    assert tap.output_text() == "Hm.Hello."
    assert b"Hello." in out + rest


def test_what_bedrock_sealed_comes_back_to_it_through_another_format() -> None:
    answer = _messages().whole(STREAM, streamed=True)
    assert not isinstance(answer, Exception)
    events = answer.render(None)
    wrapped = next(
        json.loads(line[6:])["delta"]["signature"]
        for line in events.splitlines()
        if line.startswith(b"data:") and b"signature_delta" in line
    )
    said = [{"type": "thinking", "thinking": "Hm.", "signature": wrapped}, {"type": "text", "text": "Hello."}]
    way = _messages({"role": "assistant", "content": said}, {"role": "user", "content": "And?"})
    edited = way.request(model="m", profile=Profile(), output_limit=None, ask_usage=True)
    check(edited.body)
    assert json.loads(edited.body)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2VhbA=="}}},
        {"text": "Hello."},
    ]
    assert edited.losses == ()


def test_json_by_a_tool_comes_back_as_the_answer() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    form: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    way = _way("openai_chat", stream=False, messages=[{"role": "user", "content": "Hi"}], response_format=form)
    call = {"toolUse": {"toolUseId": "t", "name": "json_output", "input": {"a": 1}}}
    answer = {"output": {"message": {"role": "assistant", "content": [call]}}, "stopReason": "tool_use"}
    whole = way.whole(json.dumps(answer).encode(), streamed=False)
    assert not isinstance(whole, Exception)
    (choice,) = json.loads(whole.render(None))["choices"]
    assert json.loads(choice["message"]["content"]) == {"a": 1}
    assert choice["finish_reason"] == "stop"
