"""Pictures: from texts, and from pictures."""

import json
from typing import Any

import pytest
from tests.wire.media.asking import asked, form, part, sent

from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, InternalError, UpstreamError, WireError
from komeet.wire.media.images import EDITS, GENERATIONS
from komeet.wire.media.speech import SPEECH
from komeet.wire.ways import way_between

USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 481,
    "output_tokens_details": {"image_tokens": 272, "text_tokens": 209},
    "total_tokens": 531,
}
METERED = Usage(input=50, input_image=40, output=481, output_image=272)
ASKED = {"model": "asked", "prompt": "a cat"}


def test_bytes_go_through_but_for_the_model() -> None:
    edited = sent(asked(GENERATIONS, ASKED | {"n": 2, "late": {"a": [1]}}))
    assert json.loads(edited.body) == ASKED | {"model": "m", "n": 2, "late": {"a": [1]}}
    assert edited.content_type == b"application/json"


def test_of_a_form_only_the_model_is_replaced() -> None:
    picture = b"\x89PNG\r\n--b\x00\xff"
    before = [part("image[]", picture, "a.png"), part("image[]", picture, "b.png"), part("prompt", "a cat")]
    edited = sent(asked(EDITS, form(*before, part("model", "asked"), part("n", "2"))))
    assert edited.body == form(*before, part("model", "m"), part("n", "2"))
    assert edited.content_type == b"multipart/form-data; boundary=b0"


def test_edits_may_be_asked_for_as_json() -> None:
    images = [{"image_url": "https://example.com/a.png"}]
    way = asked(EDITS, ASKED | {"images": images})
    assert json.loads(sent(way).body) == ASKED | {"model": "m", "images": images}
    assert EDITS.measure(way.envelope).external


