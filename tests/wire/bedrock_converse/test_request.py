"""Requests to Converse: one point each, and every feature of every caller's format within AWS's own description."""

import json
from typing import Any, Final

import pytest
from msgspec import Raw
from tests.wire.bedrock_converse.model import check
from tests.wire.matrix.cases import CHAPTERS, Case, base
from tests.wire.matrix.outcome import ADDRESSES

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
    Seal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, ToolChoice, ToolMode
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import Profile
from komeet.catalog.profiles import load
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.bedrock_converse.format import FORMAT
from komeet.wire.format import NOWHERE
from komeet.wire.formats import BOTH_ROLES

PROFILES: Final = load()
BUDGET: Final = PROFILES.find("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
ADAPTIVE: Final = PROFILES.find("bedrock", "global.anthropic.claude-sonnet-4-6")
NOVA: Final = PROFILES.find("bedrock", "amazon.nova-pro-v1:0")
NOVA_2: Final = PROFILES.find("bedrock", "us.amazon.nova-2-lite-v1:0")
GPT: Final = PROFILES.find("bedrock", "openai.gpt-oss-120b-1:0")
LLAMA: Final = PROFILES.find("bedrock", "us.meta.llama4-maverick-17b-instruct-v1:0")
EVERY: Final = (Profile(), BUDGET, ADAPTIVE, NOVA, NOVA_2, GPT, LLAMA)

WEATHER: Final = FunctionTool(name="weather", schema=b'{"type":"object","properties":{"city":{"type":"string"}}}')
CALL: Final = ToolCall(id="call_1", name="weather", arguments=b'{"city":"Paris"}')
RESULT: Final = ToolResult(call_id="call_1", parts=(Text(text="sun"),))
MARK: Final = CacheMark(name="cache_control", origin="anthropic_messages")
SEAL: Final = Seal(origin="bedrock_converse", name="signature", value=Raw(b'"c2VhbA=="'))


def _user(*parts: Part) -> Turn:
    return Turn(role=Role.USER, parts=parts)


def _said(*parts: Part) -> Turn:
    return Turn(role=Role.ASSISTANT, parts=parts)


HI: Final = _user(Text(text="Hi"))


def _rendered(*turns: Turn, profile: Profile = Profile(), **members: Any) -> tuple[Any, list[str]]:  # noqa: B008
    edited = FORMAT.render_request(Request(model="m", turns=turns or (HI,), **members), profile, ask_usage=True)
    check(edited.body)
    return json.loads(edited.body), [loss.path for loss in edited.losses]


def _each_case() -> list[Any]:
    return [
        pytest.param(case, caller, id=f"{case.title}-{caller}")
        for cases in CHAPTERS.values()
        for case in cases
        for caller in case.said
        if caller in BOTH_ROLES
    ]


@pytest.mark.parametrize(("case", "caller"), _each_case())
def test_what_a_caller_can_ask_is_sent_as_aws_describes_it(case: Case, caller: str) -> None:
    wire = BOTH_ROLES[caller]
    body = json.dumps(base(caller) | case.said[caller]).encode()
    request = wire.parse_request(wire.parse_envelope(body, {}, ADDRESSES.get(caller, NOWHERE)))
    for profile in EVERY:
        try:
            edited = FORMAT.render_request(request, profile, ask_usage=True)
        except WireError as error:
            assert error.param
        else:
            check(edited.body)
            assert all(loss.path and loss.reason for loss in edited.losses)


def test_instructions_stand_first_and_later_ones_are_told_by_the_user() -> None:
    first = Turn(role=Role.DEVELOPER, parts=(Text(text="Be brief."),))
    later = Turn(role=Role.SYSTEM, parts=(Text(text="Rhyme."),))
    body, losses = _rendered(first, HI, later)
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hi"}, {"text": "<system>\nRhyme.\n</system>"}]}]
    assert losses == ["messages[2].role"]


def test_instructions_alone_are_a_message() -> None:
    body, losses = _rendered(Turn(role=Role.SYSTEM, parts=(Text(text="Go."),)))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Go."}]}]}
    assert losses == ["messages[0].role"]


def test_results_come_first_in_the_one_turn_that_follows_their_calls() -> None:
    second = ToolCall(id="call_2", name="weather")
    answers = (
        Turn(role=Role.TOOL, parts=(RESULT,)),
        _user(Text(text="And?")),
        Turn(role=Role.TOOL, parts=(ToolResult(call_id="call_2", failed=True),)),
    )
    body, losses = _rendered(HI, _said(CALL), _said(second), *answers, tools=(WEATHER,))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Paris"}}},
        {"toolUse": {"toolUseId": "call_2", "name": "weather", "input": {}}},
    ]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "sun"}]}},
        {"toolResult": {"toolUseId": "call_2", "content": [{"text": "(no output)"}], "status": "error"}},
        {"text": "And?"},
    ]
    assert losses == []


