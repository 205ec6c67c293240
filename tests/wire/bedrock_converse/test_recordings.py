"""Real traffic of Bedrock's Converse (KOMEET_RECORDINGS; skipped without it)."""

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any, Final
from urllib.parse import unquote

import pytest
from tests.wire.bedrock_converse.model import check
from tests.wire.bedrock_converse.reader import NotSaid, read
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import ServerTool
from komeet.canonical.response import StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.catalog.profiles import load as load_profiles
from komeet.wire.bedrock_converse.format import FORMAT
from komeet.wire.format import Passed

COUNTS: Final = {"whole": 75, "streamed": 15, "refused": 2}
PROFILES: Final = load_profiles()

JSON_RESULTS: Final = "a tool's answer as `json`: callers' formats have texts only"
MOVED: Final = "a limit of a schema is told in the description"
BROKEN: Final = "the request is no JSON: a variable of its prompt was cut"
NOT_REPEATED: Final[dict[str, str]] = {
    "bedrock:8": MOVED,
    "bedrock:32": "a tool of the provider's own",
    "bedrock:33": "a guardrail",
    "bedrock:38": BROKEN,
    "bedrock:55": "a tool of the provider's own",
    "bedrock:56": "a tool of the provider's own",
    "bedrock:108": JSON_RESULTS,
    "bedrock:110": JSON_RESULTS,
    "bedrock:114": JSON_RESULTS,
    "bedrock:117": JSON_RESULTS,
}
"""Requests that are not said again, and why."""

ALL: Final = load(lambda each: each.path.endswith(("/converse", "/converse-stream")))
ANSWERED: Final = tuple(each for each in ALL if each.status == 200)
WHOLE: Final = tuple(each for each in ANSWERED if each.encoding != "base64")
STREAMED: Final = tuple(each for each in ANSWERED if each.encoding == "base64")
REFUSED: Final = tuple(each for each in ALL if each.status >= 400)


def _model(recording: Recording) -> str:
    return unquote(recording.path.rpartition("/")[0].rpartition("/model/")[2])


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert {"whole": len(WHOLE), "streamed": len(STREAMED), "refused": len(REFUSED)} == COUNTS


@needs_recordings
@each_of(ALL)
def test_the_path_names_the_model_as_the_provider_wants_it(recording: Recording) -> None:
    stream = recording.path.endswith("-stream")
    assert recording.path.endswith(FORMAT.path(_model(recording), stream=stream))


def _same_request(body: Any) -> Any:
    """A request with equal ways to say a thing made the same."""
    told = {name: value for name, value in body.items() if value}
    inference: dict[str, Any] = told.get("inferenceConfig", {})
    if inference.get("topP") == 1 and "temperature" in inference:
        del inference["topP"]
    config: dict[str, Any] = told.get("toolConfig", {})
    if config.get("toolChoice") == {"auto": {}}:
        del config["toolChoice"]
    for tool in config.get("tools", ()):
        if tool.get("toolSpec", {}).get("strict") is False:
            del tool["toolSpec"]["strict"]
    for message in told["messages"]:
        for block in message["content"]:
            if block.get("toolResult", {}).get("status") == "success":
                del block["toolResult"]["status"]
    match told.get("outputConfig"):
        case {"textFormat": {"structure": {"jsonSchema": schema}}}:
            schema["schema"] = json.loads(schema["schema"])
        case _:
            pass
    return told


@needs_recordings
@each_of(ANSWERED)
def test_an_equal_request_is_said_the_same(recording: Recording) -> None:
    model = _model(recording)
    profile = PROFILES.find("bedrock", model)
    body = json.loads(bytes(recording.request))
    match NOT_REPEATED.get(recording.name):
        case None:
            pass
        case reason if reason == MOVED:
            edited = FORMAT.render_request(read(body, model), profile, ask_usage=True)
            assert [loss.path for loss in edited.losses] == ["response_format.schema.properties.title.minLength"]
            check(edited.body)
            return
        case reason if reason == BROKEN:
            assert isinstance(body, str)
            return
        case _:
            with pytest.raises(NotSaid):
                read(body, model)
            return
    edited = FORMAT.render_request(read(body, model), profile, ask_usage=True)
    assert _same_request(json.loads(edited.body)) == _same_request(body)
    assert edited.losses == ()
    assert edited.key == "sigv4"
    check(edited.body)


