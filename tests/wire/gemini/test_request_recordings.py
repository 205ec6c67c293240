"""Requests of real traffic of Gemini (KOMEET_RECORDINGS; skipped without it)."""

import json
from typing import Any, Final

import pytest
from msgspec import Raw
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Where
from komeet.wire.gemini.config_in import CONFIG
from komeet.wire.gemini.edit import edit
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.openapi import to_json_schema
from komeet.wire.gemini.parse_request import parse_request
from komeet.wire.gemini.render_request import render_request

COUNT: Final = 232

ALL: Final = load(
    lambda each: (
        each.url.partition("?")[0].endswith((":generateContent", ":streamGenerateContent"))
        and bytes(each.request).startswith(b"{")
    )
)
ASKED: Final = tuple(each for each in ALL if 200 <= each.status < 300)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert len(ASKED) == COUNT


def _where(recording: Recording) -> Where:
    path = recording.path
    return Where("/v1beta" + path[path.index("/models/") :], recording.url.partition("?")[2].encode())


_CAMEL: Final = {
    "file_uri": "fileUri",
    "mime_type": "mimeType",
    "include_thoughts": "includeThoughts",
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "parameters_json_schema": "parametersJsonSchema",
}


def _named(value: Any) -> Any:
    """The value with the one name of each member that has two."""
    match value:
        case dict():
            members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {_CAMEL.get(name, name): _named(inner) for name, inner in members.items() if inner is not None}
        case list():
            return [_named(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _schema(schema: Any) -> Any:
    """JSON Schema, whichever of the two members it stood in: Google takes both."""
    return json.loads(to_json_schema(Raw(json.dumps(schema).encode())))


def _same(body: bytes) -> Any:
    """A request with equal ways to say a thing made the same."""
    told = _named(json.loads(body))
    told.pop("model", None)
    for content in told["contents"]:
        content.setdefault("role", "user")
        for part in content["parts"]:
            if data := part.get("inlineData", {}).get("data"):
                part["inlineData"]["data"] = data.replace("-", "+").replace("_", "/")
    contents: list[Any] = []
    for content in told["contents"]:
        content["parts"] = [part for part in content["parts"] if part != {"text": ""}]
        if contents and contents[-1]["role"] == content["role"]:
            contents[-1]["parts"] += content["parts"]
        elif content["parts"]:
            contents.append(content)
    told["contents"] = contents
    tools = told.pop("tools", [])
    told["functions"] = [each for tool in tools for each in tool.get("functionDeclarations", [])]
    for function in told["functions"]:
        if "parameters" in function:
            function["parametersJsonSchema"] = function.pop("parameters")
        if "parametersJsonSchema" in function:
            function["parametersJsonSchema"] = _schema(function["parametersJsonSchema"])
    told["hosted"] = [{n: v} for tool in tools for n, v in tool.items() if n != "functionDeclarations"]
    config = told.get(CONFIG, {})
    if "responseSchema" in config:
        config["responseJsonSchema"] = config.pop("responseSchema")
    if "responseJsonSchema" in config:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = _schema(config["responseJsonSchema"])
    if config.get("responseMimeType") == "text/plain":
        del config["responseMimeType"]
    for name in ("toolConfig", CONFIG):
        if not told.get(name, True):
            del told[name]
    return told


@needs_recordings
@each_of(ASKED)
def test_a_request_passes_through_with_its_values(recording: Recording) -> None:
    body = bytes(recording.request)
    envelope = parse_envelope(body, _where(recording))
    edited = edit(envelope, profile=Profile(), output_limit=None)
    told = json.loads(body)
    told.pop("model", None)
    assert json.loads(edited.body) == told
    assert edited.losses == ()
    assert envelope.stream == ("stream" in recording.path)


@needs_recordings
@each_of(ASKED)
def test_a_request_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    body = bytes(recording.request)
    request = parse_request(parse_envelope(body, _where(recording)))
    edited = render_request(request, Profile())
    assert _same(edited.body) == _same(body)
    assert edited.losses == ()


@needs_recordings
def test_a_role_that_google_refuses_is_refused_in_its_words() -> None:
    recording = next(each for each in ALL if b"invalid_role" in bytes(each.request))
    with pytest.raises(WireError) as refused:
        parse_request(parse_envelope(bytes(recording.request), _where(recording)))
    assert refused.value.message == json.loads(recording.body)["error"]["message"]