def test_ids_that_bedrock_refuses_are_replaced_for_call_and_result_alike() -> None:
    call, result = ToolCall(id="a b", name="weather"), ToolResult(call_id="a b", parts=(Text(text="x"),))
    nameless = ToolCall(name="weather")
    body, _ = _rendered(HI, _said(call, nameless), _user(result, ToolResult(call_id="", name="weather")))
    calls = [block["toolUse"]["toolUseId"] for block in body["messages"][1]["content"]]
    assert calls == [block["toolResult"]["toolUseId"] for block in body["messages"][2]["content"]]
    assert len(set(calls)) == 2


def test_broken_arguments_are_told_as_text() -> None:
    body, losses = _rendered(HI, _said(ToolCall(id="c", name="weather", arguments=b'{"a":')), tools=(WEATHER,))
    assert body["messages"][1]["content"][0]["toolUse"]["input"] == {"_raw": '{"a":'}
    assert losses == ["messages[1].content[0].arguments"]


def test_tools_that_must_not_be_asked_for_are_left_out() -> None:
    body, losses = _rendered(tools=(WEATHER,), tool_choice=ToolChoice(mode=ToolMode.NONE))
    assert "toolConfig" not in body
    assert losses == []


def test_tools_stay_where_the_history_has_calls() -> None:
    turns = (HI, _said(CALL), Turn(role=Role.TOOL, parts=(RESULT,)))
    body, losses = _rendered(*turns, tools=(WEATHER,), tool_choice=ToolChoice(mode=ToolMode.NONE))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["weather"]
    assert "toolChoice" not in body["toolConfig"]
    assert losses == ["tool_choice"]
    without, losses = _rendered(*turns)
    assert [tool["toolSpec"]["name"] for tool in without["toolConfig"]["tools"]] == ["weather"]
    assert losses == []


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice(mode=ToolMode.REQUIRED), {"any": {}}),
        (ToolChoice(mode=ToolMode.NAMED, name="weather"), {"tool": {"name": "weather"}}),
        (ToolChoice(mode=ToolMode.AUTO), None),
    ],
)
def test_a_call_that_must_be_made(choice: ToolChoice, told: Any) -> None:
    body, losses = _rendered(tools=(WEATHER,), tool_choice=choice)
    assert body["toolConfig"].get("toolChoice") == told
    assert losses == []


def test_a_schema_keeps_its_bytes_and_the_order_of_its_members() -> None:
    schema = b'{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}}}'
    request = Request(model="m", turns=(HI,), tools=(FunctionTool(name="f", schema=schema),))
    assert schema in FORMAT.render_request(request, Profile(), ask_usage=True).body


def test_a_tool_is_held_to_its_schema_where_the_model_can_be() -> None:
    strict = FunctionTool(name="f", schema=b'{"type":"object","properties":{}}', strict=True)
    body, losses = _rendered(tools=(strict,), profile=BUDGET)
    assert body["toolConfig"]["tools"][0]["toolSpec"]["strict"] is True
    assert losses == []
    body, losses = _rendered(tools=(strict,), profile=NOVA)
    assert "strict" not in body["toolConfig"]["tools"][0]["toolSpec"]
    assert losses == ["tools[0].strict"]


def test_a_tool_of_free_text_is_a_function_of_one_string() -> None:
    body, _ = _rendered(tools=(CustomTool(name="shell", description="Runs it."),))
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["required"] == ["input"]


def test_a_search_of_another_format_is_a_loss() -> None:
    body, losses = _rendered(tools=(HostedTool(origin="openai_responses", kind="web_search", value=Raw(b"{}")),))
    assert "toolConfig" not in body
    assert losses == ["tools[0]"]


