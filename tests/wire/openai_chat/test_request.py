"""Requests through the neutral model: everything that was said is said again, or declared, or refused."""

import json
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.part import (
    Audio,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import CustomTool, FunctionTool, ToolChoice, ToolMode
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import Profile, Sampling
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.openai_chat.parse_request import parse_request
from komeet.wire.openai_chat.render_request import render_request

USER: dict[str, object] = {"role": "user", "content": "hi"}


def _parse(*messages: object, **members: object) -> Request:
    body = {"model": "m", "messages": messages or (USER,), **members}
    return parse_request(json.dumps(body).encode())


def _render(request: Request, profile: Profile | None = None) -> dict[str, object]:
    edited = render_request(request, profile or Profile())
    assert edited.losses == ()
    return json.loads(edited.body)


def _again(*messages: object, **members: object) -> list[object]:
    return cast("list[object]", _render(_parse(*messages, **members))["messages"])


PNG = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        ({"role": "system", "content": "s"}, Turn(role=Role.SYSTEM, parts=(Text(text="s"),))),
        ({"role": "developer", "content": ""}, Turn(role=Role.DEVELOPER, parts=(Text(),))),
        (
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            Turn(role=Role.USER, name="ann", parts=(Text(text="a"), Text(text="b"))),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]},
            Turn(role=Role.USER, parts=(Image(source=Inline("image/png", "AAAA"), detail="low"),)),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]},
            Turn(role=Role.USER, parts=(Image(source=Url("https://x.test/a")),)),
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
            Turn(role=Role.USER, parts=(Audio(source=Inline("audio/wav", "AAAA")),)),
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
            Turn(
                role=Role.USER,
                parts=(File(source=FileId("file-1"), extras={"openai_chat.file": {"file_id": Raw(b"null")}}),),
            ),
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_data": PNG, "filename": "a.png"}}]},
            Turn(role=Role.USER, parts=(File(source=Inline("image/png", "AAAA"), filename="a.png"),)),
        ),
        (
            {"role": "assistant", "reasoning_content": "hm", "content": "a", "refusal": "no"},
            Turn(role=Role.ASSISTANT, parts=(Reasoning(text="hm"), Text(text="a"), Refusal(text="no"))),
        ),
        (
            {"role": "assistant", "reasoning": "hm", "content": "a"},
            Turn(role=Role.ASSISTANT, parts=(Reasoning(text="hm", field="reasoning"), Text(text="a"))),
        ),
        (
            {"role": "assistant", "audio": {"id": "audio_1"}},
            Turn(role=Role.ASSISTANT, parts=(Audio(source=FileId("audio_1"), id="audio_1"),)),
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"b":1, "a":1.10}'}},
                    {"id": "2", "type": "custom", "custom": {"name": "g", "input": "free"}},
                ],
            },
            Turn(
                role=Role.ASSISTANT,
                parts=(
                    ToolCall(id="1", name="f", arguments=b'{"b":1, "a":1.10}'),
                    ToolCall(id="2", name="g", arguments=b"free", custom=True),
                ),
            ),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "content": "found"},
            Turn(role=Role.TOOL, parts=(ToolResult(call_id="1", parts=(Text(text="found"),)),)),
        ),
        (
            {"role": "function", "name": "f", "content": "found"},
            Turn(role=Role.TOOL, parts=(ToolResult(call_id="", name="f", parts=(Text(text="found"),)),)),
        ),
    ],
)
def test_messages_are_turns(message: object, turn: Turn) -> None:
    assert _parse(message).turns == (turn,)
    assert _again(message) == [message]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "invented_last_week", "x": [1, 2]}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "x": 1}, "y": 2}]},
        {"role": "assistant", "content": "a", "prefix": True, "annotations": []},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}], "closed": True}],
        },
        {"role": "assistant", "content": "a", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"g": 1}}
            ],
        },
    ],
)
def test_what_the_model_has_no_word_for_is_said_again(message: object) -> None:
    assert _again(message) == [message]


def test_members_of_the_request_are_said_again() -> None:
    members: dict[str, object] = {
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"b": 1, "a": 2}, "strict": True},
            },
            {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
            {"type": "openrouter:web_search", "x": 1},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": -1,
        "frequency_penalty": 2,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "max_tokens": 9,
        "stop": ["a", "b"],
        "n": 2,
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "reasoning_effort": "low",
        "verbosity": "high",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"z": 1, "a": 2}, "strict": True},
        },
        "service_tier": "flex",
        "metadata": {"k": "v"},
        "logit_bias": {"1": 2},
        "invented_last_week": {"x": None},
    }
    request = _parse(**members)
    assert _render(request) == {"model": "m", "messages": [USER], **members}
    assert isinstance(request.tools[0], FunctionTool)
    assert request.tools[0].schema == b'{"b": 1, "a": 2}'
    assert isinstance(request.tools[1], CustomTool)
    assert isinstance(request.tools[2], Opaque)
    assert request.tool_choice == ToolChoice(mode=ToolMode.NAMED, name="f")
    assert request.output == JsonOutput(name="s", schema=b'{"z": 1, "a": 2}', strict=True)
    assert request.stop == ("a", "b")


@pytest.mark.parametrize("choice", ["auto", "none", "required", "any", {"type": "allowed_tools", "allowed_tools": {}}])
def test_every_tool_choice_is_said_again(choice: object) -> None:
    assert _render(_parse(tool_choice=choice))["tool_choice"] == choice


@pytest.mark.parametrize("wanted", [{"type": "text"}, {"type": "json_object"}, {"type": "grammar", "grammar": "x"}])
def test_every_response_format_is_said_again(wanted: object) -> None:
    assert _render(_parse(response_format=wanted))["response_format"] == wanted


