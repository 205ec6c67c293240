"""From Gemini's words to the neutral model, one point each; and back, where they are said again as they were."""

import json
from typing import Any, Final

import pytest
from msgspec import Raw
from msgspec.structs import replace
from tests.wire.gemini.asking import HI, PATH, again, envelope, parsed, parts

from komeet.canonical.part import (
    Audio,
    File,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Seal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.request import JsonOutput
from komeet.canonical.tool import FunctionTool, HostedTool, ToolChoice, ToolMode
from komeet.canonical.turn import Role
from komeet.core.errors import WireError
from komeet.wire.format import Where
from komeet.wire.gemini import signature
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.openapi import to_json_schema
from komeet.wire.gemini.parse_request import parse_request

OWN = Seal(origin="gemini", name="thoughtSignature", value=Raw(b'"c2ln"'))
OTHERS = Seal(origin="anthropic_messages", name="signature", value=Raw(b'"abc"'))
CALL = {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}


def test_instructions_stand_first() -> None:
    told = parsed(systemInstruction={"role": "user", "parts": [{"text": "Be brief."}]})
    assert told.turns[0].role is Role.SYSTEM
    assert told.turns[0].preamble
    assert told.turns[0].parts == (Text(text="Be brief."),)


@pytest.mark.parametrize("told", [{"parts": {"text": "Be brief."}}, "Be brief."])
def test_instructions_may_be_one_part_or_a_text(told: Any) -> None:
    assert parsed(system_instruction=told).turns[0].parts == (Text(text="Be brief."),)


def test_one_content_may_stand_without_its_array() -> None:
    assert parsed(contents={"parts": {"text": "Hi"}}).turns[0].parts == (Text(text="Hi"),)


def test_a_signature_on_a_thought_is_its_seal() -> None:
    told = {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}
    assert parts(told, role="model") == (Reasoning(text="Hm.", seal=OWN),)


@pytest.mark.parametrize("part", [{"text": "Yes."}, CALL, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}])
def test_a_signature_on_another_part_stands_before_it(part: dict[str, Any]) -> None:
    sealed, signed = parts({**part, "thoughtSignature": "c2ln"}, role="model")
    name = "thoughtSignature of a call" if part is CALL else OWN.name
    assert sealed == Reasoning(seal=replace(OWN, name=name))
    assert (signed,) == parts(part, role="model")


def test_a_signature_on_an_empty_text_is_a_part_of_its_own() -> None:
    assert parts({"text": "", "thoughtSignature": "c2ln"}, role="model") == (Reasoning(seal=OWN, field="text"),)


