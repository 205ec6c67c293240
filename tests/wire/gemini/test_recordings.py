"""Real traffic of Google's generateContent and streamGenerateContent (KOMEET_RECORDINGS; skipped without it)."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pytest
from tests.wire.gemini.answers import ASKED, events_of
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.fold import fold
from komeet.canonical.response import StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.wire.format import Passed
from komeet.wire.gemini.format import FORMAT

COUNTS: Final = {"whole": 159, "streamed": 73, "refused": 3}

ALL: Final = load(lambda each: each.path.endswith((":generateContent", ":streamGenerateContent")))
ANSWERED: Final = tuple(each for each in ALL if 200 <= each.status < 300)
WHOLE: Final = tuple(each for each in ANSWERED if not each.streamed)
STREAMED: Final = tuple(each for each in ANSWERED if each.streamed)
REFUSED: Final = tuple(each for each in ALL if each.status >= 400)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert {"whole": len(WHOLE), "streamed": len(STREAMED), "refused": len(REFUSED)} == COUNTS


def _counted(reported: Any) -> tuple[int, ...] | None:
    """What Google says was used: in all, from the cache, written, and of that thought."""
    if "promptTokenCount" not in reported:
        return None
    prompt = reported["promptTokenCount"] + reported.get("toolUsePromptTokenCount", 0)
    thoughts = reported.get("thoughtsTokenCount", 0)
    output = reported.get("candidatesTokenCount", 0) + thoughts
    return prompt, reported.get("cachedContentTokenCount", 0), output, thoughts


def _usage(usage: Usage | None) -> tuple[int, ...] | None:
    return None if usage is None else (usage.input, usage.cache_read, usage.output, usage.reasoning)


WORDS: Final = {1: "STOP"}


def _same(answer: Any) -> Any:
    """An answer with equal ways to say a thing made the same: what says nothing is left out."""
    for candidate in answer.get("candidates", ()):
        candidate.setdefault("index", 0)
        candidate["finishReason"] = WORDS.get(candidate["finishReason"], candidate["finishReason"])
        content = candidate.setdefault("content", {})
        content["role"] = "model"
        content["parts"] = [part for part in content.get("parts", []) if part != {"text": ""}]
    usage = answer.pop("usageMetadata")
    answer["usageMetadata"] = {name: value for name, value in usage.items() if value}
    return answer


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_is_metered_and_says_the_same(recording: Recording) -> None:
    answer = json.loads(recording.body)
    whole = FORMAT.read_whole(recording.body)
    assert not isinstance(whole, Exception)
    assert whole.model == answer["modelVersion"]
    assert _usage(whole.usage) == _counted(answer["usageMetadata"])
    response = FORMAT.parse_response(recording.body)
    assert response.usage == whole.usage
    assert response.service_tier == whole.service_tier
    assert fold(unfold(response)) == response
    if whole.usage is not None:
        said = json.loads(FORMAT.render_response(response, ASKED))
        assert _same(said) == _same(answer)


@needs_recordings
@each_of(WHOLE)
def test_a_whole_answer_says_the_same_as_a_stream(recording: Recording) -> None:
    response = FORMAT.parse_response(recording.body)
    renderer = FORMAT.stream_renderer(ASKED)
    said = b"".join([renderer.feed(event) for event in unfold(response)]) + renderer.end()
    streamed = fold(events_of(said))
    assert [each.parts for each in streamed.candidates] == [each.parts for each in response.candidates]
    assert [each.stop for each in streamed.candidates] == [each.stop for each in response.candidates]
    assert [each.extras for each in streamed.candidates] == [each.extras for each in response.candidates]
    assert streamed.usage == response.usage
    assert streamed.id == response.id
    assert streamed.extras == response.extras


def _chunks(stream: bytes) -> list[Any]:
    return [json.loads(line[5:]) for line in stream.splitlines() if line.startswith(b"data:")]


def _pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    chance, at = Random(seed), 0
    while at < len(stream):
        size = chance.choice((1, 2, 5, 60, 400, 4000))
        yield stream[at : at + size]
        at += size


@needs_recordings
@each_of(STREAMED)
def test_a_stream_is_forwarded_byte_for_byte_and_metered(recording: Recording) -> None:
    chunks = _chunks(recording.body)
    for seed in range(3):
        tap = FORMAT.tap(include_usage=True)
        out = b"".join([tap.feed(piece) for piece in _pieces(recording.body, seed)])
        rest, complete = tap.end()
        assert out + rest == recording.body
        assert complete
        assert tap.done
        assert tap.model == chunks[0]["modelVersion"]
        assert tap.first_content is bool(tap.output_text())
        assert _usage(tap.usage) == _counted(chunks[-1]["usageMetadata"])


@needs_recordings
@each_of(STREAMED)
def test_a_stream_goes_through_the_model_and_says_the_same(recording: Recording) -> None:
    chunks = _chunks(recording.body)
    events = events_of(recording.body)
    response = fold(events)
    assert _usage(response.usage) == _counted(chunks[-1]["usageMetadata"])
    (candidate,) = response.candidates
    calls = [part for chunk in chunks for part in _parts(chunk) if "functionCall" in part]
    assert candidate.stop is (StopReason.TOOL_CALLS if calls else StopReason.STOP)
    renderer = FORMAT.stream_renderer(ASKED)
    said = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    assert fold(events_of(said)) == response
    again = FORMAT.parse_response(FORMAT.render_response(response, ASKED))
    assert [each.parts for each in again.candidates] == [each.parts for each in response.candidates]


@needs_recordings
@each_of(STREAMED)
def test_the_parts_of_a_stream_are_told_as_they_came(recording: Recording) -> None:
    """What Google will want back in the next turn: every part with its signature."""
    renderer = FORMAT.stream_renderer(ASKED)
    said = b"".join([renderer.feed(event) for event in events_of(recording.body)]) + renderer.end()
    told = [part for chunk in _chunks(said) for part in _parts(chunk) if part != {"text": ""}]
    assert told == [part for chunk in _chunks(recording.body) for part in _parts(chunk) if part != {"text": ""}]


def _parts(chunk: Any) -> list[Any]:
    return [part for each in chunk.get("candidates", ()) for part in each.get("content", {}).get("parts", ())]


@needs_recordings
@each_of(REFUSED)
def test_a_refusal_means_what_it_should(recording: Recording) -> None:
    headers = {name.encode(): value.encode() for name, value in recording.headers.items()}
    meaning = FORMAT.parse_error(recording.status, headers, recording.body, "google")
    if b"API_KEY_INVALID" in recording.body:
        assert not isinstance(meaning, Passed)
        assert meaning.error_code == "upstream_auth"
    else:
        assert isinstance(meaning, Passed)
        assert meaning.body == recording.body
        assert meaning.code == "INVALID_ARGUMENT"
        assert meaning.message


@pytest.mark.parametrize("stream", [True, False])
def test_the_model_is_named_in_the_path(stream: bool) -> None:
    verb = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    assert FORMAT.path("gemini-3-pro", stream=stream) == f"/models/gemini-3-pro{verb}"
    assert FORMAT.path("tuned/a b?c", stream=stream) == f"/models/tuned/a%20b%3Fc{verb}"