@pytest.mark.parametrize(
    ("messages", "members", "param"),
    [
        ([{"content": "x"}], {}, "messages[0].role"),
        ([USER, {"role": "king", "content": "x"}], {}, "messages[1].role"),
        ([{"role": "tool", "content": "x"}], {}, "messages[0].tool_call_id"),
        ([{"role": "user", "content": 5}], {}, "messages[0].content"),
        ([{"role": "user", "content": {"a": 1}}], {}, "messages[0].content"),
        ([{"role": "user", "content": [5]}], {}, "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], {}, "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages[0].content[0].image_url"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"x": 1}}]}],
            {},
            "messages[0].content[0].file.file_data",
        ),
        ([{"role": "assistant", "tool_calls": [{"function": 5}]}], {}, "messages[0].tool_calls[0].function"),
        ([5], {}, "messages"),
        ([USER], {"tools": [{"type": "function"}]}, "tools[0].function"),
        ([USER], {"tools": [{"type": "function", "function": {"x": 1}}]}, "tools[0].function.name"),
        ([USER], {"stop": 5}, "stop"),
        ([USER], {"seed": "x"}, "seed"),
        ([USER], {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ],
)
def test_mistakes_are_named_by_their_path(messages: list[object], members: dict[str, object], param: str) -> None:
    with pytest.raises(WireError) as refused:
        _parse(*messages, **members)
    assert refused.value.param == param
    assert refused.value.http_status == 400


def test_knobs_that_the_model_refuses_are_declared() -> None:
    request = _parse(temperature=0, top_p=1, max_tokens=5)
    edited = render_request(request, Profile(limit_field="max_completion_tokens", sampling=Sampling.NEVER))
    assert [loss.path for loss in edited.losses] == ["temperature"]
    assert json.loads(edited.body) == {"model": "m", "messages": [USER], "max_completion_tokens": 5}


@pytest.mark.parametrize(
    ("asked", "ask", "sent"),
    [(None, None, None), (True, None, True), (False, None, False), (None, True, True), (True, False, None)],
)
def test_usage_is_asked_for_as_the_caller_or_the_gateway_says(
    asked: bool | None, ask: bool | None, sent: bool | None
) -> None:
    options = None if asked is None else {"include_usage": asked}
    request = _parse(stream=True, stream_options=options)
    body = json.loads(render_request(request, Profile(), ask_usage=ask).body)
    assert body.get("stream_options") == (None if sent is None else {"include_usage": sent})


def _foreign(*parts: Text | Image | Audio | Reasoning | Opaque | ToolResult) -> Request:
    return Request(model="m", turns=(Turn(role=Role.ASSISTANT, parts=parts),))


def test_what_another_format_sealed_is_a_loss() -> None:
    seal = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"x"'))
    edited = render_request(_foreign(Reasoning(text="hm", seal=seal), Text(text="a")), Profile())
    assert json.loads(edited.body)["messages"] == [{"role": "assistant", "content": "a"}]
    assert [loss.path for loss in edited.losses] == ["messages[0].content[0]"]


def test_what_only_another_format_knows_is_a_loss_where_it_is_no_content() -> None:
    text = Text(text="a", extras={"anthropic_messages": {"cache_control": Raw(b"{}")}})
    edited = render_request(_foreign(text), Profile())
    assert json.loads(edited.body)["messages"] == [{"role": "assistant", "content": "a"}]
    assert [loss.path for loss in edited.losses] == ["messages[0].content[0].cache_control"]


@pytest.mark.parametrize(
    "part",
    [
        Opaque(origin="anthropic_messages", value=Raw(b"{}")),
        Image(source=FileId("file-1")),
        Audio(source=Url("https://x.test/a.wav")),
    ],
)
def test_content_is_never_dropped(part: Opaque | Image | Audio) -> None:
    with pytest.raises(Unrepresentable) as refused:
        render_request(_foreign(Text(text="a"), part), Profile())
    assert refused.value.http_status == 422
    assert refused.value.param == "messages[0].content[1]"


def test_results_go_before_what_else_a_turn_says() -> None:
    """Other formats put them in one turn."""
    turn = Turn(
        role=Role.USER,
        parts=(
            Text(text="and?"),
            ToolResult(call_id="1", parts=(Text(text="a"),)),
            ToolResult(call_id="2", parts=(Text(text="b"),), failed=True),
        ),
    )
    edited = render_request(Request(model="m", turns=(turn,)), Profile())
    assert json.loads(edited.body)["messages"] == [
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "tool", "tool_call_id": "2", "content": "b"},
        {"role": "user", "content": "and?"},
    ]
    assert [loss.path for loss in edited.losses] == ["messages[0].content[2].failed"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "function",
                    "name",
                    "id",
                    "tool_calls",
                    "image_url",
                    "url",
                    "thinking",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
STRANGE = ("content", "tool_calls", "audio", "refusal", "reasoning_details", "tool_call_id", "name")
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional=dict.fromkeys(
        ("content", "tool_calls", "audio", "refusal", "reasoning_details", "tool_call_id", "name"), JUNK
    ),
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(MESSAGE, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["tools", "tool_choice", "stop", "x"]), JUNK),
)
def test_a_strange_request_is_read_and_said_again_or_refused(
    messages: list[object], members: dict[str, object]
) -> None:
    try:
        request = _parse(*messages, **members)
        body = render_request(request, Profile()).body
    except WireError as error:
        assert error.param
        return
    assert parse_request(body).model == "m"