@pytest.mark.parametrize(
    "told",
    [
        [{"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Yes."}],
        [{"text": "", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Yes."}],
        [{"text": "Hm.", "thought": True}, {**CALL, "thoughtSignature": "c2ln"}, CALL],
        [{"text": "Yes."}, {"text": "", "thoughtSignature": "c2ln"}],
        [{"text": "", "thoughtSignature": "c2ln"}, {"text": "Yes.", "thoughtSignature": "c2ln"}],
        [{"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}, {"text": "Yes."}],
    ],
)
def test_signatures_go_back_where_they_were(told: list[dict[str, Any]]) -> None:
    assert again(contents=[HI, {"role": "model", "parts": told}])["contents"][1]["parts"] == told


@pytest.mark.parametrize("seal", [OTHERS, None])
def test_a_seal_of_another_format_comes_back_from_a_thought(seal: Seal | None) -> None:
    told = {"text": "Hm.", "thought": True, "thoughtSignature": signature.wrap(seal)}
    assert parts(told, role="model") == (Reasoning(text="Hm.", seal=seal),)


def test_a_seal_of_another_format_comes_back_from_a_call() -> None:
    told = parts({**CALL, "thoughtSignature": signature.wrap(OTHERS).rstrip("=")}, role="model")
    assert told[0] == Reasoning(seal=OTHERS)
    assert isinstance(told[1], ToolCall)


def test_a_damaged_seal_of_another_format_is_none() -> None:
    damaged = signature.wrap(OTHERS)[:30]
    assert parts({"text": "Yes.", "thoughtSignature": damaged}, role="model") == (Text(text="Yes."),)


def test_a_call_keeps_the_bytes_of_its_arguments() -> None:
    body = b'{"contents":[{"role":"model","parts":[{"function_call":{"name":"f","args":{"b": 1.0, "a":[]}}}]}]}'
    found = parse_request(parse_envelope(body, Where(PATH)))
    (call,) = found.turns[0].parts
    assert isinstance(call, ToolCall)
    assert call.arguments == b'{"b": 1.0, "a":[]}'


def _results(*results: dict[str, Any], calls: int = 2, named: bool = True) -> list[ToolResult]:
    asked = [
        {"functionCall": {**({"id": f"c{i}"} if named else {}), "name": "f", "args": {"i": i}}} for i in range(calls)
    ]
    answers = [{"functionResponse": result} for result in results]
    told = parsed(contents=[HI, {"role": "model", "parts": asked}, {"role": "user", "parts": answers}])
    assert told.turns[2].role is Role.TOOL
    return [part for part in told.turns[2].parts if isinstance(part, ToolResult)]


def test_results_without_an_id_find_their_calls_by_name_and_order() -> None:
    result = {"name": "f", "response": {"result": "x"}}
    assert [each.call_id for each in _results(result, result)] == ["c0", "c1"]
    assert [each.call_id for each in _results({**result, "id": "c1"}, result)] == ["c1", "c0"]
    assert [each.call_id for each in _results(result, result, named=False)] == ["", ""]


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"result": "sunny"}, "sunny", False),
        ({"output": "sunny"}, "sunny", False),
        ({"error": "no such city"}, "no such city", True),
        ({"error": {"code": 1}}, '{"error":{"code":1}}', True),
        ({"result": "{}"}, "{}", False),
        ({"result": 3}, '{"result":3}', False),
        ({"result": "a", "more": 1}, '{"result":"a","more":1}', False),
        ({"sky": "blue"}, '{"sky":"blue"}', False),
        ({}, "{}", False),
    ],
)
def test_a_result_is_text_and_says_the_same_again(response: dict[str, Any], text: str, *, failed: bool) -> None:
    body = json.dumps({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": response}}]}]})
    found = parse_request(envelope(json.loads(body)))
    (result,) = found.turns[0].parts
    assert isinstance(result, ToolResult)
    (told,) = result.parts
    assert isinstance(told, Text)
    same = json.loads(told.text) == json.loads(text) if text.startswith("{") else told.text == text
    assert same
    assert result.failed is failed
    assert again(**json.loads(body))["contents"][0]["parts"][0]["functionResponse"]["response"] == response


def test_a_result_may_hold_pictures() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    told = {"functionResponse": {"name": "f", "response": {"result": ""}, "parts": [picture]}}
    (result,) = parts(told)
    assert isinstance(result, ToolResult)
    assert result.parts[1] == Image(source=Inline("image/png", "aGk="))
    assert again(contents=[{"role": "user", "parts": [told]}])["contents"][0]["parts"] == [told]


def test_data_is_in_the_alphabet_that_other_formats_take() -> None:
    (sound,) = parts({"inline_data": {"mime_type": "audio/wav", "data": "-_8"}})
    assert sound == Audio(source=Inline("audio/wav", "+/8="))


def test_a_file_elsewhere_keeps_its_type_and_is_named_again() -> None:
    told = {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}}
    (file,) = parts(told)
    assert isinstance(file, File)
    assert file.source == Url("https://example.com/a.pdf")
    (picture,) = parts({"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a.png"}})
    assert isinstance(picture, Image)
    assert again(contents=[{"role": "user", "parts": [told]}])["contents"][0]["parts"] == [told]


def test_what_the_provider_ran_and_what_is_not_known_go_back_as_they_were() -> None:
    ran = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    new = {"hologram": {"x": 1}}
    told = parts(ran, new, role="model")
    assert isinstance(told[0], ServerTool)
    assert isinstance(told[1], Opaque)
    content = {"role": "model", "parts": [ran, new]}
    assert again(contents=[HI, content])["contents"][1] == content


