"""Requests of other formats, as Chat Completions says them; numbers are those of the translation traps (api.md 2.4)."""

import base64
import json
from typing import cast

import pytest
from msgspec import Raw

from komeet.canonical.event import Fail
from komeet.canonical.part import (
    CacheMark,
    Citation,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Seal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, ToolChoice, ToolMode
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import Profile
from komeet.catalog.profile import Sampling as Takes
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire import sse
from komeet.wire.openai_chat.parse_request import parse_request
from komeet.wire.openai_chat.render_request import render_request
from komeet.wire.openai_chat.stream import StreamParser

PLAIN = Profile()
HI = Turn(role=Role.USER, parts=(Text(text="hi"),))
CACHED = CacheMark(ttl="5m", origin="anthropic_messages", name="cache_control", value=Raw(b'{"type":"ephemeral"}'))
SIGNED = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"'))
PNG = Image(source=Inline("image/png", "AAAA"))
PNG_PIECE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def _render(request: Request, profile: Profile = PLAIN) -> tuple[dict[str, object], list[str]]:
    edited = render_request(request, profile, ask_usage=False)
    return json.loads(edited.body), [loss.path for loss in edited.losses]


def _messages(*turns: Turn, profile: Profile = PLAIN) -> tuple[list[object], list[str]]:
    body, losses = _render(Request(model="m", turns=turns), profile)
    return cast("list[object]", body["messages"]), losses


def _user(*parts: Part, profile: Profile = PLAIN) -> tuple[object, list[str]]:
    told, losses = _messages(Turn(role=Role.USER, parts=parts), profile=profile)
    message = cast("dict[str, object]", told[0])
    return message["content"], losses


def _members(profile: Profile = PLAIN, **members: object) -> tuple[dict[str, object], list[str]]:
    request = Request(model="m", turns=(HI,), **members)  # pyright: ignore[reportArgumentType]
    body, losses = _render(request, profile)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}, losses


def test_trap_1_instructions_stay_where_they_stand() -> None:
    assert _messages(
        Turn(role=Role.SYSTEM, preamble=True, parts=(Text(text="a"),)),
        HI,
        Turn(role=Role.DEVELOPER, parts=(Text(text="b"),)),
    ) == (
        [
            {"role": "system", "content": "a"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": "b"},
        ],
        [],
    )


def test_trap_2_an_image_that_a_tool_answered_follows_when_all_tools_have_answered() -> None:
    result = ToolResult(call_id="1", parts=(Text(text="see"), PNG))
    other = Turn(role=Role.TOOL, parts=(ToolResult(call_id="2", parts=(Text(text="b"),)),))
    told, losses = _messages(Turn(role=Role.TOOL, parts=(result,)), other, HI)
    assert told == [
        {"role": "tool", "tool_call_id": "1", "content": "see"},
        {"role": "tool", "tool_call_id": "2", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "[tool result 1]:"}, PNG_PIECE]},
        {"role": "user", "content": "hi"},
    ]
    assert losses == []


def test_trap_2_a_result_that_is_only_an_image_says_where_it_is() -> None:
    told, _ = _messages(Turn(role=Role.USER, parts=(ToolResult(call_id="1", parts=(PNG,)), Text(text="and?"))))
    assert told == [
        {"role": "tool", "tool_call_id": "1", "content": "The result is in the next message of the user."},
        {"role": "user", "content": [{"type": "text", "text": "[tool result 1]:"}, PNG_PIECE]},
        {"role": "user", "content": "and?"},
    ]


def test_trap_2_what_an_assistant_says_in_several_turns_is_one_message() -> None:
    told, losses = _messages(
        Turn(role=Role.ASSISTANT, parts=(Reasoning(text="hm"),)),
        Turn(role=Role.ASSISTANT, parts=(Text(text="a"),)),
        Turn(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="f", arguments=b"{}"),)),
        Turn(role=Role.ASSISTANT, parts=(ToolCall(id="2", name="g", arguments=b"{}"),)),
    )
    assert told == [
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "content": "a",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        }
    ]
    assert losses == []


