"""Calls Komeet over HTTP, as any other client would: for `komeet chat`, `explain` and `doctor`."""

import json
import ssl
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypedDict, cast

import httpx2
from msgspec import Struct

from komeet.cli.place import Place


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


class Seen(StrEnum):
    """Who answers at a place."""

    KOMEET = "komeet"
    NOBODY = "nobody"
    OTHER = "other"
    """Another program, or a Komeet that speaks TLS where none is expected, or none where it is."""
    UNTRUSTED = "untrusted"
    """Somebody whose certificate is another."""


def look(place: Place) -> Seen:
    """Ask who is there; no key is sent."""
    try:
        state = httpx2.get(f"{place.url}/readyz", timeout=2, **_way(place)).json()
    except httpx2.ConnectError as error:
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return Seen.UNTRUSTED
        return Seen.OTHER if any(isinstance(cause, ssl.SSLError) for cause in causes) else Seen.NOBODY
    except (httpx2.HTTPError, ValueError):
        return Seen.OTHER
    return Seen.KOMEET if isinstance(state, dict) and "missing" in state else Seen.OTHER


def is_up(place: Place) -> bool:
    """Whether a Komeet answers there, rather than nothing or something else."""
    return look(place) is Seen.KOMEET


def models(place: Place, key: str) -> list[str]:
    """Return the models that the key may ask for; raises Refused."""
    try:
        answer = httpx2.get(f"{place.url}/v1/models", timeout=30, headers=_headers(key), **_way(place))
    except httpx2.HTTPError as error:
        raise Refused(f"{place.url}: {error}") from None
    if answer.status_code != 200:
        raise Refused(_message(answer.content), answer.status_code)
    return [str(model["id"]) for model in answer.json()["data"]]


def explain(place: Place, key: str, surface: str, call: dict[str, Any]) -> dict[str, Any]:
    """Return what would become of a call; raises Refused."""
    question = {"surface": surface, "request": call}
    try:
        url = f"{place.url}/api/explain"
        answer = httpx2.post(url, timeout=30, json=question, headers=_headers(key), **_way(place))
    except httpx2.HTTPError as error:
        raise Refused(f"{place.url}: {error}") from None
    if answer.status_code != 200:
        raise Refused(_message(answer.content), answer.status_code)
    return cast("dict[str, Any]", answer.json())


def stream(place: Place, key: str, call: dict[str, Any]) -> Iterator[Piece | End]:
    """Make one streamed call.

    Raises:
        Refused: the call failed; what had come before has been yielded.
    """
    body = call | {"stream": True, "stream_options": {"include_usage": True}}
    try:
        with (
            httpx2.Client(timeout=httpx2.Timeout(600, connect=5), **_way(place)) as client,
            client.stream("POST", f"{place.url}/v1/chat/completions", json=body, headers=_headers(key)) as response,
        ):
            if response.status_code != 200:
                raise Refused(_message(response.read()), response.status_code)
            yield from _events(response)
    except httpx2.HTTPError as error:
        raise Refused(f"{place.url}: {error}") from None


class _Way(TypedDict):
    verify: ssl.SSLContext | bool
    trust_env: bool


def _way(place: Place) -> _Way:
    """Say how it is reached: never through a proxy, and by its certificate."""
    return {"verify": True if place.trust is None else place.trust, "trust_env": False}


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


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
