"""Requests, both ways: one point each."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.part import (
    CacheMark,
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
from komeet.catalog.profile import Sampling as Samples
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.format import Edited
from komeet.wire.openai_responses.edit import edit
from komeet.wire.openai_responses.envelope import parse_envelope
from komeet.wire.openai_responses.members import ORIGIN
from komeet.wire.openai_responses.parse_request import parse_request
from komeet.wire.openai_responses.render_request import render_request
from komeet.wire.seal import wrap

PLAIN = Profile()
THINKER = Profile(default_effort="medium", sampling=Samples.WITHOUT_REASONING, efforts=("none", "low", "high"))


def _parse(**members: Any) -> Request:
    return parse_request(json.dumps({"model": "m", "input": "Hi", **members}).encode())


def _say(request: Request, profile: Profile = PLAIN) -> dict[str, Any]:
    return json.loads(render_request(request, profile).body)


def _lost(request: Request, profile: Profile = PLAIN) -> list[str]:
    return [loss.path for loss in render_request(request, profile).losses]


def _turns(*parts: Part, role: Role = Role.USER) -> Request:
    return Request(model="m", turns=(Turn(role=role, parts=parts),))


def _again(*items: dict[str, Any]) -> list[Any]:
    return _say(_parse(input=list(items)))["input"]


ITEMS: list[dict[str, Any]] = [
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1", "status": "completed"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "n"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "https://a"}]},
    {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "free"},
    {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}] * 2},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
    {"type": "compaction", "encrypted_content": "x"},
    {"type": "invented_last_week", "a": [1]},
    {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]},
    {
        "role": "user",
        "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}],
    },
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
    {"role": "user", "content": [{"type": "invented"}, {"type": "input_text", "text": "x"}]},
    {"role": "developer", "content": "x"},
    {
        "type": "message",
        "role": "assistant",
        "phase": "commentary",
        "id": "msg_1",
        "status": "completed",
        "content": [{"type": "output_text", "text": "x", "annotations": []}, {"type": "refusal", "refusal": "n"}],
    },
]


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    assert _again(item) == [item]


MEMBERS: list[dict[str, Any]] = [
    {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "c"}]}]},
    {"tools": [{"type": "function", "name": "f", "parameters": {}, "defer_loading": True}]},
    {"tools": [{"type": "custom", "name": "f", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]},
    {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a"]}, "search_context_size": "low"}]},
    {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
    {"tool_choice": {"type": "function", "name": "f"}},
    {"tool_choice": {"type": "mcp", "server_label": "x"}},
    {"reasoning": {"effort": "none", "summary": "detailed", "context": "auto"}},
    {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}}},
    {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
    {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    {"include": ["web_search_call.action.sources", "reasoning.encrypted_content"]},
    {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "client_metadata": {"a": "b"}},
    {"instructions": "Be brief.", "max_output_tokens": 50, "stream": True},
]


@pytest.mark.parametrize("members", MEMBERS)
def test_a_member_comes_back_as_it_was(members: dict[str, Any]) -> None:
    told = _say(_parse(**members))
    assert {name: told[name] for name in members} == members
    assert _lost(_parse(**members)) == []


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
    ],
)
def test_nothing_is_kept_between_calls(members: dict[str, Any], param: str) -> None:
    with pytest.raises(WireError, match="store: false") as refused:
        parse_envelope(json.dumps({"model": "m", "input": "Hi", **members}).encode())
    assert (refused.value.param, refused.value.error_code) == (param, "unsupported_parameter")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":5}', "input"),
        (b'{"model":"m","input":"x","max_output_tokens":0}', "max_output_tokens"),
        (b'{"model":"m","input":"x","reasoning":{"effort":1}}', "reasoning.effort"),
        (b'{"model":"m","input":[{"content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"role":"tool","content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}', "input[0].content[0].text"),
        (b'{"model":"m","input":[{"type":"function_call","name":"f"}]}', "input[0].call_id"),
        (b'{"model":"m","input":"x","tools":[{"type":"function"}]}', "tools[0].name"),
    ],
)
def test_a_mistake_is_named_by_its_path(body: bytes, param: str) -> None:
    with pytest.raises(WireError) as refused:
        parse_request(body)
    assert refused.value.param == param


def test_a_stored_prompt_needs_no_input() -> None:
    assert _say(parse_request(b'{"model":"m","prompt":{"id":"p"}}'))["prompt"] == {"id": "p"}


def test_trap_1_the_first_instructions_have_a_member_of_their_own() -> None:
    system = Turn(role=Role.SYSTEM, parts=(Text(text="Be brief."),), preamble=True)
    told = _say(Request(model="m", turns=(system, Turn(role=Role.USER, parts=(Text(text="Hi"),)))))
    assert told["instructions"] == "Be brief."
    assert told["input"] == [{"role": "user", "content": "Hi"}]


def test_trap_1_instructions_in_pieces_are_a_message() -> None:
    system = Turn(role=Role.SYSTEM, parts=(Text(text="a"), Text(text="b")), preamble=True)
    told = _say(Request(model="m", turns=(system,)))
    assert "instructions" not in told
    assert told["input"][0]["role"] == "system"


def test_trap_2_parts_of_one_turn_become_items_in_their_order() -> None:
    parts = (Text(text="Look:"), ToolCall(id="a", name="f"), ToolCall(id="b", name="g"), Text(text="Done"))
    items = _say(_turns(*parts, role=Role.ASSISTANT))["input"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call", "message"]


def test_trap_3_calls_without_ids_get_some_and_results_find_them() -> None:
    calls = Turn(role=Role.ASSISTANT, parts=(ToolCall(name="f"), ToolCall(name="g")))
    results = Turn(role=Role.TOOL, parts=(ToolResult(call_id="", name="g"), ToolResult(call_id="")))
    items = _say(Request(model="m", turns=(calls, results)))["input"]
    assert [item["call_id"] for item in items] == ["call_0", "call_1", "call_1", "call_0"]


def test_trap_4_no_arguments_are_an_empty_object() -> None:
    assert _say(_turns(ToolCall(id="a", name="f"), role=Role.ASSISTANT))["input"][0]["arguments"] == "{}"


def test_the_result_of_a_custom_tool_is_found_by_its_call() -> None:
    call = Turn(role=Role.ASSISTANT, parts=(ToolCall(id="a", name="f", arguments=b"x", custom=True),))
    result = Turn(role=Role.TOOL, parts=(ToolResult(call_id="a", parts=(Text(text="1"),)),))
    items = _say(Request(model="m", turns=(call, result)))["input"]
    assert [item["type"] for item in items] == ["custom_tool_call", "custom_tool_call_output"]


def test_that_a_tool_failed_is_a_loss_and_its_words_are_kept() -> None:
    request = _turns(ToolResult(call_id="a", parts=(Text(text="no"),), failed=True), role=Role.TOOL)
    assert _say(request)["input"][0]["output"] == "no"
    assert _lost(request) == ["messages[0].content[0].failed"]


def test_trap_6_reasoning_goes_back_only_to_the_format_that_sealed_it() -> None:
    foreign = Reasoning(text="Hm", seal=Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"')))
    own = Reasoning(text="Hm", seal=Seal(origin=ORIGIN, name="encrypted_content", value=Raw(b'"gAAA"')))
    request = _turns(foreign, own, Reasoning(text="bare"), role=Role.ASSISTANT)
    summary = [{"type": "summary_text", "text": "Hm"}]
    assert _say(request)["input"] == [{"type": "reasoning", "summary": summary, "encrypted_content": "gAAA"}]
    assert _lost(request) == ["messages[0].content[0]", "messages[0].content[2]"]


def test_trap_6_a_wrapped_seal_is_itself_again() -> None:
    seal = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"'))
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
    body = json.dumps({"model": "m", "input": [{**item, "encrypted_content": wrap(seal)}]}).encode()
    assert parse_envelope(body).sealed
    assert parse_request(body).turns[0].parts == (Reasoning(text="Hm", seal=seal),)


@pytest.mark.parametrize(
    ("asked", "effort", "lost"),
    [
        ({"effort": "low"}, "low", []),
        ({"effort": "medium"}, "low", ["effort"]),
        ({"thinking": Thinking(mode="budget", budget=4096)}, "low", []),
        ({"thinking": Thinking(mode="budget", budget=30000)}, "high", []),
        ({"thinking": Thinking(mode="adaptive")}, "high", []),
        ({"thinking": Thinking(mode="disabled")}, "none", []),
    ],
)
def test_trap_7_how_much_to_reason(asked: dict[str, Any], effort: str, lost: list[str]) -> None:
    request = Request(model="m", turns=(), **asked)
    assert _say(request, THINKER)["reasoning"]["effort"] == effort
    assert _lost(request, THINKER) == lost


def test_trap_8_sampling_that_the_model_refuses_is_a_loss_unless_it_changes_nothing() -> None:
    request = Request(model="m", turns=(), sampling=Sampling(temperature=0.5, top_p=1, top_logprobs=2))
    assert _lost(request, THINKER) == ["temperature", "top_logprobs"]
    assert "temperature" not in _say(request, THINKER)
    assert _say(Request(model="m", turns=(), effort="none", sampling=Sampling(temperature=0.5)), THINKER)["temperature"]


def test_what_responses_has_no_word_for_is_a_loss() -> None:
    sampling = Sampling(seed=1, presence_penalty=1, frequency_penalty=0, top_k=3)
    request = Request(model="m", turns=(), stop=("x",), sampling=sampling, cache=CacheMark())
    assert set(_lost(request)) == {
        "stop",
        "seed",
        "presence_penalty",
        "top_k",
        "cache_control",
    }


def test_more_than_one_answer_is_refused() -> None:
    with pytest.raises(WireError) as refused:
        render_request(Request(model="m", turns=(), candidates=2), PLAIN)
    assert refused.value.param == "n"


def test_trap_12_marks_for_the_cache_are_sent_to_models_that_take_them() -> None:
    request = _turns(Text(text="x", cache=CacheMark(ttl="1h")))
    told = _say(request, Profile(cache_breakpoints=True))["input"][0]["content"][0]
    assert told["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert _lost(request) == ["messages[0].content[0].cache_control"]


def test_trap_13_pictures_and_documents() -> None:
    request = _turns(
        Image(source=Inline("image/png", "AA==")),
        Image(source=Url("https://a"), detail="low"),
        File(source=Inline("text/plain", "AA=="), context="Read it."),
        File(source=Url("https://b")),
    )
    assert _say(request)["input"][0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        {"type": "input_image", "image_url": "https://a", "detail": "low"},
        {"type": "input_text", "text": "Read it."},
        {"type": "input_file", "file_data": "data:text/plain;base64,AA==", "filename": "file.txt"},
        {"type": "input_file", "file_url": "https://b"},
    ]


@pytest.mark.parametrize(
    "part", [Image(source=FileId("f")), Opaque(origin="x", value=Raw(b"{}")), File(source=FileId("f"))]
)
def test_content_that_it_cannot_carry_is_refused(part: Part) -> None:
    with pytest.raises(Unrepresentable) as refused:
        render_request(_turns(part), PLAIN)
    assert refused.value.param == "messages[0].content[0]"


def test_a_tool_that_another_provider_ran_is_left_out() -> None:
    request = _turns(ServerTool(origin="x", kind="server_tool_use", value=Raw(b"{}")), role=Role.ASSISTANT)
    assert _say(request)["input"] == []
    assert _lost(request) == ["messages[0].content[0]"]


def test_trap_15_a_foreign_function_is_not_strict_unless_it_says_so() -> None:
    tools = (FunctionTool(name="f"), FunctionTool(name="g", schema=b'{"a":1}', strict=True))
    told = _say(Request(model="m", turns=(), tools=tools))["tools"]
    assert told[0] == {
        "type": "function",
        "name": "f",
        "strict": False,
        "parameters": {"type": "object", "properties": {}},
    }
    assert told[1] == {"type": "function", "name": "g", "strict": True, "parameters": {"a": 1}}


def test_foreign_tools() -> None:
    grammar = Raw(b'{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}')
    location = Raw(b'{"city":"Bern"}')
    search = HostedTool(
        origin="x", kind="web_search", value=Raw(b"{}"), allowed_domains=("a",), max_uses=2, location=location
    )
    tools = (
        CustomTool(name="c", grammar=grammar),
        Namespace(name="n", tools=(FunctionTool(name="f", strict=True, schema=b"{}"),)),
        search,
        HostedTool(origin="x", kind="memory", value=Raw(b"{}")),
    )
    request = Request(model="m", turns=(), tools=tools)
    assert _say(request)["tools"] == [
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {
            "type": "namespace",
            "name": "n",
            "tools": [{"type": "function", "name": "f", "strict": True, "parameters": {}}],
        },
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a"]},
            "user_location": {"type": "approximate", "city": "Bern"},
        },
    ]
    assert _lost(request) == ["tools[2].max_uses", "tools[3]"]
    assert (
        _say(Request(model="m", turns=(), tool_choice=ToolChoice(mode=ToolMode.REQUIRED)))["tool_choice"] == "required"
    )


def test_json_of_a_schema() -> None:
    output = JsonOutput(schema=b'{"a":1}', strict=True)
    told = _say(Request(model="m", turns=(), output=output))["text"]
    assert told == {"format": {"type": "json_schema", "name": "answer", "schema": {"a": 1}, "strict": True}}


def test_nothing_is_stored_and_reasoning_comes_sealed() -> None:
    told = _say(_turns(Text(text="Hi")), THINKER)
    assert told["store"] is False
    assert told["include"] == ["reasoning.encrypted_content"]
    assert "include" not in _say(_turns(Text(text="Hi")))


def _edit(profile: Profile = PLAIN, limit: int | None = None, **members: Any) -> Edited:
    envelope = parse_envelope(json.dumps({"model": "m", "input": "Hi", **members}).encode())
    return edit(envelope, model="other", profile=profile, output_limit=limit)


def test_what_is_edited_on_the_identity_path() -> None:
    told = json.loads(_edit(THINKER, 5, top_p=0.5, temperature=1, invented={"a": 1}).body)
    assert told == {
        "model": "other",
        "input": "Hi",
        "invented": {"a": 1},
        "max_output_tokens": 5,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert [loss.path for loss in _edit(THINKER, top_p=0.5, temperature=1).losses] == ["top_p"]


def test_who_says_that_nothing_is_to_be_stored_is_asked_for_nothing_more() -> None:
    assert json.loads(_edit(THINKER, store=False).body) == {"model": "other", "input": "Hi", "store": False}


NAMES = ["type", "role", "content", "text", "name", "call_id", "output", "summary", "tools", "format", "filters", "id"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES]), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions"]), JSON
    )
)
def test_any_request_is_read_or_refused_with_a_wire_error(members: dict[str, Any]) -> None:
    try:
        request = parse_request(json.dumps({"model": "m", "input": "x", **members}).encode())
    except WireError:
        return
    render_request(request, PLAIN)


def test_a_limit_below_the_least_is_raised_to_it_and_said() -> None:
    request = msgspec.structs.replace(_turns(Text(text="Hi")), output_limit=1)
    assert _say(request)["max_output_tokens"] == 16
    assert _lost(request) == ["max_tokens"]
