"""Legacy Completions answers, whole and streamed."""

import json
from collections.abc import Sequence

import pytest
from openai.types import Completion

from komeet.canonical.event import Event, Fail, Finish, PartStart, Start, TextDelta, UsageEvent
from komeet.canonical.part import Part, Reasoning, Refusal, Text, ToolCall
from komeet.canonical.request import Request
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.core.errors import AuthError, CutMidStream
from komeet.wire.format import Asked, Envelope, Passed
from komeet.wire.openai_completions.format import FORMAT

USAGE = Usage(input=9, cache_read=4, output=7, reasoning=5)


def _asked(*, usage: bool = False) -> Asked:
    envelope = Envelope(fields={}, size=2, model="asked-for", include_usage=usage)
    return Asked(envelope=envelope, request=Request(model="asked-for", turns=()), id="1", created=7)


def _answer(*parts: Part, stop: StopReason = StopReason.STOP) -> Response:
    return Response(id="msg_1", model="m", candidates=(Candidate(parts=parts, stop=stop),), usage=USAGE)


def _whole(response: Response) -> dict[str, object]:
    body = FORMAT.render_response(response, _asked())
    Completion.model_validate_json(body)
    return json.loads(body)


def _stream(events: Sequence[Event], *, usage: bool = False) -> bytes:
    renderer = FORMAT.stream_renderer(_asked(usage=usage))
    return b"".join([renderer.feed(event) for event in events]) + renderer.end()


def _chunks(events: Sequence[Event], *, usage: bool = False) -> list[dict[str, object]]:
    blocks = _stream(events, usage=usage).split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    chunks = [block.removeprefix(b"data: ") for block in blocks[:-2]]
    for chunk in chunks:  # the library's type wants a reason in every chunk; the API, and its parser, do not
        Completion.model_validate_json(chunk.replace(b'"finish_reason":null', b'"finish_reason":"stop"'))
    return [json.loads(chunk) for chunk in chunks]


def test_a_whole_answer() -> None:
    assert _whole(_answer(Text(text="a"), Text(text="b"))) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [{"text": "ab", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 7,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 5,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (StopReason.STOP, "stop"),
        (StopReason.LENGTH, "length"),
        (StopReason.CONTENT_FILTER, "content_filter"),
        (StopReason.REFUSED, "content_filter"),
        (StopReason.TOOL_CALLS, "stop"),
        (StopReason.PAUSED, "stop"),
        (StopReason.OTHER, "stop"),
    ],
)
def test_reasons_to_end(stop: StopReason, word: str) -> None:
    response = _answer(Text(text="a"), stop=stop)
    assert json.loads(FORMAT.render_response(response, _asked()))["choices"][0]["finish_reason"] == word


def test_only_texts_are_told() -> None:
    parts = (Reasoning(text="hm"), Refusal(text="no"), ToolCall(id="1", name="f", arguments=b"{}"))
    assert json.loads(FORMAT.render_response(_answer(*parts), _asked()))["choices"][0]["text"] == "no"
    out = _stream(list(unfold(_answer(*parts))))
    assert b"hm" not in out
    assert b'"text":"no"' in out


def test_a_stream() -> None:
    events: list[Event] = [
        Start(id="cmpl-x", model="m", created=5),
        PartStart(candidate=0, index=0, part=Reasoning()),
        TextDelta(candidate=0, index=0, text="hm"),
        PartStart(candidate=0, index=1, part=Text()),
        TextDelta(candidate=0, index=1, text="a"),
        TextDelta(candidate=0, index=1, text="b"),
        UsageEvent(usage=USAGE),
        Finish(candidate=0, stop=StopReason.LENGTH),
    ]
    head = {"id": "cmpl-x", "object": "text_completion", "created": 5, "model": "m"}
    told = [("a", None), ("b", None), ("", "length")]
    choices = [[{"text": text, "index": 0, "logprobs": None, "finish_reason": word}] for text, word in told]
    assert _chunks(events) == [{**head, "choices": choice} for choice in choices]
    chunks = _chunks(events, usage=True)
    assert [chunk["usage"] is None for chunk in chunks] == [True, True, True, False]
    assert chunks[-1]["choices"] == []


def test_several_answers() -> None:
    response = Response(
        candidates=tuple([Candidate(index=i, parts=(Text(text=str(i)),), stop=StopReason.STOP) for i in range(2)])
    )
    assert [choice["text"] for choice in json.loads(FORMAT.render_response(response, _asked()))["choices"]] == [
        "0",
        "1",
    ]
    assert len(_chunks(list(unfold(response)))) == 4


def test_an_error_ends_the_stream_without_done() -> None:
    out = _stream([Start(), Fail(error=CutMidStream("It broke off."))])
    assert json.loads(out[6:])["error"]["message"] == "It broke off."
    assert b"[DONE]" not in out
    assert FORMAT.render_stream_error(CutMidStream("It broke off.")) == out


def test_errors_have_openais_shape() -> None:
    status, _, body = FORMAT.render_error(AuthError("No key."))
    assert (status, json.loads(body)["error"]["message"]) == (401, "No key.")
    refusal = FORMAT.render_refusal(Passed(status=400, body=b"{}", message="no", code="x", param="stop"))
    assert json.loads(refusal)["error"]["message"] == "no"