def test_two_texts_of_an_assistant_stay_two_messages() -> None:
    turn = Turn(role=Role.ASSISTANT, parts=(Text(text="a"),))
    assert len(_messages(turn, turn)[0]) == 2


def test_trap_3_calls_without_ids_are_given_some_and_results_are_matched_by_their_place() -> None:
    calls = (ToolCall(name="f"), ToolCall(name="g"))
    results = (ToolResult(call_id="", parts=(Text(text="a"),)), ToolResult(call_id="", parts=(Text(text="b"),)))
    told, _ = _messages(HI, Turn(role=Role.ASSISTANT, parts=calls), Turn(role=Role.USER, parts=results))
    assert json.dumps(told).count("call_1_0") == json.dumps(told).count("call_1_1") == 2
    assert told[2:] == [
        {"role": "tool", "tool_call_id": "call_1_0", "content": "a"},
        {"role": "tool", "tool_call_id": "call_1_1", "content": "b"},
    ]


@pytest.mark.parametrize("text", [b"", b'{"a": 1}', b"{broken"])
def test_trap_4_arguments_are_text_and_none_are_an_empty_object(text: bytes) -> None:
    told, _ = _messages(Turn(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="f", arguments=text),)))
    assert json.loads(json.dumps(told))[0]["tool_calls"][0]["function"]["arguments"] == (text.decode() or "{}")


def test_a_call_of_a_tool_in_a_group_goes_by_the_flat_name() -> None:
    told, _ = _messages(Turn(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="f", namespace="n"),)))
    assert '"name": "n__f"' in json.dumps(told)


def test_a_custom_tool_keeps_its_text() -> None:
    told, _ = _messages(Turn(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="f", arguments=b"x", custom=True),)))
    assert json.loads(json.dumps(told))[0]["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "f", "input": "x"}}
    ]


@pytest.mark.parametrize(
    ("part", "profile"),
    [(Reasoning(text="hm", seal=SIGNED), PLAIN), (Reasoning(text="hm"), Profile(takes_reasoning=False))],
)
def test_trap_6_reasoning_goes_only_to_those_who_take_it(part: Reasoning, profile: Profile) -> None:
    said = Turn(role=Role.ASSISTANT, parts=(part, Text(text="a")))
    assert _messages(said, profile=profile) == ([{"role": "assistant", "content": "a"}], ["messages[0].content[0]"])
    assert _messages(HI, Turn(role=Role.ASSISTANT, parts=(part,)), profile=profile)[0] == [
        {"role": "user", "content": "hi"}
    ]


def test_what_a_provider_ran_itself_is_not_said_again() -> None:
    part = ServerTool(origin="anthropic_messages", kind="server_tool_use", value=Raw(b"{}"))
    said = Turn(role=Role.ASSISTANT, parts=(part, Text(text="a")))
    assert _messages(said) == ([{"role": "assistant", "content": "a"}], ["messages[0].content[0]"])


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (Thinking(mode="budget", budget=4096), "low"),
        (Thinking(mode="budget", budget=16_384), "medium"),
        (Thinking(mode="budget", budget=16_385), "high"),
        (Thinking(mode="adaptive"), "high"),
        (Thinking(mode="disabled"), "none"),
        (Thinking(), None),
    ],
)
def test_trap_7_thinking_is_an_effort(thinking: Thinking, effort: str | None) -> None:
    body, losses = _members(thinking=thinking)
    assert body.get("reasoning_effort") == effort
    assert losses == []


@pytest.mark.parametrize(
    ("asked", "taken", "sent"),
    [
        ("max", ("low", "high", "xhigh"), "xhigh"),
        ("none", ("minimal", "low"), "minimal"),
        ("minimal", ("none", "low", "medium"), "none"),
        ("low", ("low",), "low"),
        ("odd", ("low",), "odd"),
    ],
)
def test_trap_7_an_effort_that_the_model_lacks_is_the_nearest(asked: str, taken: tuple[str, ...], sent: str) -> None:
    body, losses = _members(Profile(efforts=taken), effort=asked)
    assert body["reasoning_effort"] == sent
    assert losses == (["reasoning_effort"] if sent != asked else [])


