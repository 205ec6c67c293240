"""Every recorded answer of a Chat Completions provider goes through byte for byte, and is metered to the token."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.whole.gateway import Gateway
from tests.whole.upstream import LAST, STREAM, Upstream, chunk, whole

from komeet.core.money import Nano
from komeet.ledger.port import State

FOLDER = os.environ.get("KOMEET_RECORDINGS")
pytestmark = [pytest.mark.skipif(FOLDER is None, reason="KOMEET_RECORDINGS is not set"), pytest.mark.slow]

FILES = {"openai": "openai", "groq": "groq", "mistral": "mistral", "deepseek": "deepseek", "openrouter": "openrouter"}
"""Recordings by file, and the provider that they are of."""


def _recorded(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    assert FOLDER is not None
    with (Path(FOLDER) / f"{file}.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            call = json.loads(line)
            if call["url"].split("?")[0].endswith("/chat/completions") and 200 <= call["status"] < 300:
                yield number, call


def _body(response: object) -> bytes:
    return response.encode() if isinstance(response, str) else json.dumps(response).encode()


def _is_unasked_usage(block: bytes) -> bool:
    data = block.strip().removeprefix(b"data:").strip()
    if not data.startswith(b"{"):
        return False
    event = json.loads(data)
    return event.get("choices") == [] and bool(event.get("usage"))


def _blocks(body: bytes) -> list[bytes]:
    end = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    return [piece + end for piece in body.split(end) if piece]


@pytest.mark.parametrize("file", FILES)
def test_bytes_and_usage(file: str, tmp_path: Path) -> None:
    provider = FILES[file]
    calls = list(_recorded(file))
    assert calls
    with Upstream() as upstream:
        config = {"providers": [{"name": provider, "base_url": upstream.url, "api_key": "k"}]}
        with Gateway(tmp_path, config) as gateway:
            for number, call in calls:
                _check(number, call, provider, gateway, upstream)


def _check(number: int, call: dict[str, Any], provider: str, gateway: Gateway, upstream: Upstream) -> None:
    where = f"{provider} line {number}"
    body = _body(call["response"])
    streamed = bool(call["request"].get("stream"))
    if streamed:
        upstream.answer = lambda _: [STREAM, *(chunk(body[at : at + 997]) for at in range(0, len(body), 997)), LAST]
    else:
        upstream.answer = lambda _: whole(body)
    request: dict[str, Any] = dict(call["request"])
    options: Any = request.get("stream_options") or {}
    asked = bool(options.get("include_usage"))
    request["model"] = f"{provider}/{request['model']}"
    answer = gateway.request("POST", "/v1/chat/completions", json.dumps(request).encode())
    assert answer.status == 200, (where, answer.body)
    expected = body
    if streamed and not asked:
        expected = b"".join(block for block in _blocks(body) if not _is_unasked_usage(block))
    assert answer.body == expected, where
    ended = gateway.outcome(answer.headers["x-request-id"])
    assert ended.state is State.SETTLED
    reported = _reported(call["response"])
    assert ended.estimated == (reported is None), where
    if reported is not None:
        assert (ended.usage.input, ended.usage.output) == reported, where
        if not ended.unpriced:
            assert ended.cost >= Nano(0)
    else:
        assert ended.usage.output > 0 or not streamed, where


def _reported(response: object) -> tuple[int, int] | None:
    """The prompt and completion tokens that a recording reports."""
    found: Any = None
    if isinstance(response, str) and "data: {" in response:
        for block in _blocks(response.encode()):
            data = block.strip().removeprefix(b"data:").strip()
            if data.startswith(b"{"):
                event: Any = json.loads(data)
                groq: Any = event.get("x_groq") or {}
                found = event.get("usage") or groq.get("usage") or found
    else:
        whole_answer: Any = json.loads(response) if isinstance(response, str) else response
        found = whole_answer.get("usage")
    return None if not found else (found["prompt_tokens"], found["completion_tokens"])
