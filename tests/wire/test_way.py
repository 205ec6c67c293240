"""The way between two formats: which one is taken, and what it does that no format does alone."""

import json
from typing import Any

import pytest

from komeet.canonical.part import Inline
from komeet.catalog.profile import Profile, Structured
from komeet.core.errors import Garbled, Unrepresentable, WireError
from komeet.wire.format import NOWHERE, Where
from komeet.wire.formats import BOTH_ROLES, choose_format
from komeet.wire.seal import MARK, is_wrapped, unwrap, wrap
from komeet.wire.way import HubTap, Way

CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"


def way(caller: str, target: str, body: dict[str, Any], **policy: Any) -> Way:
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


HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
SAID = b'data: {"id":"c","model":"n","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'


@pytest.mark.parametrize("pieces", [(SAID + b"data: what?\n\n",), (SAID, b"data: what?\n\n")])
def test_what_was_written_before_a_stream_was_garbled_is_told(pieces: tuple[bytes, ...]) -> None:
    """Else what is written next would go on from there: an array without its first bracket, a part never begun."""
    for caller, path in (("gemini", Where("/v1beta/models/m:streamGenerateContent")), (MESSAGES, NOWHERE)):
        body = {"contents": [{"parts": [{"text": "Hi"}]}]} if caller == "gemini" else HELLO | {"max_tokens": 9}
        wire = BOTH_ROLES[caller]
        envelope = wire.parse_envelope(json.dumps({"model": "m", "stream": True, **body}).encode(), {}, path)
        tap = Way(wire, BOTH_ROLES[CHAT], envelope, id="1", created=1).tap()
        assert isinstance(tap, HubTap)
        told = b""
        with pytest.raises(Garbled):
            for piece in pieces:
                told += tap.feed(piece)
        rest, complete = tap.end()
        assert not complete
        told += rest + tap.fail(Garbled("what?"))
        assert b"Hello" in told
        if caller == "gemini":
            assert [next(iter(each)) for each in json.loads(told)] == ["candidates", "error"]
        else:
            assert told.startswith(b"event: message_start\n")
            assert told.count(b"event: error\n") == 1


@pytest.mark.parametrize("said", [b'"x\xff"', b'{"\xed\xa0\x80":1}'])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_no_utf_8_is_none_to_the_caller(said: bytes, streamed: bool) -> None:
    head = b'{"id":"c","model":"n","unknown":' + said + b',"choices":[{"index":0,"finish_reason":"stop",'
    found = way(RESPONSES, CHAT, {"input": "Hi", "store": False})
    stream = b"data: " + head + b'"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'
    whole = head + b'"message":{"content":"Hi"}}]}'
    answered = found.whole(stream if streamed else whole, streamed=streamed)
    assert not isinstance(answered, Exception)
    assert json.loads(answered.render(None).decode())["output"][0]["content"][0]["text"] == "Hi"
    back = way(CHAT, CHAT, HELLO, pass_through=False).whole(stream if streamed else whole, streamed=streamed)
    assert not isinstance(back, Exception)
    assert "\ufffd" in back.render(None).decode()


@pytest.mark.parametrize("caller", [CHAT, RESPONSES, MESSAGES])
def test_the_text_of_a_request_that_is_not_understood_is_the_request_itself(caller: str) -> None:
    """It may have been answered all the same, and its tokens have to be counted then."""
    member = "input" if caller == RESPONSES else "messages"
    body = {"model": "m", "max_tokens": 9, member: [{"role": "user", "content": [{"type": 7, "text": "hello"}]}]}
    wire = BOTH_ROLES[caller]
    envelope = wire.parse_envelope(json.dumps(body).encode(), {})
    with pytest.raises(WireError):
        wire.parse_request(envelope)
    assert "hello" in wire.prompt_text(envelope)


@pytest.mark.parametrize("text", ["", MARK, f"{MARK}!", f"{MARK}e30", "other"])
def test_a_damaged_seal_is_none(text: str) -> None:
    assert unwrap(text) is None
    assert is_wrapped(text) is text.startswith(MARK)
