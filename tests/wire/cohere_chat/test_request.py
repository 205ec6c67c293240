"""What Cohere is asked, from what callers of other formats say."""

import json
from typing import Any

import pytest
from msgspec import Raw

from komeet.canonical.part import (
    Audio,
    CacheMark,
    File,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.request import JsonOutput, Request, Sampling, Thinking
from komeet.canonical.tool import CustomTool, FunctionTool, HostedTool, Namespace, Tool, ToolChoice, ToolMode
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import Profile
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.cohere_chat.render_request import render_request

HI = (Turn(role=Role.USER, parts=(Text(text="Hi"),)),)
F = FunctionTool(name="f", schema=b'{"type":"object"}')
G = FunctionTool(name="g", description="Does g.")


def sent(turns: tuple[Turn, ...] = HI, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    """The body, and the paths of what was lost."""
    edited = render_request(Request(model="m", turns=turns, **fields), Profile())
    return json.loads(edited.body), [loss.path for loss in edited.losses]


def said(*parts: Part, role: Role = Role.USER) -> Any:
    """What is sent of one turn."""
    body, losses = sent((Turn(role=role, parts=parts),))
    assert losses == []
    return body["messages"][0]


def test_knobs_go_by_their_names() -> None:
    sampling = Sampling(
        temperature=0.5, top_p=0.9, top_k=4, seed=1, frequency_penalty=0.2, presence_penalty=0.3, logprobs=True
    )
    body, losses = sent(sampling=sampling, output_limit=9, stop=("END",), stream=True)
    assert losses == []
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "p": 0.9,
        "k": 4,
        "seed": 1,
        "frequency_penalty": 0.2,
        "presence_penalty": 0.3,
        "logprobs": True,
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "stream": True,
    }


def test_what_cohere_has_no_word_for_is_lost_and_said() -> None:
    _, losses = sent(
        sampling=Sampling(top_logprobs=2, presence_penalty=-1),
        stop=("a", "b", "c", "d", "e", "f"),
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="priority",
        extras={"openai_chat": {"store": Raw(b"true")}},
        cache=CacheMark(),
    )
    assert sorted(losses) == sorted(
        [
            "presence_penalty",
            "top_logprobs",
            "stop",
            "verbosity",
            "user",
            "metadata",
            "prompt_cache_key",
            "service_tier",
            "cache_control",
            "store",
        ]
    )


@pytest.mark.parametrize(("asked", "told"), [(1.0, 0.99), (0.0, 0.01), (0.3, 0.3)])
def test_the_share_of_tokens_stays_within_what_cohere_takes(asked: float, told: float) -> None:
    body, losses = sent(sampling=Sampling(top_p=asked))
    assert body["p"] == told
    assert losses == (["top_p"] if asked == 0.0 else [])


def test_instructions_are_the_systems_wherever_they_stand() -> None:
    assert said(Text(text="Be brief."), role=Role.DEVELOPER) == {"role": "system", "content": "Be brief."}


def test_pictures_go_by_url_or_as_data() -> None:
    content = said(Image(source=Url("https://e.org/a.png"), detail="low"), Image(source=Inline("image/png", "AA==")))
    assert [each["image_url"]["url"] for each in content["content"]] == [
        "https://e.org/a.png",
        "data:image/png;base64,AA==",
    ]
    assert content["content"][0]["image_url"]["detail"] == "low"


def test_a_document_of_text_is_told_as_text() -> None:
    assert said(File(source=Inline("text/plain", "SGVsbG8="), filename="a.txt")) == {
        "role": "user",
        "content": "a.txt\nHello",
    }


@pytest.mark.parametrize(
    "part",
    [
        Audio(source=Inline("audio/wav", "AA==")),
        File(source=Inline("application/pdf", "AA==")),
        File(source=Url("https://e.org")),
        Opaque(origin="openai_chat", value=Raw(b"{}")),
    ],
)
def test_content_that_it_cannot_carry_is_refused_with_its_path(part: Part) -> None:
    with pytest.raises(Unrepresentable) as refused:
        sent((Turn(role=Role.USER, parts=(part,)),))
    assert refused.value.param == "messages[0].content[0]"


def test_calls_and_their_results() -> None:
    turns = (
        *HI,
        Turn(role=Role.ASSISTANT, parts=(Reasoning(text="I will."),)),
        Turn(
            role=Role.ASSISTANT,
            parts=(ToolCall(id="a", name="f", arguments=b""), ToolCall(name="g", arguments=b'{"x":1}')),
        ),
        Turn(
            role=Role.TOOL,
            parts=(
                ToolResult(call_id="a", parts=(Text(text="sun"),)),
                ToolResult(call_id="", parts=(Text(text="rain"),)),
            ),
        ),
    )
    body, losses = sent(turns)
    assert losses == []
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "call_1_1", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}},
            ],
            "tool_plan": "I will.",
        },
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
        {"role": "tool", "tool_call_id": "call_1_1", "content": "rain"},
    ]