def test_an_answer_goes_out_as_it_came_and_is_metered() -> None:
    body = json.dumps({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": USAGE, "late": 1}).encode()
    whole = asked(GENERATIONS, ASKED).whole(body, streamed=False)
    assert not isinstance(whole, UpstreamError)
    assert (whole.render(None), whole.usage) == (body, METERED)


def test_pictures_without_usage_are_taken_for_the_largest() -> None:
    way = asked(GENERATIONS, ASKED | {"n": 3}, Profile(image_output=1000))
    whole = way.whole(b'{"data": []}', streamed=False)
    assert not isinstance(whole, UpstreamError)
    assert whole.usage is None
    assert way.supplemented(Usage(input=2)) == Usage(input=2, output=3000, output_image=3000)
    assert asked(GENERATIONS, ASKED).supplemented(Usage()).output > 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"data": 1}'])
def test_what_is_no_list_of_pictures_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        asked(GENERATIONS, ASKED).whole(body, streamed=False)
    with pytest.raises(Garbled):
        asked(GENERATIONS, ASKED).whole(b'{"data": []}', streamed=True)


def test_an_error_with_a_success_status_is_an_error() -> None:
    assert isinstance(
        asked(EDITS, ASKED | {"images": [1]}).whole(b'{"error": {"message": "no"}}', streamed=False), UpstreamError
    )


def test_what_a_call_may_cost_is_told_from_its_bytes() -> None:
    way = asked(GENERATIONS, ASKED | {"n": 4})
    extent = GENERATIONS.measure(way.envelope)
    assert (extent.candidates, extent.media, extent.output_limit) == (4, 0, None)
    assert extent.bytes >= len("a cat")
    filled = asked(EDITS, form(part("model", "a"), part("prompt", "a cat"), part("image", b"x" * 5000, "a.png")))
    extent = EDITS.measure(filled.envelope)
    assert (extent.media, extent.candidates) == (1, 1)
    assert extent.bytes == filled.envelope.size == len("aa cat")


MISTAKES: list[tuple[Any, Any, str | None]] = [
    (GENERATIONS, {"model": "m"}, "prompt"),
    (GENERATIONS, {"prompt": "x"}, "model"),
    (GENERATIONS, ASKED | {"model": ""}, "model"),
    (GENERATIONS, ASKED | {"n": 0}, "n"),
    (GENERATIONS, ASKED | {"n": "1"}, "n"),
    (GENERATIONS, ASKED | {"n": 129}, "n"),
    (GENERATIONS, ASKED | {"stream": "yes"}, "stream"),
    (GENERATIONS, form(part("model", "m"), part("prompt", "x")), None),
    (EDITS, ASKED, "images"),
    (EDITS, form(part("model", "m"), part("prompt", "x")), "image"),
    (EDITS, form(part("image", b"", "a"), part("prompt", "x")), "model"),
    (EDITS, form(part("image", b"", "a"), part("prompt", "x"), part("model", "a"), part("model", "b")), "model"),
    (EDITS, form(part("image", b"", "a"), part("prompt", "x"), part("model", "a"), part("n", "-1")), "n"),
    (EDITS, form(part("image", b"", "a"), part("prompt", "x"), part("model", "a"), part("stream", "2")), "stream"),
]


@pytest.mark.parametrize(("wire", "body", "path"), MISTAKES)
def test_mistakes_are_told_with_their_path(wire: Any, body: Any, path: str | None) -> None:
    with pytest.raises(WireError) as refused:
        asked(wire, body)
    assert refused.value.param == path


def event(**members: Any) -> bytes:
    return f"event: {members.get('type')}\ndata: {json.dumps(members)}\n\n".encode()


def test_a_stream_is_metered_by_its_last_event() -> None:
    way = asked(GENERATIONS, ASKED | {"stream": True})
    assert way.streams(b"text/event-stream; charset=utf-8")
    assert not way.streams(b"application/json")
    tap = way.tap()
    first = event(type="image_generation.partial_image", b64_json="AA", partial_image_index=0)
    last = event(type="image_generation.completed", b64_json="AAAA", usage=USAGE)
    assert tap.feed(first) == first
    assert (tap.first_content, tap.done, tap.usage) == (True, False, None)
    assert tap.feed(last[:30]) + tap.feed(last[30:]) == last
    assert tap.end() == (b"", True)
    assert (tap.done, tap.usage) == (True, METERED)


def test_each_picture_of_a_stream_has_its_own_usage() -> None:
    tap = asked(GENERATIONS, ASKED | {"stream": True, "n": 2}).tap()
    last = event(type="image_generation.completed", usage=USAGE)
    tap.feed(last)
    assert not tap.done
    tap.feed(last)
    assert tap.done
    assert tap.usage == Usage(input=100, input_image=80, output=962, output_image=544)


def test_a_stream_that_ends_before_a_picture_is_not_complete() -> None:
    tap = asked(GENERATIONS, ASKED | {"stream": True}).tap()
    tap.feed(event(type="image_generation.partial_image"))
    assert tap.end() == (b"", False)


@pytest.mark.parametrize("name", ["error", None])
def test_an_error_in_a_stream_is_forwarded_and_noted(name: str | None) -> None:
    tap = asked(GENERATIONS, ASKED | {"stream": True}).tap()
    said = b'data: {"error": {"message": "policy", "code": "moderation_blocked"}}\n\n'
    said = said if name is None else b"event: error\n" + said
    assert tap.feed(said) == said
    assert tap.error is not None
    assert "policy" in tap.error.message
    assert tap.end()[1] is False


def test_an_error_about_our_key_is_told_in_our_words() -> None:
    tap = asked(GENERATIONS, ASKED | {"stream": True}).tap()
    told = tap.feed(b'data: {"error": {"message": "bad sk-123", "code": "invalid_api_key"}}\n\n')
    assert b"sk-123" not in told
    assert b"Your API key is not at fault" in told


def test_a_surface_is_answered_in_its_own_format_alone() -> None:
    envelope = asked(GENERATIONS, ASKED).envelope
    with pytest.raises(InternalError):
        way_between(GENERATIONS, SPEECH, envelope, id="1", created=1)
