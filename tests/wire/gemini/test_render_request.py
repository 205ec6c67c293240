"""From the neutral model to Gemini's words, one point each; the traps of translation are named."""

from typing import Any, Final

import pytest
from msgspec import Raw
from tests.wire.gemini.asking import asked, losses, rendered

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
from komeet.catalog.profile import Profile, ThinkingStyle
from komeet.catalog.profile import Sampling as Takes
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.gemini.render_request import render_request

OTHER: Final = "anthropic_messages"
BUDGET: Final = Profile(thinking=ThinkingStyle.BUDGET, efforts=("none", "low", "medium", "high"))
LEVELS: Final = Profile(efforts=("low", "high"))
PLAIN: Final = Profile(thinking=ThinkingStyle.NONE)
SKIPPED: Final = "skip_thought_signature_validator"


def turn(role: Role, *parts: Part | str, **more: Any) -> Turn:
    said = tuple([Text(text=part) if isinstance(part, str) else part for part in parts])
    return Turn(role=role, parts=said, **more)


HI: Final = turn(Role.USER, "Hi")


def contents(*turns: Turn, profile: Profile = PLAIN) -> list[Any]:
    return rendered(asked(*turns), profile)["contents"]


def said(*parts: Part | str, profile: Profile = PLAIN) -> list[Any]:
    """The parts of what the model said before."""
    return contents(HI, turn(Role.ASSISTANT, *parts), profile=profile)[1]["parts"]


def sent(*parts: Part) -> list[Any]:
    """The parts of what the user says."""
    return contents(turn(Role.USER, *parts))[0]["parts"]


def test_trap_1_instructions_go_first_and_later_ones_are_told_by_the_user() -> None:
    request = asked(
        turn(Role.SYSTEM, "A", preamble=True), turn(Role.DEVELOPER, "B"), HI, turn(Role.SYSTEM, "C"), turn(Role.USER)
    )
    told = rendered(request)
    assert told["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert told["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "<system>\nC\n</system>"}]}]
    assert losses(request) == ["messages[3].role"]


def test_trap_1_instructions_alone_are_what_the_user_says() -> None:
    request = asked(turn(Role.SYSTEM, "A"))
    assert rendered(request)["contents"] == [{"role": "user", "parts": [{"text": "A"}]}]
    assert losses(request) == ["messages[0].role"]


def test_nothing_said_is_refused() -> None:
    with pytest.raises(WireError, match="at least one"):
        rendered(asked(turn(Role.USER, "")))


def _call(name: str, call_id: str = "") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=b"{}")


def _result(call_id: str, text: str, name: str = "") -> Turn:
    return turn(Role.TOOL, ToolResult(call_id=call_id, name=name, parts=(Text(text=text),)))


def test_trap_2_results_are_one_content_in_the_order_of_their_calls_before_the_rest() -> None:
    told = contents(
        HI,
        turn(Role.ASSISTANT, _call("f", "c1"), _call("g", "c2")),
        turn(Role.USER, "And?"),
        _result("c2", "two"),
        _result("c1", "one"),
    )
    assert [each["role"] for each in told] == ["user", "model", "user"]
    assert told[2]["parts"] == [
        {"functionResponse": {"id": "c1", "name": "f", "response": {"result": "one"}}},
        {"functionResponse": {"id": "c2", "name": "g", "response": {"result": "two"}}},
        {"text": "And?"},
    ]


def test_trap_3_calls_and_results_without_ids_keep_their_names_and_order() -> None:
    told = contents(HI, turn(Role.ASSISTANT, _call("f"), _call("f")), _result("", "one", "f"), _result("", "two", "f"))
    assert [each["functionCall"] for each in told[1]["parts"]] == [{"name": "f", "args": {}}] * 2
    assert [each["functionResponse"]["response"]["result"] for each in told[2]["parts"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "args"),
    [(b"", {}), (b'{"a": 1}', {"a": 1}), (b'{"a"', {"_raw": '{"a"'}), (b"[1]", {"_raw": "[1]"}), (b"\xff", None)],
)
def test_trap_4_arguments_are_an_object_whatever_the_model_wrote(arguments: bytes, args: Any) -> None:
    (told,) = said(ToolCall(id="c", name="f", arguments=arguments))
    assert told["functionCall"]["args"] == ({"_raw": "\ufffd"} if args is None else args)


