"""Every recorded answer of a Chat Completions provider goes through byte for byte, and is metered to the token."""

import json
import os
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN
from pathlib import Path
from typing import Any

import pytest
from genai_prices import extract_usage
from tests.whole.gateway import Gateway
from tests.whole.upstream import DONE, LAST, STREAM, Upstream, chunk, whole

from komeet.ledger.port import State
from komeet.providers.registry import load

FOLDER = os.environ.get("KOMEET_RECORDINGS")
pytestmark = [pytest.mark.skipif(FOLDER is None, reason="KOMEET_RECORDINGS is not set"), pytest.mark.slow]

PRICED = {
    "openai": 241,
    "groq": 12,
    "mistral": 19,
    "deepseek": 14,
    "openrouter": 39,
    "cerebras": 0,
    "huggingface": 0,
    "zai": 5,
    "google": 2,
    "azure": 0,
    "cloudflare": 0,
    "local": 0,
}
"""Recordings, by file: how many calls at least report tokens of a model whose price is known."""
OWN = {"azure", "cloudflare", "local"}
"""Those of addresses that the registry does not have."""


def _recorded(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    assert FOLDER is not None
    with (Path(FOLDER) / f"{file}.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            call = json.loads(line)
            of_chat = call["url"].split("?")[0].endswith("/chat/completions")
            if of_chat and 200 <= call["status"] < 300 and call["request"] is not None:
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


@pytest.mark.parametrize("provider", PRICED)
def test_bytes_usage_and_cost(provider: str, tmp_path: Path) -> None:
    calls = list(_recorded(provider))
    assert calls
    with Upstream() as upstream:
        name = f"my-{provider}" if provider in OWN else provider
        # What is recorded is Chat Completions, also of those who are asked in a format of their own otherwise.
        config = {"providers": [{"name": name, "base_url": upstream.url, "api_key": "k", "formats": ["openai_chat"]}]}
        with Gateway(tmp_path, config) as gateway:
            costs = [_check(number, call, name, gateway, upstream) for number, call in calls]
    priced = [cost for cost in costs if cost is not None]
    assert len(priced) >= PRICED[provider], f"{len(priced)} of {len(calls)} are priced"


def _check(number: int, call: dict[str, Any], provider: str, gateway: Gateway, upstream: Upstream) -> int | None:
    """Send one recorded call through; return what it cost, where a price and its tokens are known."""
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
    if streamed and DONE.strip() not in body:
        expected += DONE  # which is added where a provider leaves it out
    row = load().get(provider)
    if row is None or "openai_chat" not in row.dialect.translated:  # else it is told anew, in OpenAI's words
        assert answer.body == expected, where
    ended = gateway.outcome(answer.headers["x-request-id"])
    assert ended.state is State.SETTLED
    usage = _reported(call["response"])
    assert ended.estimated == (usage is None), where
    if usage is None:
        assert ended.usage.output > 0 or not streamed, where
        return None
    # What a total has beyond its parts is output that the parts leave out (Google's thoughts).
    output = max(usage["completion_tokens"], usage["total_tokens"] - usage["prompt_tokens"])
    assert (ended.usage.input, ended.usage.output) == (usage["prompt_tokens"], output), where
    if ended.unpriced:
        return None
    tier = _service_tier(call["response"])
    billed = usage | {"completion_tokens": output}
    assert ended.cost == _library_cost(provider, str(call["request"]["model"]), billed, tier), where
    return ended.cost


def _library_cost(provider: str, model: str, usage: dict[str, Any], tier: str | None) -> int:
    """What `genai-prices` itself makes of the usage, in nano-dollars."""
    flavor = "default" if provider in {"groq", "mistral"} else "chat"
    extracted = extract_usage({"model": model, "usage": usage}, provider_id=provider, api_flavor=flavor)
    price = extracted.calc_price(price_context={"service_tier": tier} if tier else None)
    return int((price.total_price * 10**9).to_integral_value(ROUND_HALF_EVEN))


def _events(response: object) -> list[Any]:
    """The JSON objects of an answer: its events, or the one that it is."""
    if isinstance(response, str) and "data: {" in response:
        data = (block.strip().removeprefix(b"data:").strip() for block in _blocks(response.encode()))
        return [json.loads(one) for one in data if one.startswith(b"{")]
    return [json.loads(response) if isinstance(response, str) else response]


def _service_tier(response: object) -> str | None:
    return next((event["service_tier"] for event in reversed(_events(response)) if event.get("service_tier")), None)


def _reported(response: object) -> dict[str, Any] | None:
    """The last usage that a recording reports."""
    found: dict[str, Any] | None = None
    for event in _events(response):
        groq: Any = event.get("x_groq") or {}
        found = event.get("usage") or groq.get("usage") or found
    return found