def test_a_schema_of_openapi_becomes_json_schema() -> None:
    openapi = {
        "type": "OBJECT",
        "propertyOrdering": ["a", "type"],
        "properties": {
            "type": {"type": "STRING", "format": "enum", "enum": ["x"], "nullable": True},
            "a": {"any_of": [{"type": "INTEGER"}, {"type": "ARRAY", "min_items": "2", "items": {"type": "NUMBER"}}]},
        },
    }
    assert json.loads(to_json_schema(Raw(json.dumps(openapi).encode()))) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["x", None]},
            "a": {"anyOf": [{"type": "integer"}, {"type": "array", "minItems": 2, "items": {"type": "number"}}]},
        },
    }


def test_a_schema_that_is_json_schema_keeps_its_bytes_and_its_member() -> None:
    raw = Raw(b'{"type": "object",  "properties": {}}')
    assert to_json_schema(raw) == bytes(raw)
    tools = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "object"}}]}]
    assert again(tools=tools)["tools"] == tools


def test_functions_and_the_providers_tools_are_told_one_by_one() -> None:
    told = parsed(tools=[{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"google_search": {}}]).tools
    assert told[:2] == (FunctionTool(name="f"), FunctionTool(name="g"))
    assert isinstance(told[2], HostedTool)
    assert told[2].kind == "web_search"


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode=ToolMode.AUTO)),
        ({"mode": "NONE"}, ToolChoice(mode=ToolMode.NONE)),
        ({"mode": "ANY"}, ToolChoice(mode=ToolMode.REQUIRED)),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode=ToolMode.NAMED, name="f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode=ToolMode.REQUIRED, allowed=("f", "g"))),
        ({"mode": "VALIDATED"}, Opaque(origin="gemini", value=Raw(b'{"mode": "VALIDATED"}'))),
    ],
)
def test_choices_of_tools(calling: dict[str, Any], choice: ToolChoice | Opaque) -> None:
    body = {
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
        "toolConfig": {"functionCallingConfig": calling, "retrievalConfig": {"languageCode": "de"}},
    }
    assert parsed(**body).tool_choice == choice
    assert again(**body)["toolConfig"] == body["toolConfig"]


@pytest.mark.parametrize(
    ("config", "mode", "effort"),
    [
        ({"thinkingBudget": 0}, "disabled", None),
        ({"thinkingBudget": -1, "includeThoughts": True}, "adaptive", None),
        ({"thinkingBudget": 2048}, "budget", None),
        ({"thinkingLevel": "LOW", "includeThoughts": False}, None, "low"),
    ],
)
def test_how_much_to_reason(config: dict[str, Any], mode: str | None, effort: str | None) -> None:
    told = parsed(generationConfig={"thinkingConfig": config})
    assert told.thinking is not None
    assert (told.thinking.mode, told.effort) == (mode, effort)
    assert again(generationConfig={"thinkingConfig": config})["generationConfig"]["thinkingConfig"] == config


def test_an_answer_in_json_and_one_of_a_list_of_words() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    told = parsed(generationConfig={"responseMimeType": "application/json", "responseSchema": schema}).output
    assert isinstance(told, JsonOutput)
    assert json.loads(told.schema or b"") == {"type": "object", "properties": {"a": {"type": "string"}}}
    words = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    assert again(generationConfig=words)["generationConfig"] == words


def test_what_the_model_has_no_word_for_travels_on() -> None:
    body: dict[str, Any] = {
        "safetySettings": [{"category": "X", "threshold": "OFF"}],
        "cachedContent": "cachedContents/1",
        "generationConfig": {"responseModalities": ["TEXT"], "imageConfig": {"aspectRatio": "1:1"}},
    }
    told = again(**body)
    assert {name: told[name] for name in body} == body


MISTAKES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"contents": [{"role": "boss", "parts": []}]}, "contents[0].role"),
    ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
    ({"contents": [{"parts": [{"inlineData": {}}]}]}, "contents[0].parts[0].inlineData.data"),
    ({"contents": ["Hi"]}, "contents[0]"),
    ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
    ({"generationConfig": {"topK": "x"}}, "generationConfig.topK"),
    ({"generationConfig": {"stopSequences": "x"}}, "generationConfig.stopSequences"),
]


@pytest.mark.parametrize(("body", "param"), MISTAKES)
def test_a_mistake_is_told_with_its_path(body: dict[str, Any], param: str) -> None:
    with pytest.raises(WireError) as refused:
        parsed(**body)
    assert refused.value.param == param
