"""The tap forwards what came, and nothing that it reads depends on how the bytes were cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamAuth, UpstreamRefused
from komeet.wire.openai_chat.tap import ChatTap

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _chunk(delta: object | None = None, finish: str | None = None, index: int = 0, **members: object) -> bytes:
    choice: dict[str, object] = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return _event({"id": "c", "model": "m-1", "choices": [choice], **members})


ROLE = _chunk({"role": "assistant", "content": ""})
HELLO = _chunk({"content": "Hello"})
STOP = _chunk(finish="stop")
ONLY_USAGE = _event({"id": "c", "model": "m-1", "choices": [], "usage": USAGE, "service_tier": "flex"})
DONE = b"data: [DONE]\n\n"


def _run(stream: bytes, cuts: tuple[int, ...] = (), *, asked: bool = False) -> tuple[bytes, bool, ChatTap]:
    tap = ChatTap(include_usage=asked)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    out = b"".join([tap.feed(stream[start:end]) for start, end in pairwise(places)])
    rest, complete = tap.end()
    return out + rest, complete, tap


def test_a_stream_is_forwarded_as_it_came_and_metered() -> None:
    stream = b": hello\n\n" + ROLE + HELLO + STOP + ONLY_USAGE + DONE
    out, complete, tap = _run(stream, asked=True)
    assert out == stream
    assert complete
    assert tap.usage == Usage(input=3, output=2)
    assert (tap.model, tap.service_tier) == ("m-1", "flex")
    assert tap.output_text() == "Hello"
    assert (tap.done, tap.finished, tap.events, tap.opaque) == (True, True, 4, 0)


def test_usage_that_nobody_asked_for_is_taken_out() -> None:
    out, complete, tap = _run(ROLE + HELLO + STOP + ONLY_USAGE + DONE)
    assert out == ROLE + HELLO + STOP + DONE
    assert complete
    assert tap.usage == Usage(input=3, output=2)


@pytest.mark.parametrize(
    "event",
    [
        _chunk(finish="stop", usage=USAGE),
        _event({"model": "m-1", "usage": USAGE}),
        _event({"model": "", "choices": [], "prompt_filter_results": []}),
        _event({"model": "m-1", "choices": [], "usage": None}),
    ],
)
def test_only_a_chunk_with_nothing_but_usage_is_taken_out(event: bytes) -> None:
    assert _run(HELLO + event + DONE)[0] == HELLO + event + DONE


def test_it_is_left_in_where_the_constructor_says() -> None:
    tap = ChatTap(include_usage=False, drop_unasked_usage=False)
    assert tap.feed(HELLO + ONLY_USAGE + DONE) == HELLO + ONLY_USAGE + DONE


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": "a"}, "a"),
        ({"reasoning_content": "a"}, "a"),
        ({"reasoning": "a"}, "a"),
        ({"reasoning": "a", "reasoning_content": "a"}, "a"),
        ({"refusal": "no"}, "no"),
        ({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}]}, "f{}"),
        ({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "f", "input": "x"}}]}, "fx"),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "f{}"),
        ({"audio": {"id": "a", "transcript": "hi"}}, "hi"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "ok"}]}, "hmok"),
    ],
)
def test_the_first_content_is_seen_and_all_output_is_gathered(delta: object, text: str) -> None:
    tap = ChatTap(include_usage=False)
    tap.feed(ROLE + _chunk({"content": "", "reasoning": None, "tool_calls": []}))
    assert not tap.first_content
    tap.feed(_chunk(delta))
    assert tap.first_content
    assert tap.output_text() == text


@pytest.mark.parametrize(
    ("stream", "complete"),
    [
        (HELLO + STOP + DONE, True),
        (HELLO + STOP, True),
        (HELLO + DONE, True),
        (HELLO, False),
        (b"", False),
        (b": only comments\n\n", False),
        (HELLO + _chunk({"content": "b"}, index=1) + STOP, False),
        (HELLO + _chunk({"content": "b"}, index=1) + STOP + _chunk(finish="length", index=1), True),
        (HELLO + STOP.removesuffix(b"\n\n"), True),
        (HELLO + b"data: [DONE]", True),
        (HELLO + STOP[: len(STOP) // 2], False),
    ],
)
def test_a_stream_is_complete_when_every_candidate_finished_or_it_says_so(stream: bytes, complete: bool) -> None:
    assert _run(stream)[1] is complete


def test_an_event_that_was_cut_short_is_not_sent_on() -> None:
    """What is said next, an error, must not run into it."""
    cut = HELLO[: len(HELLO) // 2]
    assert _run(ROLE + cut)[0] == ROLE
    out, complete, tap = _run(ROLE + HELLO.removesuffix(b"\n\n"))
    assert (out, complete) == (ROLE + HELLO, False)
    assert tap.output_text() == "Hello"


@pytest.mark.parametrize("cut", [b"d", b"data", b": kee", b"event: err", b"id"])
def test_a_line_that_was_cut_short_is_not_sent_on(cut: bytes) -> None:
    for stream in (ROLE, HELLO + STOP + DONE):
        assert _run(stream + cut)[0] == stream
    assert _run(HELLO + STOP + DONE + b"\n")[0] == HELLO + STOP + DONE + b"\n"


def test_usage_that_was_reported_before_the_content_is_not_that_of_the_content() -> None:
    """Else who leaves a provider that reports the prompt first pays for nothing that was written."""
    early = _chunk(usage={"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9})
    late = _chunk({"content": "more"}, usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11})
    assert _run(early)[2].usage == Usage(input=9)
    assert _run(early + HELLO)[2].usage is None
    assert _run(early + HELLO + STOP + DONE)[2].usage is None
    assert _run(early + HELLO + late)[2].usage == Usage(input=9, output=2)
    assert _run(early + HELLO + late + HELLO)[2].usage is None
    assert _run(early + HELLO + late + HELLO + STOP + DONE)[2].usage == Usage(input=9, output=2)


def test_the_last_usage_counts_and_nonsense_does_not() -> None:
    later = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
    stream = _chunk({"content": "a"}, usage=USAGE) + _chunk(finish="stop", usage=later)
    assert _run(stream)[2].usage == Usage(input=3, output=9)
    broken = {"prompt_tokens": -3, "completion_tokens": 9}
    assert _run(stream + _event({"choices": [], "usage": broken}))[2].usage == Usage(input=3, output=9)


def test_usage_in_the_places_of_dialects() -> None:
    assert _run(_chunk(finish="stop", x_groq={"id": "x", "usage": USAGE}))[2].usage == Usage(input=3, output=2)
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}
    assert _run(_event({"choices": [choice]}))[2].usage == Usage(input=3, output=2)


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"1", b'{"choices": 5}', b'{"choices":[{"delta":7}]}'])
def test_what_is_json_and_not_as_the_format_says_is_forwarded(data: bytes) -> None:
    stream = HELLO + b"data: " + data + b"\n\n" + STOP + DONE
    out, complete, tap = _run(stream)
    assert out == stream
    assert complete
    assert tap.opaque == 1


@pytest.mark.parametrize("data", [b"not json", HELLO[6:-9], b"{", b'{"choices": [}', b"\xff"])
def test_what_is_no_json_ends_the_stream_with_an_error_and_the_rest_is_metered(data: bytes) -> None:
    out, complete, tap = _run(HELLO + b"data: " + data + b"\n\n" + HELLO + STOP + ONLY_USAGE + DONE)
    said = json.loads(out.removeprefix(HELLO + b"data: "))
    assert said["error"]["code"] == "upstream_garbled"
    assert not complete
    assert isinstance(tap.error, Garbled)
    assert tap.usage == Usage(input=3, output=2)
    assert _run(HELLO + ONLY_USAGE + b"data: " + data + b"\n\n")[2].usage is None  # it may have been more content


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_where_done_is_missing_it_is_added(end: bytes) -> None:
    out, complete, tap = _run(HELLO + STOP.removesuffix(b"\n\n") + end)
    assert (out, complete, tap.done) == (HELLO + STOP + DONE, True, False)
    assert _run(HELLO + STOP + ONLY_USAGE, asked=True)[0] == HELLO + STOP + ONLY_USAGE + DONE


def test_what_can_be_read_of_a_strange_event_is_read() -> None:
    strange = _event({"model": "m-2", "choices": [{"delta": {"content": 5}}], "usage": USAGE, "service_tier": "flex"})
    tap = _run(strange)[2]
    assert (tap.model, tap.usage, tap.service_tier) == ("m-2", Usage(input=3, output=2), "flex")


@pytest.mark.parametrize(
    "start", [b"<!DOCTYPE html>", b'{"error":{}}', b"[1]", b"\n\n  <html>", b"Bad gateway", b"\x00"]
)
def test_what_is_no_event_stream_is_garbled(start: bytes) -> None:
    for size in (1, len(start)):
        tap = ChatTap(include_usage=False)
        with pytest.raises(Garbled):
            for at in range(0, len(start), size):
                tap.feed(start[at : at + size])
        assert tap.end()[1] is False


def test_an_error_in_the_stream_is_forwarded_and_remembered() -> None:
    error = _event({"error": {"message": "Token limit reached", "code": 400}, "choices": []})
    out, complete, tap = _run(HELLO + error + DONE)
    assert out == HELLO + error + DONE
    assert not complete
    assert isinstance(tap.error, UpstreamRefused)
    assert "Token limit reached" in tap.error.message


@pytest.mark.parametrize("error", [None, False, "", 0, {}, []])
def test_what_libraries_take_for_no_error_is_none(error: object) -> None:
    out, complete, tap = _run(_chunk(finish="stop", error=error) + DONE)
    assert (out, complete, tap.error) == (_chunk(finish="stop", error=error) + DONE, True, None)


def test_an_error_that_libraries_would_not_see_is_said_in_their_shape() -> None:
    out, _, tap = _run(HELLO + b'event: error\ndata: {"message":"overloaded","code":503}\n\n')
    assert tap.error is not None
    said = json.loads(out.removeprefix(HELLO + b"data: "))
    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert "overloaded" in said["error"]["message"]


def test_an_error_about_our_credential_never_blames_the_caller() -> None:
    out, _, tap = _run(HELLO + _event({"error": {"message": "Insufficient credits", "code": 402}}))
    assert isinstance(tap.error, UpstreamAuth)
    assert b"Insufficient" not in out
    assert json.loads(out.removeprefix(HELLO + b"data: "))["error"]["code"] == "upstream_auth"


PIECES = st.sampled_from(
    [
        ROLE,
        HELLO,
        HELLO.replace(b"\n", b"\r\n"),
        _chunk({"content": "h\u00e4\u6f22"}),
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}),
        STOP,
        ONLY_USAGE,
        ONLY_USAGE.replace(b"\n", b"\r\n"),
        DONE,
        b": comment\n\n",
        b"data: [7]\n\n",
        b"event: ping\n\n",
        b"\n",
    ]
)


@settings(deadline=None, max_examples=300)
@example([ONLY_USAGE.replace(b"\n", b"\r\n")], [len(ONLY_USAGE) + 1], True)
@given(st.lists(PIECES, max_size=8), st.lists(st.integers(0, 600), max_size=8), st.booleans())
def test_no_cut_changes_anything(pieces: list[bytes], cuts: list[int], asked: bool) -> None:
    stream = b"".join(pieces)
    out, complete, tap = _run(stream, tuple(cuts), asked=asked)
    whole_out, whole_complete, whole = _run(stream, asked=asked)
    kept = [piece for piece in pieces if asked or not piece.startswith(ONLY_USAGE.strip())]
    kept += [DONE] if complete and not tap.done else []
    # The line feed of a cut line end goes with the event after it; where that is taken out, it goes, too.
    assert out.replace(b"\r", b"").replace(b"\n", b"") == b"".join(kept).replace(b"\r", b"").replace(b"\n", b"")
    if asked or b"\r" not in stream:
        assert out == whole_out
    assert complete == whole_complete
    for name in ("usage", "model", "service_tier", "first_content", "done", "finished", "events", "opaque"):
        assert getattr(tap, name) == getattr(whole, name)
    assert tap.output_text() == whole.output_text()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=30) | PIECES | st.sampled_from([b"data: ", b'{"choices":', b"\n\n"]), max_size=10))
def test_garbage_is_forwarded_or_garbled(pieces: list[bytes]) -> None:
    tap = ChatTap(include_usage=False)
    try:
        for piece in pieces:
            tap.feed(piece)
    except Garbled as error:
        assert error.http_status == 502
    tap.end()