def test_a_pdf_has_a_name_of_characters_that_bedrock_takes() -> None:
    pdf = Inline("application/pdf", "JVBERi0xLjQ=")
    parts = (
        Text(text="Read."),
        File(source=pdf, filename="a.pdf"),
        File(source=pdf, filename="a.pdf"),
        File(source=pdf, title="Ignore all: 100%"),
        File(source=pdf),
    )
    body, losses = _rendered(_user(*parts))
    documents = [block["document"] for block in body["messages"][0]["content"][1:]]
    assert [document["name"] for document in documents] == ["a", "a (2)", "Ignore all- 100", "Document 4"]
    assert {document["format"] for document in documents} == {"pdf"}
    assert losses == ["messages[0].content[3].filename"]


def test_a_document_alone_is_named_in_a_text_since_bedrock_demands_one() -> None:
    body, losses = _rendered(_user(File(source=Inline("application/pdf", "JVBERi0xLjQ="), filename="a.pdf")))
    assert body["messages"][0]["content"][0] == {"text": "a.pdf"}
    assert losses == []


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Image(source=Inline("", "iVBORw0KGgo=")), {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}),
        (
            Image(source=Inline("image/jpg", "/9j/AAAA")),
            {"image": {"format": "jpeg", "source": {"bytes": "/9j/AAAA"}}},
        ),
        (
            Audio(source=Inline("audio/wav", "UklGRg==")),
            {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
        ),
        (
            File(source=Inline("video/mp4", "AAAA")),
            {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
        ),
        (
            File(source=Inline("text/x-python; charset=utf-8", "AAAA"), title="code", context="mine"),
            {"document": {"format": "txt", "name": "code", "source": {"bytes": "AAAA"}, "context": "mine"}},
        ),
    ],
)
def test_media_is_named_by_format(part: Part, block: Any) -> None:
    body, losses = _rendered(_user(Text(text="See."), part))
    assert body["messages"][0]["content"][1] == block
    assert losses == []


@pytest.mark.parametrize(
    "part",
    [
        Image(source=Url("https://example.com/a.png")),
        File(source=Url("https://example.com/a.pdf")),
        Image(source=FileId("file-1")),
        Image(source=Inline("image/tiff", "AAAA")),
        File(source=Inline("application/zip", "AAAA")),
        Opaque(origin="openai_chat", value=Raw(b"{}")),
        ToolResult(call_id="c", parts=(Audio(source=Inline("audio/wav", "AAAA")),)),
    ],
)
def test_what_bedrock_cannot_carry_is_refused_with_its_path(part: Part) -> None:
    with pytest.raises(Unrepresentable) as caught:
        _rendered(_user(Text(text="Hi"), part))
    assert (caught.value.param or "").startswith("messages[0].content[1]")


def test_several_answers_are_refused() -> None:
    with pytest.raises(WireError) as caught:
        _rendered(candidates=2)
    assert caught.value.param == "n"


def test_texts_that_say_nothing_are_left_out_and_an_answer_to_be_continued_ends_in_no_white_space() -> None:
    body, _ = _rendered(_user(Text(text=" \n"), Text(text="Hi")), _said(Text(text="It is ")))
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [{"text": "It is"}]},
    ]


def test_reasoning_goes_back_only_where_bedrock_sealed_it() -> None:
    redacted = Seal(origin="bedrock_converse", name="redactedContent", value=Raw(b'"AAAA"'))
    foreign = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"x"'))
    parts = (
        Reasoning(text="Hm.", seal=SEAL),
        Reasoning(seal=redacted),
        Reasoning(text="So.", seal=foreign),
        Reasoning(text="Well."),
        Text(text="Hello."),
    )
    body, losses = _rendered(HI, _said(*parts), HI)
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2VhbA=="}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "Hello."},
    ]
    assert losses == ["messages[1].content[2]", "messages[1].content[3]"]


def test_what_a_tool_of_the_provider_did_goes_back_to_bedrock_only() -> None:
    mine = ServerTool(origin="bedrock_converse", kind="x", value=Raw(b'{"text":"as it was"}'))
    theirs = ServerTool(origin="openai_responses", kind="web_search_call", value=Raw(b"{}"))
    body, losses = _rendered(HI, _said(mine, theirs, Text(text="a")))
    assert body["messages"][1]["content"] == [{"text": "as it was"}, {"text": "a"}]
    assert losses == ["messages[1].content[1]"]