def test_a_custom_tool_is_a_function_with_one_text() -> None:
    (told,) = said(ToolCall(id="c", name="sh", arguments=b"ls -l", custom=True))
    assert told["functionCall"]["args"] == {"input": "ls -l"}
    tools = rendered(asked(HI, tools=(CustomTool(name="sh"),)))["tools"]
    assert tools[0]["functionDeclarations"][0]["parametersJsonSchema"]["required"] == ["input"]


@pytest.mark.parametrize(
    ("text", "failed", "response"),
    [
        ("sunny", False, {"result": "sunny"}),
        ("", False, {"result": ""}),
        ('{"sky": "blue"}', False, {"sky": "blue"}),
        ("[1]", False, {"result": "[1]"}),
        ('{"sky"', False, {"result": '{"sky"'}),
        ("no city", True, {"error": "no city"}),
        ('{"code": 1}', True, {"error": '{"code": 1}'}),
        ('{"error": 1}', True, {"error": 1}),
    ],
)
def test_a_result_is_an_object(text: str, response: dict[str, Any], *, failed: bool) -> None:
    (told,) = sent(ToolResult(call_id="c", name="f", parts=(Text(text=text),), failed=failed))
    assert told["functionResponse"]["response"] == response


def test_pictures_of_a_result_stand_beside_its_text() -> None:
    picture = Image(source=Inline("image/png", "aGk="))
    (told,) = sent(ToolResult(call_id="c", name="f", parts=(Text(text="a"), Text(text="b"), picture)))
    assert told["functionResponse"]["response"] == {"result": "a\nb"}
    assert told["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]


TOOLS: Final = (FunctionTool(name="f", schema=b'{"type": "object"}'), FunctionTool(name="g"))


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice(mode=ToolMode.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(mode=ToolMode.NONE), {"mode": "NONE"}),
        (ToolChoice(mode=ToolMode.AUTO), {"mode": "AUTO"}),
        (ToolChoice(mode=ToolMode.NAMED, name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode=ToolMode.NAMED, name="f", namespace="n"), {"mode": "ANY", "allowedFunctionNames": ["n__f"]}),
        (ToolChoice(mode=ToolMode.REQUIRED, allowed=("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_trap_5_choices_of_tools(choice: ToolChoice, calling: dict[str, Any]) -> None:
    told = rendered(asked(HI, tools=TOOLS, tool_choice=choice))
    assert told["toolConfig"] == {"functionCallingConfig": calling}


def test_trap_5_one_tool_at_a_time_cannot_be_asked_for() -> None:
    assert losses(asked(HI, tools=TOOLS, parallel_tool_calls=False)) == ["parallel_tool_calls"]


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "toolConfig" not in rendered(asked(HI, tool_choice=ToolChoice(mode=ToolMode.AUTO)))


def test_functions_are_one_list_with_json_schema_and_groups_are_flat() -> None:
    group = Namespace(name="crm", tools=(FunctionTool(name="find"),))
    told = rendered(asked(HI, tools=(*TOOLS, group)))["tools"]
    assert told == [
        {
            "functionDeclarations": [
                {"name": "f", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
                {"name": "crm__find"},
            ]
        }
    ]


def test_functions_that_may_not_be_asked_for_are_left_out() -> None:
    choice = ToolChoice(mode=ToolMode.AUTO, allowed=("g",))
    assert rendered(asked(HI, tools=TOOLS, tool_choice=choice))["tools"] == [{"functionDeclarations": [{"name": "g"}]}]


def test_a_search_is_googles_search() -> None:
    search = HostedTool(origin="openai_responses", kind="web_search", value=Raw(b"{}"), max_uses=2)
    assert rendered(asked(HI, tools=(search,)))["tools"] == [{"googleSearch": {}}]
    assert losses(asked(HI, tools=(search,))) == ["tools[0].max_uses"]
    both = rendered(asked(HI, tools=(*TOOLS, search)))
    assert both["tools"][1] == {"googleSearch": {}}
    assert both["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert losses(asked(HI, tools=(*TOOLS, search)), BUDGET) == ["tools[2]"]


def test_tools_that_only_another_format_has() -> None:
    hosted = HostedTool(origin=OTHER, kind="computer", value=Raw(b"{}"))
    assert losses(asked(HI, tools=(hosted,))) == ["tools[0]"]
    with pytest.raises(Unrepresentable) as refused:
        rendered(asked(HI, tools=(Opaque(origin=OTHER, value=Raw(b"{}")),)))
    assert refused.value.param == "tools[0]"


def _own(value: bytes = b'"c2ln"') -> Seal:
    return Seal(origin="gemini", name="thoughtSignature", value=Raw(value))


def test_trap_6_a_signature_goes_on_the_part_that_it_stood_before() -> None:
    sealed = Reasoning(seal=_own())
    assert said(sealed, _call("f", "c"))[0]["thoughtSignature"] == "c2ln"
    assert said(sealed, "Yes.") == [{"text": "Yes.", "thoughtSignature": "c2ln"}]
    assert said("Yes.", sealed) == [{"text": "Yes."}, {"text": "", "thoughtSignature": "c2ln"}]
    assert said(Reasoning(text="Hm.", seal=_own())) == [{"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}]


def test_trap_6_the_seal_of_another_format_is_not_sent() -> None:
    foreign = Reasoning(text="Hm.", seal=Seal(origin=OTHER, name="signature", value=Raw(b'"x"')))
    request = asked(HI, turn(Role.ASSISTANT, foreign, "Yes."))
    assert rendered(request)["contents"][1]["parts"] == [{"text": "Yes."}]
    assert losses(request) == ["messages[1].content[0]"]


def test_trap_6_the_first_call_of_another_model_is_not_checked_where_a_signature_is_demanded() -> None:
    first, second = said(_call("f", "a"), _call("g", "b"), profile=LEVELS)
    assert (first["thoughtSignature"], "thoughtSignature" in second) == (SKIPPED, False)
    assert said(Reasoning(seal=_own()), _call("f", "a"), profile=LEVELS)[0]["thoughtSignature"] == "c2ln"
    assert "thoughtSignature" not in said(_call("f", "a"), profile=BUDGET)[0]


@pytest.mark.parametrize(
    ("fields", "profile", "config"),
    [
        ({"effort": "high"}, LEVELS, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ({"effort": "minimal"}, LEVELS, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ({"effort": "none"}, LEVELS, {"thinkingLevel": "LOW"}),
        ({"effort": "xhigh"}, Profile(), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ({"effort": "low"}, BUDGET, {"thinkingBudget": 1024, "includeThoughts": True}),
        ({"effort": "none"}, BUDGET, {"thinkingBudget": 0}),
        ({"effort": "max"}, BUDGET, {"thinkingBudget": 24_576, "includeThoughts": True}),
        ({"thinking": Thinking(mode="budget", budget=2000)}, BUDGET, {"thinkingBudget": 2000, "includeThoughts": True}),
        (
            {"thinking": Thinking(mode="budget", budget=32_000)},
            BUDGET,
            {"thinkingBudget": 24_576, "includeThoughts": True},
        ),
        ({"thinking": Thinking(mode="budget", budget=2000)}, LEVELS, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ({"thinking": Thinking(mode="disabled")}, BUDGET, {"thinkingBudget": 0}),
        ({"thinking": Thinking(mode="adaptive")}, BUDGET, {"thinkingBudget": -1, "includeThoughts": True}),
        (
            {"thinking": Thinking(mode="adaptive", summary="omitted"), "effort": "high"},
            LEVELS,
            {"thinkingLevel": "HIGH"},
        ),
        ({"thinking": Thinking(mode="adaptive")}, LEVELS, {"includeThoughts": True}),
    ],
)
def test_trap_7_how_much_to_reason(fields: dict[str, Any], profile: Profile, config: dict[str, Any]) -> None:
    assert rendered(asked(HI, **fields), profile)["generationConfig"] == {"thinkingConfig": config}


def test_trap_7_a_model_that_does_not_reason_is_not_asked_to() -> None:
    assert "generationConfig" not in rendered(asked(HI, effort="high"), PLAIN)
    assert losses(asked(HI, effort="high"), PLAIN) == ["reasoning_effort"]
    assert losses(asked(HI, effort="none"), PLAIN) == []
    assert losses(asked(HI, effort="minimal"), LEVELS) == ["reasoning_effort"]


def test_trap_8_sampling() -> None:
    sampling = Sampling(
        temperature=2,
        top_p=0.5,
        top_k=3,
        presence_penalty=1,
        frequency_penalty=1,
        seed=1,
        logprobs=True,
        top_logprobs=2,
    )
    assert rendered(asked(HI, sampling=sampling))["generationConfig"] == {
        "temperature": 2,
        "topP": 0.5,
        "topK": 3,
        "presencePenalty": 1,
        "frequencyPenalty": 1,
        "seed": 1,
        "responseLogprobs": True,
        "logprobs": 2,
    }
    refusing = Profile(sampling=Takes.NEVER)
    assert losses(asked(HI, sampling=Sampling(temperature=1, top_k=3)), refusing) == ["top_k"]
    assert losses(asked(HI, sampling=Sampling(seed=2**40))) == ["seed"]


def test_limits_stops_and_candidates() -> None:
    request = asked(HI, output_limit=9, stop=("a", "b"), candidates=2)
    assert rendered(request)["generationConfig"] == {
        "candidateCount": 2,
        "maxOutputTokens": 9,
        "stopSequences": ["a", "b"],
    }
    assert losses(asked(HI, stop=tuple("abcdef"))) == ["stop[5]"]
    with pytest.raises(WireError, match="gives 1 answer"):
        rendered(request, Profile(candidates=1))


@pytest.mark.parametrize(("tier", "told"), [("default", "standard"), ("flex", "flex"), ("auto", None), ("scale", None)])
def test_tiers(tier: str, told: str | None) -> None:
    assert rendered(asked(HI, service_tier=tier)).get("serviceTier") == told


def test_trap_12_marks_for_the_cache_are_not_sent() -> None:
    mark = CacheMark(origin=OTHER, name="cache_control")
    request = asked(turn(Role.USER, Text(text="Hi", cache=mark)), tools=(FunctionTool(name="f", cache=mark),))
    assert losses(request) == ["messages[0].content[0].cache_control", "tools[0].cache_control"]


def test_trap_13_an_empty_text_says_nothing() -> None:
    assert said("", "Yes.") == [{"text": "Yes."}]


def test_trap_13_media_go_with_their_data() -> None:
    assert sent(Image(source=Inline("", "iVBORw0KGgo="))) == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    ]
    assert sent(Audio(source=Inline("audio/wav", "aGk="))) == [
        {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}
    ]
    assert sent(File(source=Inline("application/pdf", "aGk="), context="Read it.")) == [
        {"text": "Read it."},
        {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
    ]
    assert said(Refusal(text="No.")) == [{"text": "No."}]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("gs://b/a", None),
        ("https://www.youtube.com/watch?v=x", None),
        ("https://example.com/a.PDF?sig=1", "application/pdf"),
    ],
)
def test_trap_13_an_address_that_google_fetches_is_sent(url: str, kind: str | None) -> None:
    told = {"mimeType": kind} if kind else {}
    assert sent(File(source=Url(url))) == [{"fileData": {**told, "fileUri": url}}]


@pytest.mark.parametrize(
    "part",
    [
        Image(source=Url("http://example.com/a.png")),
        File(source=FileId("file-1")),
        File(source=Inline("", "aGk=")),
        Opaque(origin=OTHER, value=Raw(b"{}")),
        ToolResult(call_id="c", parts=(Opaque(origin=OTHER, value=Raw(b"{}")),)),
    ],
)
def test_trap_13_what_cannot_be_carried_is_refused_with_its_path(part: Part) -> None:
    with pytest.raises(Unrepresentable) as refused:
        sent(part)
    assert (refused.value.param or "").startswith("messages[0].content[0]")


def test_what_the_tools_of_another_provider_did_is_left_out() -> None:
    ran = ServerTool(origin=OTHER, kind="server_tool_use", value=Raw(b"{}"))
    assert losses(asked(HI, turn(Role.ASSISTANT, ran, "Yes."))) == ["messages[1].content[0]"]


def test_trap_15_json_of_a_schema() -> None:
    config = rendered(asked(HI, output=JsonOutput(schema=b'{"type":"object"}', name="a", strict=True)))
    assert config["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert rendered(asked(HI, output=JsonOutput()))["generationConfig"] == {"responseMimeType": "application/json"}


def test_knobs_without_a_word_are_declared_once() -> None:
    request = asked(
        turn(Role.USER, Image(source=Inline("image/png", "aGk="), detail="low"), name="Ann"),
        verbosity="low",
        prompt_cache_key="k",
        user="u",
        metadata={"a": "b"},
        extras={OTHER: {"container": Raw(b'"c"')}},
    )
    assert losses(request) == [
        "messages[0].name",
        "messages[0].content[0].detail",
        "verbosity",
        "prompt_cache_key",
        "user",
        "metadata",
        "container",
    ]


def test_the_bytes_of_arguments_and_schemas_are_kept() -> None:
    call = ToolCall(id="c", name="f", arguments=b'{"b": 1.0, "a":[]}')
    request: Request = asked(
        HI, turn(Role.ASSISTANT, call), tools=(FunctionTool(name="f", schema=b'{"type":  "object"}'),)
    )
    body = render_request(request, Profile()).body
    assert b'{"b": 1.0, "a":[]}' in body
    assert b'{"type":  "object"}' in body