def _used(reported: dict[str, Any]) -> tuple[int, ...]:
    read_, written = reported.get("cacheReadInputTokens", 0), reported.get("cacheWriteInputTokens", 0)
    total = reported["totalTokens"] - reported["outputTokens"]  # what the provider itself adds up, cache included
    return total, read_, written, reported["outputTokens"]


def _usage(usage: Usage | None) -> tuple[int, ...]:
    assert usage is not None
    return usage.input, usage.cache_read, usage.cache_write, usage.output


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_metered_and_understood(recording: Recording) -> None:
    response = FORMAT.parse_response(recording.body)
    answer = json.loads(recording.body)
    (candidate,) = response.candidates
    assert _usage(response.usage) == _used(answer["usage"])
    assert candidate.stop not in (None, StopReason.OTHER)
    assert candidate.native_stop == answer["stopReason"]
    assert len(candidate.parts) == len(answer["output"]["message"]["content"])
    assert fold(unfold(response)) == response


@needs_recordings
@each_of(WHOLE)
def test_a_tool_of_the_provider_goes_back_as_it_came(recording: Recording) -> None:
    content = json.loads(recording.body)["output"]["message"]["content"]
    ran = [part for part in FORMAT.parse_response(recording.body).candidates[0].parts if isinstance(part, ServerTool)]
    assert [json.loads(bytes(part.value)) for part in ran] == [
        block for block in content if "toolResult" in block or block.get("toolUse", {}).get("type") == "server_tool_use"
    ]


def _pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    chance, at = Random(seed), 0
    while at < len(stream):
        size = chance.choice((1, 2, 5, 60, 400, 4000))
        yield stream[at : at + size]
        at += size


def _events(pieces: Iterator[bytes]) -> list[Event]:
    framing, parser = FORMAT.framing(), FORMAT.stream_parser()
    events = [event for piece in pieces for said in framing.feed(piece) for event in parser.feed(said)]
    assert framing.rest() == []
    return [*events, *parser.end()]


def _reported(stream: bytes) -> dict[str, Any]:
    """The usage, as it stands in the bytes of the last frame."""
    numbers = re.findall(rb'"(\w+Tokens)":(\d+)', stream[stream.rindex(b'"usage":') :])
    return {name.decode(): int(number) for name, number in numbers}


@needs_recordings
@each_of(STREAMED)
def test_a_stream_is_metered_and_understood_however_it_is_cut(recording: Recording) -> None:
    events = _events(iter([recording.body]))
    for seed in range(3):
        assert _events(_pieces(recording.body, seed)) == events
    response = fold(events)
    (candidate,) = response.candidates
    reported = _reported(recording.body)
    assert _usage(response.usage) == _used(reported)
    assert candidate.stop not in (None, StopReason.OTHER)
    assert candidate.parts
    assert fold(unfold(response)) == response


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_is_about_the_request(recording: Recording) -> None:
    meaning = FORMAT.parse_error(recording.status, {}, recording.body, "bedrock")
    assert isinstance(meaning, Passed)
    assert (meaning.status, meaning.message) == (400, "The provided model identifier is invalid.")


@needs_recordings
@each_of(WHOLE)
def test_the_tokens_of_a_prompt_are_within_its_bytes_and_those_of_the_template(recording: Recording) -> None:
    usage = FORMAT.parse_response(recording.body).usage
    assert usage is not None
    profile = PROFILES.find("bedrock", _model(recording))
    assert usage.input <= len(bytes(recording.request)) + profile.template_tokens
