"""The way between two formats: which one is taken, and what it does that no format does alone."""

import json
from typing import Any

import pytest

from komeet.canonical.part import Inline
from komeet.catalog.profile import Profile, Structured
from komeet.core.errors import Unrepresentable
from komeet.wire.formats import BOTH_ROLES, choose_format
from komeet.wire.seal import MARK, is_wrapped, unwrap, wrap
from komeet.wire.way import Way

CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"


def way(caller: str, target: str, body: dict[str, Any], **policy: bool) -> Way:
    wire = BOTH_ROLES[caller]
    envelope = wire.parse_envelope(json.dumps({"model": "m", **body}).encode(), {})
    return Way(wire, BOTH_ROLES[target], envelope, id="1", created=1, **policy)


def sent(found: Way, profile: Profile | None = None) -> Any:
    edited = found.request(model="n", profile=profile or Profile(), output_limit=None, ask_usage=False)
    return json.loads(edited.body)


@pytest.mark.parametrize(
    ("caller", "spoken", "taken", "chosen"),
    [
        (CHAT, (RESPONSES, CHAT), (), CHAT),
        (MESSAGES, (RESPONSES, CHAT), (), RESPONSES),
        (CHAT, (RESPONSES, CHAT), (RESPONSES,), RESPONSES),
        (CHAT, (CHAT,), (RESPONSES,), CHAT),
    ],
)
def test_the_callers_format_is_used_where_it_may_be(
    caller: str, spoken: tuple[str, ...], taken: tuple[str, ...], chosen: str
) -> None:
    assert choose_format(caller, "generation", spoken, taken) == chosen


def test_the_identity_path_is_left_where_it_must_not_be_taken() -> None:
    hello = {"messages": [{"role": "user", "content": "Hi"}]}
    assert way(CHAT, CHAT, hello).identity
    assert not way(CHAT, CHAT, hello, pass_through=False).identity
    assert not way(CHAT, RESPONSES, hello).identity
    assert not way(CHAT, CHAT, {"messages": [{"role": "user", "content": wrap(None)}]}).identity


def test_the_strict_policy_refuses_what_would_be_lost_on_either_path() -> None:
    hello = {"messages": [{"role": "user", "content": "Hi"}], "stop": ["x"]}
    with pytest.raises(Unrepresentable) as refused:
        sent(way(CHAT, RESPONSES, hello, strict=True))
    assert refused.value.param == "stop"
    profile = Profile(accepts=("model", "messages"))
    with pytest.raises(Unrepresentable) as refused:
        sent(way(CHAT, CHAT, hello, strict=True), profile)
    assert refused.value.param == "stop"


def test_a_document_that_the_provider_does_not_fetch_is_put_in_the_place_of_its_address() -> None:
    url = "https://example.com/paper.pdf?sig=1"
    body = {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": url}]}]}
    assert way(RESPONSES, MESSAGES, body).urls() == ()
    found = way(RESPONSES, CHAT, body)
    assert found.urls() == (url,)
    found.inline(url, Inline("application/pdf", "JVBERi0="))
    file = {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "paper.pdf"}
    assert sent(found)["messages"][0]["content"] == [{"type": "file", "file": file}]


def test_a_schema_by_a_tool_comes_back_as_the_answer() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object"}}}
    found = way(CHAT, MESSAGES, {"messages": [{"role": "user", "content": "Hi"}], "response_format": schema})
    assert sent(found, Profile(structured=Structured.TOOL))["tool_choice"]["name"] == "json_output"
    block = {"type": "tool_use", "id": "toolu_1", "name": "json_output", "input": {"a": 1}}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "model": "n", "content": [block], "stop_reason": "tool_use"}
    answered = found.whole(json.dumps(message | {"usage": usage}).encode(), streamed=False)
    assert not isinstance(answered, Exception)
    choice = json.loads(answered.render(None))["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"a": 1}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("text", ["", MARK, f"{MARK}!", f"{MARK}e30", "other"])
def test_a_damaged_seal_is_none(text: str) -> None:
    assert unwrap(text) is None
    assert is_wrapped(text) is text.startswith(MARK)
