"""Requests, both ways: one point each."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.part import (
    Audio,
    CacheMark,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
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
from komeet.catalog.profile import Profile, Structured, ThinkingStyle
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.anthropic_messages.format import FORMAT
from komeet.wire.anthropic_messages.members import ORIGIN
from komeet.wire.format import Edited
from komeet.wire.seal import wrap
from komeet.wire.structured import JSON_TOOL

SIGNED = Seal(origin=ORIGIN, name="signature", value=Raw(b'"sig"'))
SEALED = Seal(origin="openai_responses", name="encrypted_content", value=Raw(b'"enc"'))
BUDGET = Profile(thinking=ThinkingStyle.BUDGET)
NO_THINKING = Profile(thinking=ThinkingStyle.NONE)
HI = Turn(role=Role.USER, parts=(Text(text="Hi"),))
WEATHER = FunctionTool(name="weather", schema=b'{"type":"object","properties":{}}')
SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'


def _body(**more: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **more}).encode()


def _parsed(**more: Any) -> Request:
    return FORMAT.parse_request(FORMAT.parse_envelope(_body(**more), {}))


def _user(*blocks: Any) -> tuple[Part, ...]:
    return _parsed(messages=[{"role": "user", "content": list(blocks)}]).turns[0].parts


def _edited(request: Request, profile: Profile | None = None) -> Edited:
    return FORMAT.render_request(request, profile or Profile(), ask_usage=True)


def _sent(*turns: Turn, profile: Profile | None = None, **more: Any) -> dict[str, Any]:
    return json.loads(_edited(Request(model="m", turns=turns or (HI,), **more), profile).body)


def _lost(*turns: Turn, profile: Profile | None = None, **more: Any) -> list[str]:
    return [loss.path for loss in _edited(Request(model="m", turns=turns or (HI,), **more), profile).losses]


def _assistant(*parts: Part) -> Turn:
    return Turn(role=Role.ASSISTANT, parts=parts)


def _tool(*parts: Part) -> Turn:
    return Turn(role=Role.TOOL, parts=parts)


def _call(name: str = "weather", **more: Any) -> ToolCall:
    told: dict[str, Any] = {"id": "call_1", "name": name, "arguments": b"{}", **more}
    return ToolCall(**told)


def _result(text: str = "sun", call_id: str = "call_1", **more: Any) -> ToolResult:
    return ToolResult(call_id=call_id, parts=(Text(text=text),), **more)


# the envelope and the identity path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"model": None}, "model: Field required"),
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": "Hi"}, "messages: Input should be a valid list"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"output_config": {"effort": 3}}, "output_config.effort: Input should be a valid string"),
    ],
)
def test_a_mistake_at_the_top_is_told_as_anthropic_tells_it(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WireError) as caught:
        FORMAT.parse_envelope(_body(**change), {})
    assert caught.value.message == message
    assert caught.value.param == message.partition(":")[0]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"system": [3]}, "system.0"),
        ({"tools": [{"description": "x"}]}, "tools.0.name"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"budget_tokens": 2}}, "thinking.type"),
    ],
)
def test_a_mistake_inside_has_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(WireError) as caught:
        _parsed(**change)
    assert caught.value.param == path
    assert caught.value.message.startswith(path)


def test_a_limit_of_nothing_warms_the_cache() -> None:
    assert FORMAT.parse_envelope(_body(max_tokens=0), {}).output_limit == 0
    assert _sent(output_limit=0)["max_tokens"] == 0


def test_the_new_version_knows_no_sampling() -> None:
    headers = {b"anthropic-version": b"2026-10-21"}
    for name in ("temperature", "top_p", "top_k"):
        with pytest.raises(WireError, match=f"{name}: Extra inputs are not permitted"):
            FORMAT.parse_envelope(_body(**{name: 1}), headers)
    assert FORMAT.parse_envelope(_body(temperature=None), headers).sampling == ()


def test_version_and_betas_are_the_callers_own() -> None:
    told = {b"anthropic-version": b"2026-10-21", b"anthropic-beta": b"a,b", b"accept": b"*/*"}
    for headers, sent, key in (
        (told, ((b"anthropic-version", b"2026-10-21"), (b"anthropic-beta", b"a,b")), "bearer"),
        ({}, ((b"anthropic-version", b"2023-06-01"),), "x-api-key"),
    ):
        envelope = FORMAT.parse_envelope(_body(), headers)
        edited = FORMAT.edit(envelope, model="n", profile=Profile(), output_limit=None, ask_usage=True)
        assert (tuple(edited.headers), edited.key) == (sent, key)
        assert json.loads(edited.body) == {**json.loads(_body()), "model": "n"}


def test_a_translated_request_has_our_version() -> None:
    edited = _edited(Request(model="m", turns=(HI,)))
    assert (tuple(edited.headers), edited.key) == (((b"anthropic-version", b"2023-06-01"),), "x-api-key")


# what is read


def test_every_kind_of_block_has_its_word() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    text, image, pdf, plain, own_file, sign = _user(
        {"type": "text", "text": "Hi", "cache_control": mark},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ö"}, "title": "t"},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "hologram", "data": 1},
    )
    assert isinstance(text, Text)
    assert text.cache is not None
    assert (text.cache.ttl, text.cache.name) == ("1h", "cache_control")
    assert isinstance(image, Image)
    assert image.source == Url("https://x/y.png")
    assert isinstance(pdf, File)
    assert pdf.source == Inline("application/pdf", "JVBERi0=")
    assert isinstance(plain, File)
    assert plain.source == Inline("text/plain", "w5Y=")
    assert isinstance(own_file, File)
    assert own_file.source == FileId("f")
    assert isinstance(sign, Opaque)


def test_what_providers_run_is_kept_whole() -> None:
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    found: dict[str, Any] = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    turns = _parsed(messages=[{"role": "assistant", "content": [call, found]}]).turns
    assert [(part.kind, part.id) for part in turns[0].parts if isinstance(part, ServerTool)] == [
        ("server_tool_use", "srvtoolu_1"),
        ("web_search_tool_result", "srvtoolu_1"),
    ]


def test_a_seal_that_we_wrapped_is_opened() -> None:
    told = [{"type": "thinking", "thinking": "Hm.", "signature": wrap(SEALED)}]
    envelope = FORMAT.parse_envelope(_body(messages=[{"role": "assistant", "content": told}]), {})
    assert envelope.sealed
    assert FORMAT.parse_request(envelope).turns[0].parts == (Reasoning(text="Hm.", seal=SEALED),)


def test_thinking_and_effort_are_read() -> None:
    adaptive = _parsed(thinking={"type": "adaptive", "display": "omitted"}, output_config={"effort": "xhigh"})
    assert adaptive.thinking is not None
    assert (adaptive.thinking.mode, adaptive.thinking.summary, adaptive.effort) == ("adaptive", "omitted", "xhigh")
    budget = _parsed(thinking={"type": "enabled", "budget_tokens": 2000}).thinking
    assert budget is not None
    assert (budget.mode, budget.budget) == ("budget", 2000)


def test_hosted_tools_are_known_by_their_type() -> None:
    search, bash, own = _parsed(
        tools=[
            {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.com"], "max_uses": 2},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "custom", "name": "f", "input_schema": {"type": "object"}},
        ]
    ).tools
    assert isinstance(search, HostedTool)
    assert (search.kind, search.allowed_domains, search.max_uses) == ("web_search", ("a.com",), 2)
    assert isinstance(bash, HostedTool)
    assert bash.kind == "bash_20250124"
    assert isinstance(own, FunctionTool)


# what is said: turns


def test_trap_1_instructions_first_go_to_system() -> None:
    told = _sent(
        Turn(role=Role.SYSTEM, parts=(Text(text="A"),)), Turn(role=Role.DEVELOPER, parts=(Text(text="B"),)), HI
    )
    assert told["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert told["messages"] == [{"role": "user", "content": "Hi"}]


def test_trap_1_instructions_between_messages_stay_where_they_stand() -> None:
    later = Turn(role=Role.DEVELOPER, parts=(Text(text="B"),))
    wrapped = {"type": "text", "text": "<system>\nB\n</system>"}
    assert _sent(HI, later)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}, wrapped]}]
    assert _lost(HI, later) == ["messages[1].role"]
    anywhere = Profile(instructions_anywhere=True)
    assert _sent(HI, later, profile=anywhere)["messages"][1] == {"role": "system", "content": "B"}
    assert _lost(HI, later, profile=anywhere) == []


def test_trap_1_nothing_stands_between_calls_and_their_results() -> None:
    later = Turn(role=Role.SYSTEM, parts=(Text(text="B"),))
    told = _sent(HI, _assistant(_call()), later, _tool(_result()), profile=Profile(instructions_anywhere=True))
    assert [message["role"] for message in told["messages"]] == ["user", "assistant", "user", "system"]
    assert told["messages"][2]["content"][0]["type"] == "tool_result"


def test_instructions_alone_are_told_by_the_user() -> None:
    turn = Turn(role=Role.SYSTEM, parts=(Text(text="A"),))
    assert _sent(turn)["messages"] == [{"role": "user", "content": "A"}]
    assert _lost(turn) == ["messages[0].role"]


def test_instructions_are_words_only() -> None:
    with pytest.raises(Unrepresentable):
        _sent(Turn(role=Role.SYSTEM, parts=(Image(source=Url("https://x")),)), HI)


def test_trap_2_results_stand_first_in_one_message() -> None:
    told = _sent(
        HI,
        _assistant(_call(), _call(id="call_2")),
        _tool(_result("sun")),
        Turn(role=Role.USER, parts=(Text(text="and?"), _result("rain", "call_2"))),
    )["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert [block["type"] for block in told[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert told[2]["content"][1]["tool_use_id"] == "call_2"


def test_turns_of_one_side_join_even_around_one_that_says_nothing() -> None:
    empty = Turn(role=Role.USER, parts=(Text(),))
    told = _sent(HI, _assistant(Text(text="A")), empty, _assistant(Text(text="B")))["messages"]
    assert [message["role"] for message in told] == ["user", "assistant"]


def test_trap_3_ids_that_anthropic_refuses_are_replaced_alike() -> None:
    told = _sent(HI, _assistant(_call(id="a:b"), _call(id="a b")), _tool(_result("", "a:b"), _result("", "a b")))
    calls = [block["id"] for block in told["messages"][1]["content"]]
    results = [block["tool_use_id"] for block in told["messages"][2]["content"]]
    assert calls == results
    assert len(set(calls)) == 2
    assert all(name.replace("_", "").isalnum() and len(name) <= 64 for name in calls)


def test_trap_3_calls_without_ids_find_their_results_by_name_and_place() -> None:
    told = _sent(
        HI,
        _assistant(_call("a", id=""), _call("b", id=""), _call("a", id="")),
        _tool(_result("1", "", name="b"), _result("2", "", name="a"), _result("3", "")),
    )
    first, second, third = [block["id"] for block in told["messages"][1]["content"]]
    assert [block["tool_use_id"] for block in told["messages"][2]["content"]] == [second, first, third]


@pytest.mark.parametrize(
    ("arguments", "said", "lost"),
    [
        (b"", {}, []),
        (b'{"a": 1}', {"a": 1}, []),
        (b"{oops", {"_raw": "{oops"}, ["messages[1].content[0].arguments"]),
        (b"[1]", {"_raw": "[1]"}, ["messages[1].content[0].arguments"]),
    ],
)
def test_trap_4_arguments_are_an_object(arguments: bytes, said: object, lost: list[str]) -> None:
    turns = (HI, _assistant(_call(arguments=arguments)), _tool(_result()))
    assert _sent(*turns)["messages"][1]["content"][0]["input"] == said
    assert _lost(*turns) == lost


def test_trap_4_arguments_keep_their_bytes() -> None:
    edited = _edited(Request(model="m", turns=(HI, _assistant(_call(arguments=b'{"a" : 1.0}')))))
    assert b'{"a" : 1.0}' in edited.body


def test_trap_6_reasoning_goes_back_only_where_it_was_sealed() -> None:
    redacted = Seal(origin=ORIGIN, name="redacted_thinking", value=Raw(b'"data"'))
    parts = Reasoning(text="A", seal=SIGNED), Reasoning(seal=redacted), Reasoning(text="B", seal=SEALED)
    turns = (HI, _assistant(*parts, Reasoning(text="C"), Text(text="D")), HI)
    assert _sent(*turns)["messages"][1]["content"][:-1] == [
        {"type": "thinking", "thinking": "A", "signature": "sig"},
        {"type": "redacted_thinking", "data": "data"},
    ]
    assert _lost(*turns) == ["messages[1].content[2]", "messages[1].content[3]"]


def test_trap_13_texts_that_anthropic_refuses_are_not_sent() -> None:
    told = _sent(HI, _assistant(Text(), Text(text="So: \n")))["messages"]
    assert told[1] == {"role": "assistant", "content": "So:"}
    assert _lost(HI, _assistant(Text(), Text(text="So: \n"))) == []


def test_trap_13_content_that_messages_lacks_is_refused() -> None:
    for part in (
        Audio(source=Inline("audio/wav", "UklGRg==")),
        File(source=FileId("file-1")),
        File(source=Inline("application/zip", "UEs=")),
        Opaque(origin="openai_chat", value=Raw(b"{}")),
    ):
        with pytest.raises(Unrepresentable) as caught:
            _sent(Turn(role=Role.USER, parts=(part,)))
        assert caught.value.param == "messages[0].content[0]"


def test_trap_13_files_become_what_messages_has_for_them() -> None:
    said = _sent(
        Turn(
            role=Role.USER,
            parts=(
                File(source=Inline("application/pdf", "JVBERi0="), filename="a.pdf"),
                File(source=Inline("", "JVBERi0=")),
                File(source=Inline("text/csv", "YSxi")),
                File(source=Inline("image/png", "iVBORw0K")),
                File(source=Url("https://x/a.pdf")),
            ),
        )
    )["messages"][0]["content"]
    assert said == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}},
        {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
    ]


def test_other_content_has_its_place_or_its_loss() -> None:
    turns = (
        Turn(role=Role.USER, parts=(Image(source=Url("https://x"), detail="low"),)),
        _assistant(Refusal(text="No."), ServerTool(origin="openai_responses", kind="w", value=Raw(b"{}"))),
        Turn(role=Role.USER, parts=(Text(text="Hi"),), name="Ada"),
    )
    assert _sent(*turns)["messages"][1]["content"] == "No."
    assert _lost(*turns) == ["messages[0].content[0].detail", "messages[1].content[1]", "messages[2].name"]


def test_a_tool_that_failed_says_so() -> None:
    told = _sent(HI, _assistant(_call()), _tool(_result("no", failed=True)))["messages"][2]["content"][0]
    assert (told["is_error"], told["content"]) == (True, "no")


# what is said: knobs


def test_trap_5_choices_of_tools() -> None:
    for choice, said in (
        (ToolChoice(mode=ToolMode.REQUIRED), {"type": "any"}),
        (ToolChoice(mode=ToolMode.NONE), {"type": "none"}),
        (ToolChoice(mode=ToolMode.NAMED, name="weather"), {"type": "tool", "name": "weather"}),
        (ToolChoice(mode=ToolMode.NAMED, name="x", namespace="n"), {"type": "tool", "name": "n__x"}),
    ):
        assert _sent(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == said
    told = _sent(tools=(WEATHER,), parallel_tool_calls=False)["tool_choice"]
    assert told == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in _sent(tool_choice=ToolChoice(mode=ToolMode.AUTO))


def test_only_the_allowed_tools_are_offered() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED, allowed=("b",))
    told = _sent(tools=(WEATHER, FunctionTool(name="b")), tool_choice=choice)
    assert [tool["name"] for tool in told["tools"]] == ["b"]


def test_tools_of_other_formats() -> None:
    group = Namespace(name="files", tools=(FunctionTool(name="read"), CustomTool(name="run")))
    search = HostedTool(origin="openai_responses", kind="web_search", value=Raw(b"{}"), blocked_domains=("a.com",))
    images = HostedTool(origin="openai_responses", kind="image_generation", value=Raw(b"{}"))
    told = _sent(tools=(group, search, images))["tools"]
    assert [tool["name"] for tool in told] == ["files__read", "files__run", "web_search"]
    assert told[0]["input_schema"] == {"type": "object", "properties": {}}
    assert told[1]["input_schema"]["required"] == ["input"]
    assert told[2] == {"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["a.com"]}
    assert _lost(tools=(group, search, images)) == ["tools[2]"]
    with pytest.raises(Unrepresentable):
        _sent(tools=(Opaque(origin="openai_chat", value=Raw(b"{}")),))


def test_a_call_of_a_custom_tool_has_its_text_as_input() -> None:
    turn = _assistant(_call("run", arguments=b"ls", custom=True))
    assert _sent(HI, turn)["messages"][1]["content"][0]["input"] == {"input": "ls"}


def test_a_schema_that_does_not_say_that_it_is_an_objects_is_made_to() -> None:
    tools = (FunctionTool(name="a", schema=b'{"properties":{"x":{}}}'),)
    assert _sent(tools=tools)["tools"][0]["input_schema"] == {"type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize(
    ("effort", "sent"),
    [("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "xhigh"), ("max", "max")],
)
def test_trap_7_effort_of_a_model_that_adapts(effort: str, sent: str) -> None:
    told = _sent(effort=effort)
    assert (told["thinking"], told["output_config"]) == ({"type": "adaptive"}, {"effort": sent})


def test_trap_7_an_effort_that_the_model_lacks_is_the_nearest() -> None:
    profile = Profile(efforts=("low", "medium", "high", "max"))
    assert _sent(effort="xhigh", profile=profile)["output_config"] == {"effort": "high"}
    assert _lost(effort="xhigh", profile=profile) == ["reasoning_effort"]


def test_trap_7_effort_of_a_model_with_budgets() -> None:
    for effort, budget in (("minimal", 2048), ("low", 2048), ("medium", 8192), ("high", 16_384), ("max", 32_768)):
        told = _sent(effort=effort, output_limit=64_000, profile=BUDGET)
        assert told["thinking"] == {"type": "enabled", "budget_tokens": budget}
        assert "output_config" not in told


def test_trap_7_no_reasoning_is_said_or_lost() -> None:
    assert _sent(effort="none")["thinking"] == {"type": "disabled"}
    assert "thinking" not in _sent(effort="none", profile=NO_THINKING)
    assert _lost(effort="none", profile=NO_THINKING) == []
    assert "thinking" not in _sent(effort="high", profile=NO_THINKING)
    assert _lost(effort="high", profile=NO_THINKING) == ["reasoning_effort"]


def test_a_summary_is_asked_for() -> None:
    for summary, display in (("auto", "summarized"), ("omitted", "omitted")):
        told = _sent(effort="high", thinking=Thinking(summary=summary), output_limit=64_000, profile=BUDGET)
        assert told["thinking"]["display"] == display
        assert _sent(effort="high", thinking=Thinking(summary=summary))["thinking"]["display"] == display


def test_trap_9_the_budget_is_less_than_the_limit() -> None:
    assert _sent(thinking=Thinking(mode="budget", budget=9000), output_limit=4000, profile=BUDGET)["thinking"] == {
        "type": "enabled",
        "budget_tokens": 3999,
    }


def test_trap_9_an_effort_leaves_room_for_the_answer() -> None:
    assert _sent(effort="high", output_limit=16_384, profile=BUDGET)["thinking"]["budget_tokens"] == 12_288
    assert "thinking" not in _sent(effort="high", output_limit=1024, profile=BUDGET)
    assert _lost(effort="high", output_limit=1024, profile=BUDGET) == ["reasoning_effort"]


def test_trap_9_the_limit_that_must_be_said() -> None:
    assert _sent()["max_tokens"] == 32_000
    assert _sent(profile=Profile(output_limit=8000))["max_tokens"] == 8000
    assert _sent(output_limit=5)["max_tokens"] == 5


def test_a_forced_call_is_not_reasoned_about() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED)
    assert "thinking" not in _sent(effort="high", tools=(WEATHER,), tool_choice=choice)
    assert _lost(effort="high", tools=(WEATHER,), tool_choice=choice) == ["reasoning_effort"]


@pytest.mark.parametrize("after", [(), (HI,)])
def test_a_budget_needs_the_reasoning_before_the_calls_under_way(after: tuple[Turn, ...]) -> None:
    profile = BUDGET
    bare = (HI, _assistant(_call()), _tool(_result()), *after)
    assert _lost(*bare, effort="low", profile=profile) == ["reasoning_effort"]
    thought = (HI, _assistant(Reasoning(text="Hm.", seal=SIGNED), _call()), _tool(_result()), *after)
    assert _lost(*thought, effort="low", profile=profile) == []
    over = (*bare, _assistant(Text(text="Sunny.")), HI)
    assert _lost(*over, effort="low", profile=profile) == []


def test_trap_8_sampling() -> None:
    assert _lost(sampling=Sampling(temperature=1.5)) == ["temperature"]
    assert _sent(sampling=Sampling(temperature=1.5))["temperature"] == 1
    told = _sent(sampling=Sampling(temperature=0.3, top_p=1))
    assert (told["temperature"], "top_p" in told) == (0.3, False)
    assert _lost(sampling=Sampling(temperature=0.3, top_p=1)) == []
    knobs = Sampling(presence_penalty=1, frequency_penalty=1, seed=0, logprobs=True, top_logprobs=2)
    assert _lost(sampling=knobs) == ["presence_penalty", "frequency_penalty", "seed", "logprobs", "top_logprobs"]


def test_trap_8_sampling_while_it_reasons() -> None:
    assert _lost(effort="high", sampling=Sampling(temperature=0.5, top_p=0.5, top_k=3)) == [
        "temperature",
        "top_p",
        "top_k",
    ]
    assert _lost(effort="high", sampling=Sampling(top_p=0.95)) == []


def test_several_answers_are_refused() -> None:
    with pytest.raises(WireError) as caught:
        _sent(candidates=2)
    assert caught.value.param == "n"
    assert caught.value.http_status == 400


def test_knobs_without_a_word_are_lost() -> None:
    assert _lost(
        verbosity="low",
        prompt_cache_key="k",
        metadata={"a": "b"},
        service_tier="flex",
        stop=("END", "\n"),
        extras={"openai_chat": {"store": Raw(b"true")}},
    ) == ["stop[1]", "service_tier", "verbosity", "prompt_cache_key", "metadata", "store"]
    assert _lost(service_tier="default") == []
    assert _sent(user="ada")["metadata"] == {"user_id": "ada"}


def _marked(count: int) -> tuple[Text, ...]:
    mark = CacheMark(origin="openai_chat", name="cache_control", ttl="12h")
    return tuple([Text(text=str(i), cache=mark) for i in range(count)])


def test_trap_12_the_last_four_marks_are_kept() -> None:
    tool = FunctionTool(name="a", cache=CacheMark(origin="openai_chat", name="prompt_cache_breakpoint", ttl="30m"))
    turn = Turn(role=Role.USER, parts=_marked(4))
    told = _sent(turn, tools=(tool,))
    assert "cache_control" not in told["tools"][0]
    assert [block["cache_control"] for block in told["messages"][0]["content"]] == [
        {"type": "ephemeral", "ttl": "1h"}
    ] * 4
    assert _lost(turn, tools=(tool,)) == ["tools[0].prompt_cache_breakpoint"]
    assert _sent(tools=(tool,))["tools"][0]["cache_control"] == {"type": "ephemeral"}


# JSON of a schema


def test_trap_15_a_schema_that_fits_keeps_its_bytes() -> None:
    edited = _edited(Request(model="m", turns=(HI,), output=JsonOutput(schema=SCHEMA, name="a")))
    assert b'"format":{"type":"json_schema","schema":' + SCHEMA + b"}" in edited.body
    assert edited.losses == ()


def test_trap_15_a_schema_is_made_to_fit() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "A number."},
            "s": {"oneOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "regex"}]},
            "l": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {}}},
            "format": {"type": "string"},
        },
    }
    output = JsonOutput(schema=json.dumps(schema).encode())
    told = _sent(output=output)["output_config"]["format"]["schema"]
    assert told["additionalProperties"] is False
    fitted = told["properties"]
    assert fitted["n"] == {"type": "integer", "description": "A number.\n\n{minimum: 1}"}
    assert fitted["s"]["anyOf"] == [
        {"type": "string", "format": "date"},
        {"type": "string", "description": "{format: regex}"},
    ]
    assert fitted["l"]["items"]["additionalProperties"] is False
    assert fitted["l"]["minItems"] == 1
    assert fitted["format"] == {"type": "string"}
    assert _lost(output=output) == [
        "response_format.schema.properties.n.minimum",
        "response_format.schema.properties.s.anyOf[1].format",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "format", "minItems", "properties", "items", "anyOf", "oneOf", "enum", "pattern"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_no_schema_is_too_strange(schema: object) -> None:
    output = JsonOutput(schema=json.dumps(schema).encode())
    fitted = json.dumps(_sent(output=output)["output_config"]["format"]["schema"]).encode()
    assert _lost(output=JsonOutput(schema=fitted)) == []


def test_trap_15_a_model_without_the_format_answers_by_a_tool() -> None:
    profile = Profile(structured=Structured.TOOL)
    output = JsonOutput(schema=SCHEMA)
    told = _sent(output=output, profile=profile)
    assert told["tools"][0]["name"] == JSON_TOOL
    assert told["tool_choice"] == {"type": "tool", "name": JSON_TOOL}
    more = _sent(output=output, tools=(WEATHER,), profile=profile)
    assert [tool["name"] for tool in more["tools"]] == ["weather", JSON_TOOL]
    assert more["tool_choice"] == {"type": "any"}


def test_an_answer_by_a_tool_is_not_reasoned_about() -> None:
    profile = Profile(structured=Structured.TOOL, thinking=ThinkingStyle.BUDGET)
    assert "thinking" not in _sent(output=JsonOutput(schema=SCHEMA), effort="high", profile=profile)


def test_json_without_a_schema_is_lost() -> None:
    assert _lost(output=JsonOutput()) == ["response_format"]


# anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["text", "user", "tool_use"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "source", "id", "name", "input", "cache_control"]),
            inner,
            max_size=4,
        )
    ),
)
NAMES = st.sampled_from(
    ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "cache_control"]
)


@given(st.dictionaries(NAMES, JSON, max_size=3), st.lists(JSON, min_size=1, max_size=3))
def test_a_request_is_read_or_refused(more: dict[str, Any], messages: list[Any]) -> None:
    try:
        request = _parsed(**more, messages=messages)
        told = _edited(request).body
    except WireError:
        return
    assert msgspec.json.decode(told)["model"] == "m"