def test_an_effort_is_before_thinking_and_how_it_is_shown_is_lost() -> None:
    body, losses = _members(effort="low", thinking=Thinking(mode="adaptive", summary="auto"))
    assert body["reasoning_effort"] == "low"
    assert losses == ["thinking.summary"]


def test_trap_8_sampling_that_a_reasoning_model_refuses_is_lost() -> None:
    profile = Profile(sampling=Takes.WITHOUT_REASONING, default_effort="none")
    sampling = Sampling(temperature=0.5, top_p=1)
    assert _members(profile, sampling=sampling) == ({"temperature": 0.5, "top_p": 1}, [])
    body, losses = _members(profile, sampling=sampling, thinking=Thinking(mode="adaptive"))
    assert body == {"reasoning_effort": "high"}
    assert losses == ["temperature"]


def test_trap_8_logit_bias_is_sampling_too() -> None:
    request = parse_request(b'{"model":"m","messages":[{"role":"user","content":"a"}],"logit_bias":{"1":2}}')
    body, losses = _render(request, Profile(sampling=Takes.NEVER))
    assert "logit_bias" not in body
    assert losses == ["logit_bias"]


def test_top_k_goes_only_where_the_caller_knows_it() -> None:
    assert _members(sampling=Sampling(top_k=5)) == ({}, ["top_k"])
    request = parse_request(b'{"model":"m","messages":[{"role":"user","content":"a"}],"top_k":5}')
    assert request.sampling.top_k == 5
    body, losses = _render(request)
    assert (body["top_k"], losses) == (5, [])


def test_trap_9_the_limit_goes_by_the_name_that_every_provider_knows() -> None:
    assert _members(output_limit=9)[0] == {"max_tokens": 9}
    assert _members(Profile(limit_field="max_completion_tokens"), output_limit=9)[0] == {"max_completion_tokens": 9}


def test_no_more_than_four_stop_sequences() -> None:
    assert _members(stop=("a", "b", "c", "d", "e")) == ({"stop": ["a", "b", "c", "d"]}, ["stop"])


@pytest.mark.parametrize(("ttl", "told"), [("5m", {}), (None, {}), ("12h", {"ttl": "12h"})])
def test_trap_12_a_cache_mark_is_a_breakpoint_where_the_model_takes_them(ttl: str | None, told: dict[str, str]) -> None:
    mark = CacheMark(ttl=ttl, origin="anthropic_messages", name="cache_control")
    content, losses = _user(Text(text="a", cache=mark), profile=Profile(cache_breakpoints=True))
    assert content == [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", **told}}]
    assert losses == []


def test_trap_12_a_time_that_the_cache_does_not_have_is_declared() -> None:
    mark = CacheMark(ttl="1h", origin="anthropic_messages", name="cache_control")
    content, losses = _user(Text(text="a", cache=mark), profile=Profile(cache_breakpoints=True))
    assert content == [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert losses == ["messages[0].content[0].cache_control.ttl"]


def test_trap_12_a_cache_mark_is_lost_elsewhere() -> None:
    assert _user(Text(text="a", cache=CACHED)) == ("a", ["messages[0].content[0].cache_control"])
    assert _members(cache=CACHED) == ({}, ["cache_control"])
    _, losses = _members(Profile(cache_breakpoints=True), tools=(FunctionTool(name="f", cache=CACHED),))
    assert losses == ["tools[0].cache_control"]


def test_trap_12_the_mark_of_a_tools_result_goes_to_its_text() -> None:
    result = ToolResult(call_id="1", parts=(Text(text="a"),), cache=CACHED)
    told, losses = _messages(Turn(role=Role.TOOL, parts=(result,)), profile=Profile(cache_breakpoints=True))
    piece = {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert told == [{"role": "tool", "tool_call_id": "1", "content": [piece]}]
    assert losses == []


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (
            File(source=Inline("application/pdf", "AAAA")),
            [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "document.pdf"}}],
        ),
        (
            File(source=Inline("application/pdf", "AAAA"), title="T", context="about it"),
            [
                {"type": "text", "text": "about it"},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "T"}},
            ],
        ),
        (File(source=Inline("text/plain", base64.b64encode(b"words").decode()), title="T"), "T\nwords"),
        (File(source=Inline("text/plain", base64.b64encode(b"words").decode())), "words"),
        (
            File(source=Inline("text/plain", "%")),
            [{"type": "file", "file": {"file_data": "data:text/plain;base64,%"}}],
        ),
    ],
)
def test_trap_13_documents(file: File, told: object) -> None:
    assert _user(file) == (told, [])