def test_a_picture_that_a_tool_answered_follows_in_a_message_of_the_user() -> None:
    turns = (
        Turn(role=Role.ASSISTANT, parts=(ToolCall(id="a", name="f"),)),
        Turn(
            role=Role.TOOL, parts=(ToolResult(call_id="a", failed=True, parts=(Image(source=Url("https://e.org")),)),)
        ),
        Turn(role=Role.ASSISTANT, parts=(Text(text="Nice."),)),
    )
    body, losses = sent(turns)
    assert [each["role"] for each in body["messages"]] == ["assistant", "tool", "user", "assistant"]
    assert losses == ["messages[1].content[0].failed"]


def test_earlier_thinking_is_a_part_and_a_foreign_seal_is_lost() -> None:
    assert said(Reasoning(text="Hm."), Text(text="Hi"), role=Role.ASSISTANT)["content"] == [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Hi"},
    ]
    sealed = Reasoning(text="Hm.", seal=Seal(origin="anthropic_messages", name="signature", value=Raw(b'"s"')))
    body, losses = sent((*HI, Turn(role=Role.ASSISTANT, parts=(sealed, Text(text="Hi")))))
    assert body["messages"][1] == {"role": "assistant", "content": "Hi"}
    assert losses == ["messages[1].content[0]"]


def test_tools() -> None:
    body, losses = sent(
        tools=(
            F,
            G,
            Namespace(name="n", tools=(CustomTool(name="c"),)),
            HostedTool(origin="x", kind="web_search", value=Raw(b"{}")),
        )
    )
    assert [each["function"]["name"] for each in body["tools"]] == ["f", "g", "n__c"]
    assert body["tools"][2]["function"]["parameters"]["required"] == ["input"]
    assert losses == ["tools[3]"]


def test_a_tool_that_only_another_format_knows_is_refused() -> None:
    with pytest.raises(Unrepresentable):
        sent(tools=(Opaque(origin="openai_chat", value=Raw(b"{}")),))


def test_strict_tools_are_asked_for_if_one_is_strict() -> None:
    strict: Tool = FunctionTool(name="f", schema=b"{}", strict=True)
    assert sent(tools=(strict,))[0]["strict_tools"] is True


@pytest.mark.parametrize(
    ("mode", "told"), [(ToolMode.AUTO, None), (ToolMode.REQUIRED, "REQUIRED"), (ToolMode.NONE, "NONE")]
)
def test_the_choice_among_tools(mode: ToolMode, told: str | None) -> None:
    body, losses = sent(tools=(F, G), tool_choice=ToolChoice(mode=mode))
    assert (body.get("tool_choice"), len(body["tools"]), losses) == (told, 2, [])


def test_a_tool_that_must_be_called_is_the_only_one_shown() -> None:
    body, losses = sent(tools=(F, G), tool_choice=ToolChoice(mode=ToolMode.NAMED, name="g"))
    assert ([each["function"]["name"] for each in body["tools"]], body["tool_choice"], losses) == (
        ["g"],
        "REQUIRED",
        ["tool_choice"],
    )


def test_json_of_a_schema() -> None:
    body, losses = sent(output=JsonOutput(schema=b'{"type":"object"}', name="a"))
    assert body["response_format"] == {"type": "json_object", "json_schema": {"type": "object"}}
    assert losses == []


def test_json_is_not_asked_for_beside_tools() -> None:
    body, losses = sent(tools=(F,), output=JsonOutput())
    assert "response_format" not in body
    assert losses == ["response_format"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"effort": "none"}, {"type": "disabled"}),
        ({"effort": "low"}, {"type": "enabled", "token_budget": 4096}),
        ({"effort": "high"}, {"type": "enabled"}),
        ({"thinking": Thinking(mode="disabled")}, {"type": "disabled"}),
        ({"thinking": Thinking(mode="budget", budget=500)}, {"type": "enabled", "token_budget": 500}),
        ({}, None),
    ],
)
def test_how_much_to_think(fields: dict[str, Any], told: Any) -> None:
    assert sent(**fields)[0].get("thinking") == told


def test_several_answers_are_refused() -> None:
    with pytest.raises(WireError) as refused:
        sent(candidates=2)
    assert (refused.value.param, refused.value.http_status) == ("n", 400)
