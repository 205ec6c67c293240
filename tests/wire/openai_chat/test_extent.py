"""How much a request may make a provider read and do."""

import json

import pytest

from komeet.canonical.extent import Extent
from komeet.wire.openai_chat.envelope import parse_envelope
from komeet.wire.openai_chat.extent import measure
from komeet.wire.openai_chat.prompt import prompt_text


def _body(content: object, **members: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **members}).encode()


def _measure(content: object = "hi", **members: object) -> Extent:
    return measure(parse_envelope(_body(content, **members)))


TEXT = {"type": "text", "text": "hello"}


def test_text_is_bounded_by_its_bytes() -> None:
    for content in ("hi", [TEXT, TEXT], None):
        extent = _measure(content, n=2, max_tokens=9, service_tier="flex")
        assert extent == Extent(
            bytes=len(_body(content, n=2, max_tokens=9, service_tier="flex")),
            candidates=2,
            output_limit=9,
            service_tier="flex",
        )


def test_an_inline_image_is_media_and_its_data_is_not_text() -> None:
    data = "A" * 1000
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    extent = _measure([TEXT, part, part])
    assert extent.media == 2
    assert not extent.external
    assert extent.bytes == len(_body([TEXT, part, part])) - 2000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "invented_last_week"},
        {"type": "text", "text": "x", "image_url": {"url": "https://example.com/a.png"}},
    ],
)
def test_what_is_not_in_the_bytes_is_external(part: dict[str, object]) -> None:
    extent = _measure([TEXT, part])
    assert extent.external
    assert extent.media == 1


def test_audio_counts_by_its_bytes() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "A" * 1000, "format": "wav"}}
    extent = _measure([part])
    assert (extent.media, extent.external) == (1, False)
    assert extent.bytes == len(_body([part]))


def test_an_earlier_answer_by_its_id_is_external() -> None:
    message = {"role": "assistant", "audio": {"id": "audio_1"}}
    extent = measure(parse_envelope(json.dumps({"model": "m", "messages": [message]}).encode()))
    assert extent.external


@pytest.mark.parametrize("messages", [[1], ["hi"], [{"content": [1]}], [{"content": [{"type": 5}]}], [[]]])
def test_what_is_not_understood_is_external(messages: list[object]) -> None:
    assert measure(parse_envelope(json.dumps({"model": "m", "messages": messages}).encode())).external


@pytest.mark.parametrize(
    ("members", "hosted"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, False),
        ({"tools": [{"function": {"name": "f"}}]}, False),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, False),
        ({"tools": None, "web_search_options": None, "enable_search": False}, False),
        ({"tools": [{"type": "function"}, {"type": "openrouter:web_search"}]}, True),
        ({"tools": ["x"]}, True),
        ({"web_search_options": {}}, True),
        ({"plugins": [{"id": "web"}]}, True),
        ({"search_parameters": {"mode": "auto"}}, True),
    ],
)
def test_tools_that_the_provider_runs_are_found(members: dict[str, object], hosted: bool) -> None:
    assert _measure(**members).hosted_tools is hosted


def test_a_stored_prompt_is_external() -> None:
    assert _measure(preset="mine").external


def test_the_prompt_is_all_the_text_there_is() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "ann", "content": [TEXT, {"type": "image_url", "image_url": {"url": "data:,secret"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "content": "found"},
    ]
    body = {"model": "m", "messages": messages, "tools": [{"function": {"name": "look"}}], "user": "not read"}
    text = prompt_text(parse_envelope(json.dumps(body).encode()))
    for piece in ("be brief", "ann", "hello", "look", "found", "system"):
        assert piece in text
    assert "secret" not in text
    assert "not read" not in text


@pytest.mark.parametrize("messages", [[1], [{"content": 5}], [{"content": [[1]]}]])
def test_the_prompt_of_anything_can_be_counted(messages: list[object]) -> None:
    assert prompt_text(parse_envelope(json.dumps({"model": "m", "messages": messages}).encode()))