def test_trap_13_the_url_of_a_document_goes_only_where_the_caller_knows_it() -> None:
    with pytest.raises(Unrepresentable):
        _user(File(source=Url("https://x.test/a.pdf")))
    with pytest.raises(Unrepresentable):
        _user(File(source=FileId("file_of_anthropic")))
    message = {
        "role": "user",
        "content": [{"type": "file", "file": {"file_data": "https://x.test/a.pdf", "filename": "a.pdf"}}],
    }
    request = parse_request(json.dumps({"model": "m", "messages": [message]}).encode())
    assert isinstance(file := request.turns[0].parts[0], File)
    assert file.source == Url("https://x.test/a.pdf")
    body, losses = _render(request)
    assert (body["messages"], losses) == ([message], [])


def test_citations_of_an_earlier_answer_are_not_said_again() -> None:
    source = Citation(origin="anthropic_messages", value=Raw(b"{}"), url="https://x.test")
    said = Turn(role=Role.ASSISTANT, parts=(Text(text="a", citations=(source,)),))
    assert _messages(said) == ([{"role": "assistant", "content": "a"}], [])


def test_tools_of_a_group_go_by_flat_names() -> None:
    group = Namespace(name="n", tools=(FunctionTool(name="f"), CustomTool(name="g")))
    choice = ToolChoice(mode=ToolMode.NAMED, name="f", namespace="n")
    body, losses = _members(tools=(group,), tool_choice=choice)
    assert body == {
        "tools": [
            {"type": "function", "function": {"name": "n__f"}},
            {"type": "custom", "custom": {"name": "n__g"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "n__f"}},
    }
    assert losses == []


def test_a_grammar_of_responses_stands_one_level_deeper() -> None:
    grammar = Raw(b'{"type":"grammar","syntax":"lark","definition":"x"}')
    body, _ = _members(tools=(CustomTool(name="g", grammar=grammar),))
    told = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
    assert body["tools"] == [{"type": "custom", "custom": {"name": "g", "format": told}}]


def test_a_search_of_another_format_is_lost_and_the_choice_with_it() -> None:
    tool = HostedTool(origin="anthropic_messages", kind="web_search", value=Raw(b"{}"))
    assert _members(tools=(tool,), tool_choice=ToolChoice(mode=ToolMode.REQUIRED)) == ({}, ["tools[0]", "tool_choice"])


def test_a_tool_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Unrepresentable):
        _members(tools=(Opaque(origin="anthropic_messages", value=Raw(b"{}")),))


def test_trap_5_a_choice_among_some_of_the_tools() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED, allowed=("f",))
    tool = {"type": "function", "function": {"name": "f"}}
    told = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool]}}
    body, _ = _members(tools=(FunctionTool(name="f"),), tool_choice=choice)
    assert body["tool_choice"] == told
    request = parse_request(
        json.dumps({"model": "m", "messages": [{"role": "user"}], "tools": [tool], "tool_choice": told}).encode()
    )
    assert request.tool_choice == choice


def test_choices_and_outputs_that_only_another_format_has_are_lost() -> None:
    odd = Opaque(origin="openai_responses", value=Raw(b"{}"))
    assert _members(tool_choice=odd, output=odd) == ({}, ["tool_choice", "response_format"])


def test_trap_15_a_schema_without_a_name_is_given_one() -> None:
    body, _ = _members(output=JsonOutput(schema=b'{"type": "object"}'))
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }


def test_a_profile_says_which_members_are_sent() -> None:
    profile = Profile(accepts=("model", "messages", "stop"))
    assert _members(profile, stop=("a",), user="u") == ({"stop": ["a"]}, ["user"])
    with pytest.raises(WireError, match="stop"):
        _members(Profile(refuses=("stop",)), stop=("a",))
    with pytest.raises(WireError, match="1 answer"):
        _members(Profile(candidates=1), candidates=2)