def test_marks_for_the_prompt_cache_follow_what_they_mark() -> None:
    system = Turn(role=Role.SYSTEM, parts=(Text(text="Be brief.", cache=MARK),), preamble=True)
    hour = CacheMark(ttl="1h", name="cache_control", origin="anthropic_messages")
    marked = FunctionTool(name="f", cache=hour)
    body, losses = _rendered(
        system, _user(Text(text="Hi", cache=MARK), Text(text="!")), tools=(marked,), cache=MARK, profile=BUDGET
    )
    point = {"cachePoint": {"type": "default"}}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["system"] == [{"text": "Be brief."}, point]
    assert body["messages"][0]["content"] == [{"text": "Hi"}, point, {"text": "!"}, point]
    assert losses == []


def test_marks_go_where_the_model_takes_them() -> None:
    marked = FunctionTool(name="f", cache=CacheMark(ttl="1h", name="cache_control"))
    turn = _user(Text(text="Hi", cache=CacheMark(ttl="1h", name="cache_control")))
    body, losses = _rendered(turn, tools=(marked,), profile=NOVA)
    assert len(body["toolConfig"]["tools"]) == 1
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}
    assert losses == ["tools[0].cache_control", "messages[0].content[0].cache_control.ttl"]
    _, losses = _rendered(turn, profile=LLAMA)
    assert losses == ["messages[0].content[0].cache_control"]


def test_the_last_four_marks_are_kept() -> None:
    marked = FunctionTool(name="f", cache=MARK)
    turn = _user(*[Text(text=str(number), cache=MARK) for number in range(5)])
    body, losses = _rendered(turn, tools=(marked,), profile=BUDGET)
    assert len(body["toolConfig"]["tools"]) == 1
    assert [list(block) for block in body["messages"][0]["content"]] == [["text"], *[["text"], ["cachePoint"]] * 4]
    assert losses == ["tools[0].cache_control", "messages[0].content[0].cache_control"]


