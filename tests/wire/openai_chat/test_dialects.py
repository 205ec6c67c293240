"""Requests to providers that depart from OpenAI, as their rows say; one point each."""

import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from komeet.canonical.part import Reasoning, Seal, Text, ToolCall, ToolResult
from komeet.canonical.request import JsonOutput, Request, Sampling
from komeet.canonical.turn import Role, Turn
from komeet.catalog.dialect import Dialect
from komeet.catalog.profile import Profile
from komeet.catalog.profiles import parse
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire import sse
from komeet.wire.format import Edited, Passed
from komeet.wire.openai_chat.edit import edit
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.errors import parse_error
from komeet.wire.openai_chat.in_dialect import call_id
from komeet.wire.openai_chat.parse_response import parse_response
from komeet.wire.openai_chat.render_request import render_request
from komeet.wire.openai_chat.stream import StreamParser

HI = Turn(role=Role.USER, parts=(Text(text="Hi"),))
SCHEMA = b'{"type":"object"}'


def rendered(dialect: Dialect, *turns: Turn, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    """The body that says a request of another format, and the paths of what was lost."""
    return _told(render_request(Request(model="m", turns=turns or (HI,), **fields), Profile(dialect=dialect)))


def edited(dialect: Dialect, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    """The body that a caller's own request becomes."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()
    profile = Profile(dialect=dialect)
    return _told(edit(parse_envelope(body), model="m", profile=profile, output_limit=None, ask_usage=False))


def _told(sent: Edited) -> tuple[dict[str, Any], list[str]]:
    return json.loads(sent.body), [loss.path for loss in sent.losses]


def test_a_plain_dialect_changes_nothing() -> None:
    fields = {"seed": 1, "reasoning_effort": "high", "user": "u", "messages": [{"role": "developer", "content": "x"}]}
    body, losses = edited(Dialect(), **fields)
    assert body == {"model": "m", **fields}
    assert losses == []


def test_a_dialect_is_the_rows_and_not_the_profiles_to_say() -> None:
    with pytest.raises(ValueError, match="dialect"):
        parse(b'[family.x]\ndialect = "openai"')


MISTRAL = Dialect(
    developer=False, reasoning="thinking", renamed={"seed": "random_seed"}, call_ids="nine", lacks=("user",)
)


def test_a_member_goes_by_the_name_that_the_provider_has_for_it() -> None:
    assert rendered(MISTRAL, sampling=Sampling(seed=5))[0]["random_seed"] == 5
    body, losses = edited(MISTRAL, seed=5)
    assert ("seed" in body, body["random_seed"], losses) == (False, 5, [])


def test_what_a_caller_says_in_the_providers_own_words_counts() -> None:
    assert edited(MISTRAL, seed=5, random_seed=7)[0]["random_seed"] == 7
    assert edited(OPENROUTER, reasoning_effort="low", reasoning={"enabled": True})[0]["reasoning"] == {"enabled": True}
    assert edited(ZAI, reasoning_effort="low", thinking={"type": "disabled"})[0]["thinking"] == {"type": "disabled"}


def test_a_member_that_the_provider_refuses_is_lost_and_said() -> None:
    assert rendered(MISTRAL, user="me") == (edited(MISTRAL)[0], ["user"])
    assert edited(MISTRAL, user="me") == (edited(MISTRAL)[0], ["user"])
    assert edited(MISTRAL, user=None) == (edited(MISTRAL)[0], [])


def test_the_role_developer_is_the_systems_where_it_is_not_known() -> None:
    turn = Turn(role=Role.DEVELOPER, parts=(Text(text="Be brief."),))
    assert rendered(MISTRAL, turn, HI)[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    asked = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "What is a developer?"}]
    body, losses = edited(MISTRAL, messages=asked)
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert losses == []


@pytest.mark.parametrize("said", ["call_1", "toolu_01QXVkPZYABFNhTASu9uBdEM", "é", "a" * 500])
def test_an_id_becomes_one_of_nine_letters_and_digits_and_always_the_same(said: str) -> None:
    made = call_id(said, MISTRAL)
    assert made == call_id(said, MISTRAL)
    assert len(made) == 9
    assert made.isalnum()
    assert made.isascii()


@given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=50))
def test_ids_that_differ_stay_different(ids: list[str]) -> None:
    assert len({call_id(each, MISTRAL) for each in ids}) == len(ids)


def test_ids_of_calls_and_their_results_match() -> None:
    calls = (ToolCall(id="toolu_1", name="f", arguments=b"{}"), ToolCall(id="pcZFHqej8", name="g"), ToolCall(name="h"))
    results = tuple([ToolResult(call_id=call.id, parts=(Text(text=call.name),)) for call in calls])
    body, losses = rendered(MISTRAL, HI, Turn(role=Role.ASSISTANT, parts=calls), Turn(role=Role.TOOL, parts=results))
    asked = [call["id"] for call in body["messages"][1]["tool_calls"]]
    assert [each["tool_call_id"] for each in body["messages"][2:]] == asked
    assert asked[1] == "pcZFHqej8"
    assert all(len(each) == 9 for each in asked)
    assert losses == []


THOUGHT = Turn(role=Role.ASSISTANT, parts=(Reasoning(text="Hm."), Text(text="Yes.")))
DETAILS = Seal(origin="openai_chat", name="reasoning_details", value=Raw(b'[{"type":"reasoning.text"}]'))
SEALED = Turn(role=Role.ASSISTANT, parts=(Reasoning(text="Hm.", seal=DETAILS, field="reasoning"), Text(text="Yes.")))
THINKING = Seal(origin="openai_chat", name="thinking", value=Raw(b'{"type":"thinking","thinking":"Hm."}'))
OPENROUTER = Dialect(reasoning="reasoning_details", effort="reasoning")
GROQ = Dialect(reasoning="reasoning")
DEEPSEEK = Dialect(developer=False, reasoning="reasoning_content", effort="thinking", schema=False)
ZAI = Dialect(effort="thinking")


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        (Dialect(), {"content": "Yes.", "reasoning_content": "Hm."}),
        (DEEPSEEK, {"content": "Yes.", "reasoning_content": "Hm."}),
        (GROQ, {"content": "Yes.", "reasoning": "Hm."}),
        (OPENROUTER, {"content": "Yes.", "reasoning": "Hm."}),
        (
            MISTRAL,
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Yes."},
                ]
            },
        ),
    ],
)
def test_earlier_reasoning_goes_back_under_the_providers_name(dialect: Dialect, told: dict[str, Any]) -> None:
    body, losses = rendered(dialect, HI, THOUGHT)
    assert body["messages"][1] == {"role": "assistant", **told}
    assert losses == []


def test_what_openrouter_sealed_goes_back_to_those_who_take_it() -> None:
    body, losses = rendered(OPENROUTER, HI, SEALED)
    assert body["messages"][1]["reasoning_details"] == [{"type": "reasoning.text"}]
    assert losses == []
    body, losses = rendered(GROQ, HI, SEALED)
    assert body["messages"][1] == {"role": "assistant", "content": "Yes.", "reasoning": "Hm."}
    assert losses == ["messages[1].content[0].reasoning_details"]


def test_thinking_of_mistrals_is_told_to_others_in_their_own_way() -> None:
    turn = Turn(role=Role.ASSISTANT, parts=(Reasoning(text="Hm.", seal=THINKING, field="thinking"),))
    assert rendered(DEEPSEEK, HI, turn)[0]["messages"][1] == {"role": "assistant", "reasoning_content": "Hm."}


def test_a_callers_own_messages_get_the_providers_name_for_reasoning() -> None:
    asked = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}]
    body, losses = edited(GROQ, messages=asked)
    assert body["messages"][1] == {"role": "assistant", "content": "Yes.", "reasoning": "Hm."}
    assert losses == []


def test_messages_that_are_no_objects_are_left_for_the_provider_to_refuse() -> None:
    assert edited(DEEPSEEK, messages=["developer"])[0]["messages"] == ["developer"]


@pytest.mark.parametrize("way", [rendered, edited])
def test_how_much_to_reason_is_an_object_of_openrouters(way: Any) -> None:
    fields = {"effort": "low"} if way is rendered else {"reasoning_effort": "low"}
    body, losses = way(OPENROUTER, **fields)
    assert (body["reasoning"], "reasoning_effort" in body, losses) == ({"effort": "low"}, False, [])


@pytest.mark.parametrize("way", [rendered, edited])
def test_no_reasoning_is_said_by_the_switch_of_thinking(way: Any) -> None:
    fields = {"effort": "none"} if way is rendered else {"reasoning_effort": "none"}
    body, _ = way(ZAI, **fields)
    assert (body["thinking"], "reasoning_effort" in body) == ({"type": "disabled"}, False)


@pytest.mark.parametrize("way", [rendered, edited])
def test_how_much_to_reason_stands_beside_the_switch_of_thinking(way: Any) -> None:
    fields = {"effort": "max"} if way is rendered else {"reasoning_effort": "max"}
    body, _ = way(ZAI, **fields)
    assert (body["thinking"], body["reasoning_effort"]) == ({"type": "enabled"}, "max")


@pytest.mark.parametrize("way", [rendered, edited])
def test_a_schema_is_told_to_the_model_where_the_provider_takes_none(way: Any) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": json.loads(SCHEMA)}}
    fields = {"output": JsonOutput(schema=SCHEMA, name="a")} if way is rendered else {"response_format": schema}
    body, losses = way(DEEPSEEK, **fields)
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["role"] == "system"
    assert '"type"' in body["messages"][0]["content"].replace(" ", "")
    assert body["messages"][1] == {"role": "user", "content": "Hi"}
    assert losses == ["response_format.json_schema"]


@pytest.mark.parametrize("asked", [{"type": "json_object"}, {"type": "text"}, {"type": "json_schema"}, None, 3])
def test_other_forms_of_answers_are_asked_for_as_they_were(asked: Any) -> None:
    body, losses = edited(DEEPSEEK, response_format=asked)
    assert (body["response_format"], losses, len(body["messages"])) == (asked, [], 1)


def _chunks(*chunks: dict[str, Any]) -> list[Any]:
    parser = StreamParser()
    told = [event for chunk in chunks for event in parser.feed(sse.Event(event=None, data=json.dumps(chunk).encode()))]
    return [*told, *parser.end()]


def _delta(**delta: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def test_answers_are_read_in_all_shapes_whoever_gives_them() -> None:
    def parts(**message: Any) -> Any:
        body = {"id": "1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}
        return parse_response(json.dumps(body).encode()).candidates[0].parts

    assert parts(reasoning_content="Hm.") == (Reasoning(text="Hm."),)
    assert parts(reasoning="Hm.") == (Reasoning(text="Hm.", field="reasoning"),)
    assert parts(content=[{"type": "thinking", "thinking": "Hm."}]) == (Reasoning(text="Hm.", field="thinking"),)
    assert parts(content=None, tool_calls=None, reasoning=None, refusal=None) == ()
    untyped = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]  # Mistral gives no type
    assert parts(tool_calls=untyped) == (ToolCall(id="a", name="f", arguments=b"{}"),)


def test_trap_14_a_later_piece_of_a_call_may_name_it_with_nothing() -> None:
    first = _delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}])
    more = _delta(tool_calls=[{"index": 0, "id": "null", "function": {"name": "", "arguments": "{}"}}])
    told = [event for event in _chunks(first, more) if type(event).__name__ == "PartStart"]
    assert [(event.part.name, event.part.id) for event in told] == [("f", "a")]


def test_trap_11_usage_may_be_null_or_half_told_until_the_end() -> None:
    half = {**_delta(content="x"), "usage": {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": None}}
    full = {**_delta(), "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    told = [event for event in _chunks(half, full) if type(event).__name__ == "UsageEvent"]
    assert [(event.usage.input, event.usage.output) for event in told] == [(3, 2)]


def test_trap_16_an_event_of_type_error_ends_a_stream() -> None:
    parser = StreamParser()
    parser.feed(sse.Event(event=None, data=json.dumps(_delta(content="x")).encode()))
    said = b'{"message":"Over capacity","type":"internal_server_error","status_code":503}'
    failed = parser.feed(sse.Event(event=b"error", data=said))
    assert isinstance(cast("Any", failed[-1]).error, UpstreamError)
    assert parser.end() == ()


def test_azures_refusal_by_its_filter_is_passed_on_with_its_reason() -> None:
    told = {"message": "The response was filtered", "type": None, "param": "prompt", "code": "content_filter"}
    body = json.dumps(
        {"error": {**told, "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    ).encode()
    meaning = parse_error(400, {}, body, "Azure OpenAI")
    assert isinstance(meaning, Passed)
    assert (meaning.body, meaning.code, meaning.param) == (body, "content_filter", "prompt")


@given(
    st.dictionaries(
        st.sampled_from(["reasoning", "content", "tool_calls", "x_groq", "usage"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=4),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_shapes_that_nobody_has_are_garbled_or_passed_over(delta: dict[str, Any]) -> None:
    chunk = {**_delta(**delta), **{name: value for name, value in delta.items() if name in ("x_groq", "usage")}}
    try:
        _chunks(chunk)
    except Garbled:
        return
    assert msgspec.json.encode(chunk)