def test_the_tier_of_anthropic_has_another_name() -> None:
    assert _members(service_tier="standard_only")[0] == {"service_tier": "default"}


@pytest.mark.parametrize(
    ("message", "marked"),
    [
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
                ],
            },
            CacheMark(
                ttl="12h",
                origin="openai_chat",
                name="prompt_cache_breakpoint",
                value=Raw(b'{"mode": "explicit", "ttl": "12h"}'),
            ),
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
            CacheMark(origin="openai_chat", name="cache_control", value=Raw(b'{"type": "ephemeral"}')),
        ),
        (
            {"role": "user", "content": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            CacheMark(
                ttl="1h",
                origin="openai_chat",
                name="message.cache_control",
                value=Raw(b'{"type": "ephemeral", "ttl": "1h"}'),
            ),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "content": "a", "cache_control": {"type": "ephemeral"}},
            CacheMark(origin="openai_chat", name="message.cache_control", value=Raw(b'{"type": "ephemeral"}')),
        ),
    ],
)
def test_marks_of_this_format_are_read_and_said_again(message: object, marked: CacheMark) -> None:
    request = parse_request(json.dumps({"model": "m", "messages": [message]}).encode())
    part = request.turns[0].parts[0]
    assert not isinstance(part, Opaque)
    assert part.cache == marked
    assert _render(request) == ({"model": "m", "messages": [message]}, [])


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}},
        {"type": "function", "function": {"name": "f", "cache_control": {"type": "ephemeral"}}},
    ],
)
def test_marks_of_tools_are_read_and_said_again(tool: object) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [tool]}
    request = parse_request(json.dumps(body).encode())
    assert isinstance(request.tools[0], FunctionTool)
    assert request.tools[0].cache is not None
    assert _render(request) == (body, [])


def test_members_with_a_word_in_the_model() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "user": "u",
        "prompt_cache_key": "k",
        "cache_control": {"type": "ephemeral"},
        "web_search_options": {
            "search_context_size": "low",
            "user_location": {"type": "approximate", "approximate": {"city": "Graz"}},
        },
    }
    request = parse_request(json.dumps(body).encode())
    assert (request.user, request.prompt_cache_key) == ("u", "k")
    assert request.cache is not None
    assert request.extras == {}
    assert isinstance(search := request.tools[0], HostedTool)
    assert (search.kind, search.location) == ("web_search", Raw(b'{"city": "Graz"}'))
    assert _render(request) == (body, [])


@pytest.mark.parametrize("member", ["thinking", "reasoning", "enable_thinking"])
def test_how_dialects_ask_for_reasoning_is_said_again(member: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], member: {"type": "enabled"}}
    assert _render(parse_request(json.dumps(body).encode())) == (body, [])


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": None, "logprobs": None}], "usage": None},
        {"choices": [{"index": 1, "delta": {"role": "assistant", "content": "b"}}], "obfuscation": "x"},
        {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "b", "reasoning_content": "r"}}]},
        {"choices": [{"delta": {"content": "b"}}], "system_fingerprint": "new"},
        {"choices": [{"delta": {"content": "b"}}], "error": {"message": "no"}},
        {"choices": [{"delta": {"content": "b"}, "extra": 1}], "more": 2},
        {"choices": [{"delta": {"content": ""}}]},
        {"choices": []},
    ],
)
def test_a_chunk_that_is_read_in_one_go_means_what_it_means_member_by_member(
    chunk: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, object] = {"id": "c", "model": "m", "choices": [{"delta": {"content": "a"}}]}

    def told() -> list[object]:
        parser = StreamParser()
        chunks = [first | {"system_fingerprint": "f"}, {"id": "c", "model": "m"} | chunk]
        events = [event for each in chunks for event in parser.feed(sse.Event(None, json.dumps(each).encode()))]
        return [str(event.error) if isinstance(event, Fail) else event for event in [*events, *parser.end()]]

    def nothing(_: bytes) -> None:
        return None

    at_once = told()
    monkeypatch.setattr("komeet.wire.openai_chat.stream.read_plain", nothing)
    assert at_once == told()
