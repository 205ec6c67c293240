"""What Gemini charges of the searches that it ran is counted from the queries that it tells."""

import json

import pytest

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.wire import sse
from komeet.wire.gemini.parse_response import parse_response
from komeet.wire.gemini.stream import StreamParser
from komeet.wire.gemini.tap import GeminiTap
from komeet.wire.gemini.whole import GeminiWhole, read_whole

QUERIES = ["", "weather in Tokyo", "weather in Tokyo", "tomorrow in Tokyo"]


def _answer(model: str, queries: list[str]) -> dict[str, object]:
    return {
        "candidates": [
            {
                "content": {"parts": [{"text": "Rain."}]},
                "finishReason": "STOP",
                "groundingMetadata": {"webSearchQueries": queries},
            }
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": model,
    }


@pytest.mark.parametrize(
    ("model", "queries", "charged"),
    [
        ("gemini-3-flash-preview", QUERIES, 2),
        ("gemini-2.5-flash", QUERIES, 1),
        ("models/gemini-2.0-flash", QUERIES, 1),
        ("gemini-3-pro", [""], 0),
        ("gemini-2.5-pro", [], 0),
    ],
)
def test_queries_are_charged_as_the_generation_of_the_model_is(model: str, queries: list[str], charged: int) -> None:
    body = json.dumps(_answer(model, queries)).encode()
    whole = read_whole(body)
    assert isinstance(whole, GeminiWhole)
    assert whole.usage is not None
    assert whole.usage.web_searches == charged
    assert parse_response(body).usage == whole.usage
    stream = b"data: " + body + b"\n\n"
    tap = GeminiTap()
    assert tap.feed(stream) == stream
    assert tap.usage == whole.usage


def test_queries_that_come_in_several_chunks_are_put_together() -> None:
    chunks = [_answer("gemini-3-pro", ["one"]), _answer("gemini-3-pro", ["one", "two"])]
    tap, parser = GeminiTap(), StreamParser()
    events: list[Event] = []
    for chunk in chunks:
        data = json.dumps(chunk).encode()
        tap.feed(b"data: " + data + b"\n\n")
        events += parser.feed(sse.Event(None, data))
    usage = fold([*events, *parser.end()]).usage
    assert tap.usage == usage
    assert usage is not None
    assert usage.web_searches == 2
