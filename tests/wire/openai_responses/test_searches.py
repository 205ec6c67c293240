"""Searches are charged by OpenAI one by one, and counted from the items of the output, each once."""

import json

import pytest

from komeet.wire.openai_responses.parse_response import parse_response
from komeet.wire.openai_responses.tap import ResponsesTap
from komeet.wire.openai_responses.whole import ResponsesWhole, read_whole

Json = dict[str, object]


def _web(action: object = None, status: str = "completed") -> Json:
    return {"type": "web_search_call", "id": "ws", "status": status, **({} if action is None else {"action": action})}


FILES: Json = {"type": "file_search_call", "id": "fs", "status": "completed", "queries": [], "results": None}
ITEMS: list[Json] = [
    _web({"type": "search", "query": "a"}),
    _web(),
    _web({"type": "open_page", "url": "https://example.com"}),
    _web({"type": "find_in_page", "url": "https://example.com", "pattern": "b"}),
    _web({"type": "search", "query": "c"}, status="failed"),
    FILES,
]


def _response(items: list[Json], **usage: object) -> Json:
    told = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, **usage}
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": items, "usage": told}


def test_what_searches_is_counted_and_what_reads_or_failed_is_not() -> None:
    body = json.dumps(_response(ITEMS)).encode()
    whole = read_whole(body)
    assert isinstance(whole, ResponsesWhole)
    assert whole.usage is not None
    assert (whole.usage.web_searches, whole.usage.storage_searches) == (2, 1)
    assert parse_response(body).usage == whole.usage


@pytest.mark.parametrize("said_again", [True, False])
def test_a_stream_tells_each_search_once(said_again: bool) -> None:
    tap = ResponsesTap()
    events: list[Json] = [
        {"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(ITEMS)
    ]
    events.append({"type": "response.completed", "response": _response(ITEMS if said_again else [])})
    for event in events:
        tap.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert tap.usage is not None
    assert (tap.usage.web_searches, tap.usage.storage_searches) == (2, 1)


def test_a_provider_that_counts_itself_is_believed() -> None:
    body = json.dumps(_response(ITEMS, server_tool_use_details={"web_search_requests": 7})).encode()
    usage = parse_response(body).usage
    assert usage is not None
    assert usage.web_searches == 7
