"""Calls Komeet over HTTP, as any other client would: for `komeet chat` and `komeet doctor`."""

import json
from collections.abc import Iterator
from typing import Any, cast

import httpx2
from msgspec import Struct


class Refused(Exception):
    """Komeet answered with an error, or not at all; the message says what."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """The status of the answer; 0: there was none, or it broke off."""


class Piece(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class End(Struct, frozen=True, kw_only=True):
    """What the provider reported at the end."""

    provider: str
    request_id: str
    input: int | None
    output: int | None
    finish: str
    """Why it ended: `stop`, `length`, …; empty: it did not say."""


def base_url(host: str, port: int, *, tls: bool = False) -> str:
    """Return where a Komeet that listens on `host` is reached from this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared
        host = "127.0.0.1"
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_up(url: str) -> bool:
    """Whether a Komeet answers at `url`, rather than nothing or something else."""
    try:
        state = httpx2.get(f"{url}/readyz", timeout=2, trust_env=False).json()
    except (httpx2.HTTPError, ValueError):
        return False
    return isinstance(state, dict) and "missing" in state


def models(url: str, key: str) -> list[str]:
    """Return the models that the key may ask for; raises Refused."""
    try:
        answer = httpx2.get(f"{url}/v1/models", timeout=30, trust_env=False, headers=_headers(key))
    except httpx2.HTTPError as error:
        raise Refused(f"{url}: {error}") from None
    if answer.status_code != 200:
        raise Refused(_message(answer.content), answer.status_code)
    return [str(model["id"]) for model in answer.json()["data"]]


def stream(url: str, key: str, call: dict[str, Any]) -> Iterator[Piece | End]:
    """Make one streamed call.

    Raises:
        Refused: the call failed; what had come before has been yielded.
    """
    body = call | {"stream": True, "stream_options": {"include_usage": True}}
    try:
        with (
            httpx2.Client(timeout=httpx2.Timeout(600, connect=5), trust_env=False) as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=_headers(key)) as response,
        ):
            if response.status_code != 200:
                raise Refused(_message(response.read()), response.status_code)
            yield from _events(response)
    except httpx2.HTTPError as error:
        raise Refused(f"{url}: {error}") from None


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _events(response: httpx2.Response) -> Iterator[Piece | End]:
    usage: dict[str, Any] = {}
    finish = ""
    for line in response.iter_lines():
        if not line.startswith("data: {"):
            continue
        event = _event(line.removeprefix("data: "))
        if event.get("error"):
            raise Refused(str(event["error"].get("message")))
        usage = event.get("usage") or usage
        for choice in cast("list[dict[str, Any]]", event.get("choices") or []):
            finish = choice.get("finish_reason") or finish
            text = cast("dict[str, Any]", choice.get("delta") or {}).get("content")
            if text:
                yield Piece(text)
    yield End(
        provider=response.headers.get("x-komeet-provider", ""),
        request_id=response.headers.get("x-request-id", ""),
        input=usage.get("prompt_tokens"),
        output=usage.get("completion_tokens"),
        finish=finish,
    )


def _event(data: str) -> dict[str, Any]:
    try:
        return json.loads(data)
    except ValueError:
        raise Refused("the answer holds an event that is not JSON") from None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "the answer is not Komeet's; is something else listening there?"