@pytest.mark.parametrize(
    ("profile", "members", "fields", "output", "losses"),
    [
        (ADAPTIVE, {"effort": "high"}, {"thinking": {"type": "adaptive"}}, {"effort": "high"}, []),
        (
            ADAPTIVE,
            {"effort": "xhigh"},
            {"thinking": {"type": "adaptive"}},
            {"effort": "high"},
            ["reasoning_effort"],
        ),
        (ADAPTIVE, {"effort": "none"}, {"thinking": {"type": "disabled"}}, None, []),
        (
            ADAPTIVE,
            {"thinking": Thinking(mode="adaptive", summary="omitted")},
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            None,
            [],
        ),
        (BUDGET, {"effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None, []),
        (
            BUDGET,
            {"effort": "high", "output_limit": 3000},
            {"thinking": {"type": "enabled", "budget_tokens": 2999}},
            None,
            [],
        ),
        (BUDGET, {"effort": "high", "output_limit": 500}, None, None, ["reasoning_effort"]),
        (BUDGET, {"effort": "none"}, None, None, []),
        (NOVA, {"effort": "low"}, None, None, ["reasoning_effort"]),
        (NOVA_2, {"effort": "low"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, None, []),
        (NOVA_2, {"effort": "none"}, None, None, []),
        (
            GPT,
            {"thinking": Thinking(mode="budget", budget=2000)},
            {"reasoning_effort": "low"},
            None,
            [],
        ),
        (GPT, {"effort": "max"}, {"reasoning_effort": "high"}, None, ["reasoning_effort"]),
        (Profile(), {}, None, None, []),
    ],
)
def test_reasoning_is_asked_for_in_the_words_of_the_model(
    profile: Profile, members: dict[str, Any], fields: Any, output: Any, losses: list[str]
) -> None:
    body, lost = _rendered(profile=profile, **members)
    assert body.get("additionalModelRequestFields") == fields
    assert body.get("outputConfig") == output
    assert lost == losses


def test_no_reasoning_before_a_call_that_must_be_made() -> None:
    choice = ToolChoice(mode=ToolMode.REQUIRED)
    body, losses = _rendered(tools=(WEATHER,), tool_choice=choice, effort="high", profile=ADAPTIVE)
    assert "additionalModelRequestFields" not in body
    assert losses == ["reasoning_effort"]


def test_no_budget_where_calls_are_under_way_whose_reasoning_is_not_there() -> None:
    turns = (HI, _said(CALL), Turn(role=Role.TOOL, parts=(RESULT,)))
    _, losses = _rendered(*turns, tools=(WEATHER,), effort="low", profile=BUDGET)
    assert losses == ["reasoning_effort"]
    sealed = (HI, _said(Reasoning(text="Hm.", seal=SEAL), CALL), Turn(role=Role.TOOL, parts=(RESULT,)))
    body, losses = _rendered(*sealed, tools=(WEATHER,), effort="low", profile=BUDGET)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    assert losses == []


def test_sampling_is_dropped_while_the_model_reasons() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.97, top_k=7)
    body, losses = _rendered(sampling=sampling, effort="low", profile=BUDGET)
    assert body["inferenceConfig"] == {"topP": 0.97}
    assert losses == ["temperature", "top_k"]


def test_sampling_is_dropped_where_the_model_never_takes_it() -> None:
    profile = PROFILES.find("bedrock", "anthropic.claude-opus-4-7")
    body, losses = _rendered(sampling=Sampling(temperature=0.5, top_p=1), profile=profile)
    assert "inferenceConfig" not in body
    assert losses == ["temperature"]


@pytest.mark.parametrize(
    ("profile", "fields", "losses"),
    [
        (BUDGET, {"top_k": 7}, []),
        (NOVA, {"inferenceConfig": {"topK": 7}}, []),
        (LLAMA, None, ["top_k"]),
    ],
)
def test_top_k_is_said_in_the_words_of_the_model(profile: Profile, fields: Any, losses: list[str]) -> None:
    body, lost = _rendered(sampling=Sampling(top_k=7), profile=profile)
    assert body.get("additionalModelRequestFields") == fields
    assert lost == losses


def test_what_converse_has_no_word_for_is_declared() -> None:
    _, losses = _rendered(
        sampling=Sampling(temperature=1.5, presence_penalty=1, frequency_penalty=1, seed=0, logprobs=True),
        verbosity="low",
        prompt_cache_key="k",
        user="u",
        stop=(" ", "END"),
        service_tier="scale",
        parallel_tool_calls=False,
        tools=(WEATHER,),
        metadata={"a": "b", "c": "ü"},
        extras={"openai_chat": {"hologram": Raw(b"1")}},
    )
    assert sorted(losses) == sorted(
        [
            "parallel_tool_calls",
            "temperature",
            "stop[0]",
            "service_tier",
            "metadata.c",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "logprobs",
            "verbosity",
            "prompt_cache_key",
            "user",
            "hologram",
        ]
    )


def test_knobs_that_converse_has() -> None:
    body, losses = _rendered(
        sampling=Sampling(temperature=0.5),
        output_limit=77,
        stop=("END",),
        service_tier="flex",
        metadata={"a": "b"},
    )
    assert body["inferenceConfig"] == {"maxTokens": 77, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["serviceTier"] == {"type": "flex"}
    assert body["requestMetadata"] == {"a": "b"}
    assert losses == []


SCHEMA: Final = b'{"type":"object","properties":{"city":{"type":"string"}},"additionalProperties":false}'


def test_json_of_a_schema_by_the_form_of_the_answer() -> None:
    body, losses = _rendered(output=JsonOutput(schema=SCHEMA, name="place", description="Where."), profile=BUDGET)
    told = {"schema": SCHEMA.decode(), "name": "place", "description": "Where."}
    assert body["outputConfig"] == {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": told}}}
    assert losses == []


def test_json_of_a_schema_by_a_tool_where_the_model_has_no_form() -> None:
    body, losses = _rendered(output=JsonOutput(schema=SCHEMA, name="place"), profile=NOVA)
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "json_output"
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "json_output"}}
    assert losses == []
    body, _ = _rendered(output=JsonOutput(schema=SCHEMA), tools=(WEATHER,), profile=NOVA)
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


def test_any_json_is_a_loss() -> None:
    _, losses = _rendered(output=JsonOutput())
    assert losses == ["response_format"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-micro-v1:0", "/model/amazon.nova-micro-v1%3A0/converse"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0/converse",
        ),
        ("../x?y", "/model/..%2Fx%3Fy/converse"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model: str, path: str) -> None:
    assert FORMAT.path(model, stream=False) == path
    assert FORMAT.path(model, stream=True) == f"{path}-stream"


def test_nobody_speaks_it_to_komeet() -> None:
    assert FORMAT.passing is None
    assert FORMAT.kind == "generation"
    assert not FORMAT.fetches_files
    assert not FORMAT.fetches_images
    assert FORMAT.stream_type == b"application/vnd.amazon.eventstream"
