"""Answers in the words of Gemini, and what becomes of them."""

import json
from typing import Any, Final

from komeet.canonical.event import Event
from komeet.canonical.part import Part
from komeet.canonical.request import Request
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.wire.format import Asked, Envelope
from komeet.wire.framing import EventStream
from komeet.wire.gemini.format import FORMAT

ASKED: Final = Asked(
    envelope=Envelope(fields={}, size=0, model="asked", include_usage=True),
    request=Request(model="asked", turns=()),
    id="1",
    created=1,
)
ARRAY: Final = Asked(
    envelope=Envelope(fields={}, size=0, model="asked", stream=True, stream_type=b"application/json"),
    request=Request(model="asked", turns=()),
    id="1",
    created=1,
)
USAGE: Final = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def answer(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """A whole answer, or a chunk of one; `more` are further members of its candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "m", "responseId": "r"}


def stream(*chunks: dict[str, Any]) -> bytes:
    """A stream of chunks."""
    return b"".join([b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks])


def read(*parts: dict[str, Any], **more: Any) -> Response:
    """A whole answer in the neutral model."""
    return FORMAT.parse_response(json.dumps(answer(*parts, **more)).encode())


def events_of(said: bytes) -> list[Event]:
    """What a stream tells."""
    parser, framing = FORMAT.stream_parser(), EventStream()
    heard = [*framing.feed(said), *framing.rest()]
    return [event for each in heard for event in parser.feed(each)] + list(parser.end())


def chunks_of(said: bytes) -> list[Any]:
    """The chunks of a stream of ours."""
    framing = EventStream()
    return [json.loads(each.data) for each in [*framing.feed(said), *framing.rest()]]


def written(*events: Event, asked: Asked = ASKED) -> bytes:
    """A stream that tells events."""
    renderer = FORMAT.stream_renderer(asked)
    return b"".join([renderer.feed(event) for event in events]) + renderer.end()


def rendered(*parts: Part, stop: StopReason = StopReason.STOP, **more: Any) -> dict[str, Any]:
    """A whole answer of one candidate, as a caller gets it."""
    candidate = Candidate(parts=parts, stop=stop, **more)
    return json.loads(FORMAT.render_response(Response(candidates=(candidate,)), ASKED))


def told(*parts: Part, **more: Any) -> list[Any]:
    """The parts of such an answer."""
    return rendered(*parts, **more)["candidates"][0]["content"]["parts"]
