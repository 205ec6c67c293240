"""Rendered answers against OpenAI's own OpenAPI document (KOMEET_OPENAPI, or next to KOMEET_RECORDINGS)."""

import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Raw

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import Citation, Part, Reasoning, Refusal, Seal, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.wire.format import Asked
from komeet.wire.openai_responses.envelope import parse_envelope
from komeet.wire.openai_responses.parse_request import parse_request
from komeet.wire.openai_responses.render_response import render_response
from komeet.wire.openai_responses.render_stream import StreamRenderer
from komeet.wire.sse import Splitter, fields

jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")


def _path() -> Path | None:
    named = os.environ.get("KOMEET_OPENAPI")
    recordings = os.environ.get("KOMEET_RECORDINGS")
    beside = Path(recordings).parent / "openapi" / "openai.yml" if recordings else None
    path = Path(named) if named else beside
    return path if path is not None and path.is_file() else None


needs_openapi = pytest.mark.skipif(_path() is None, reason="neither KOMEET_OPENAPI nor KOMEET_RECORDINGS leads to it")

BODY: Final[dict[str, Any]] = {
    "model": "m",
    "input": "Hi",
    "instructions": "Be brief.",
    "temperature": 0.5,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    "reasoning": {"effort": "low"},
}
ANSWERS: Final[dict[str, tuple[tuple[Part, ...], StopReason]]] = {
    "text": ((Text(text="Hello"), Text(text=" you")), StopReason.STOP),
    "refusal": ((Refusal(text="No."),), StopReason.REFUSED),
    "cut": ((Text(text="Hel"),), StopReason.LENGTH),
    "filtered": ((), StopReason.CONTENT_FILTER),
    "reasoned": (
        (Reasoning(text="Hm.", seal=Seal(origin="x", name="signature", value=Raw(b'"s"'))), Text(text="4")),
        StopReason.STOP,
    ),
    "reasoned in secret": ((Reasoning(), Text(text="4")), StopReason.STOP),
    "calls": (
        (
            Text(text="Look:"),
            ToolCall(id="call_1", name="f", arguments=b'{"a":1}'),
            ToolCall(id="call_2", name="f"),
            ToolCall(id="call_3", name="c", arguments=b"free", custom=True),
        ),
        StopReason.TOOL_CALLS,
    ),
    "cited": (
        (Text(text="So.", citations=(Citation(origin="x", value=Raw(b"{}"), url="https://a.example", title="A"),)),),
        StopReason.STOP,
    ),
}


@cache
def _validator(name: str) -> Any:
    path = _path()
    assert path is not None
    document = _document(path)
    root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(root)


@cache
def _document(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(), Loader=loader)  # the safe one


def _asked() -> Asked:
    envelope = parse_envelope(json.dumps(BODY).encode())
    return Asked(envelope=envelope, request=parse_request(envelope), id="abc", created=1_700_000_000)


def _response(parts: tuple[Part, ...], stop: StopReason) -> Response:
    usage = Usage(input=10, cache_read=4, output=5, reasoning=2)
    return Response(model="m-1", candidates=(Candidate(parts=parts, stop=stop),), usage=usage)


def _stream(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    renderer = StreamRenderer(_asked())
    stream = b"".join([renderer.feed(event) for event in events]) + renderer.end()
    for block in Splitter().feed(stream):
        said = fields(block)
        assert said is not None
        assert said.event is not None
        told = json.loads(said.data)
        assert told["type"] == said.event.decode()
        yield told


@needs_openapi
@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_answer_is_valid(name: str) -> None:
    told = json.loads(render_response(_response(*ANSWERS[name]), _asked()))
    _validator("Response").validate(told)


@needs_openapi
@pytest.mark.parametrize("name", ANSWERS)
def test_every_event_of_a_stream_is_valid(name: str) -> None:
    events = list(_stream(unfold(_response(*ANSWERS[name]))))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        _validator("ResponseStreamEvent").validate(event)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_ends_with_the_whole_answer(name: str) -> None:
    response = _response(*ANSWERS[name])
    *_, last = _stream(unfold(fold(unfold(response))))
    assert last["response"] == json.loads(render_response(response, _asked()))


@needs_openapi
def test_what_is_not_valid_is_found() -> None:
    with pytest.raises(jsonschema.ValidationError):
        _validator("ResponseStreamEvent").validate({"type": "response.output_text.delta", "delta": "x"})
