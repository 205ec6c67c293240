"""Calls Komeet over HTTP, as any other client would: for `komeet chat`."""

import json
from collections.abc import Iterator
from typing import Any, cast

import httpx2
from msgspec import Struct


class Refused(Exception):
    """Komeet answered with an error, or not at all; the message says what."""


class Piece(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class End(Struct, frozen=True, kw_only=True):
    """What the provider reported at the end."""

    provider: str
    request_id: str
    input: int | None
    output: int | None


def is_up(url: str) -> bool:
    """Whether a Komeet answers at `url`."""
    try:
        return httpx2.get(f"{url}/healthz", timeout=2, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def stream(url: str, key: str, call: dict[str, Any]) -> Iterator[Piece | End]:
    """Make one streamed call.

    Raises:
        Refused: the call failed; what had come before has been yielded.
    """
    body = call | {"stream": True, "stream_options": {"include_usage": True}}
    try:
        with (
            httpx2.Client(timeout=httpx2.Timeout(600, connect=5), trust_env=False) as client,
            client.stream(
                "POST", f"{url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}
            ) as response,
        ):
            if response.status_code != 200:
                raise Refused(_message(response.read()))
            yield from _events(response)
    except httpx2.HTTPError as error:
        raise Refused(f"{url}: {error}") from None


def _events(response: httpx2.Response) -> Iterator[Piece | End]:
    usage: dict[str, Any] = {}
    for line in response.iter_lines():
        if not line.startswith("data: {"):
            continue
        event = cast("dict[str, Any]", json.loads(line.removeprefix("data: ")))
        if event.get("error"):
            raise Refused(str(event["error"].get("message")))
        usage = event.get("usage") or usage
        for choice in cast("list[dict[str, Any]]", event.get("choices") or []):
            text = choice["delta"].get("content")
            if text:
                yield Piece(text)
    yield End(
        provider=response.headers.get("x-komeet-provider", ""),
        request_id=response.headers.get("x-request-id", ""),
        input=usage.get("prompt_tokens"),
        output=usage.get("completion_tokens"),
    )


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "the answer is not Komeet's; is something else listening there?"
