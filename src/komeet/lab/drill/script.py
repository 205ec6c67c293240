"""The bytes of the drill's upstreams: what each act looks like on the wire."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec import Struct

from komeet.lab.drill.scenario import (
    Act,
    Answers,
    Break,
    Breaks,
    Drops,
    Html,
    Refuses,
    Silent,
    Usage,
)

WORDS: Final = ("comets", "keep", "their", "time")
EVENTS: Final = len(WORDS) + 4
"""Of a stream whose usage is asked for: the role, the words, the finish, the usage, and [DONE]."""
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>Welcome</h1><p>Please sign in to this network.</p></body></html>"


class End(StrEnum):
    """How an upstream leaves a connection."""

    RESET = "reset"
    CLOSE = "close"
    HOLD = "hold"
    """It does nothing until the other side leaves."""


class Wait(Struct, frozen=True):
    """Seconds in which nothing happens."""

    seconds: float


class Told(Struct, frozen=True):
    """From here on the usage is told."""

    usage: Usage


Step = bytes | Wait | Told | End


class Saying(Struct, frozen=True):
    """What an upstream says to one call: no two say the same."""

    words: tuple[str, ...]
    usage: Usage

    @property
    def text(self) -> str:
        """The whole answer."""
        return " ".join(self.words)


def saying(number: int, *, first: bool) -> Saying:
    """Return what is said to the call of this number; the usage is as good as its name."""
    tag = f"{'a' if first else 'b'}{number}"
    usage = Usage(prompt=20 + number % 31 + (0 if first else 3), completion=7 + number % 13)
    return Saying(tuple(f"{word}-{tag}" for word in WORDS), usage)


class Wish(Struct, frozen=True):
    """How the gateway asked."""

    model: str
    stream: bool
    usage: bool
    """Whether a stream is to end with its usage."""


def steps(act: Act, said: Saying, wish: Wish) -> Iterator[Step]:
    """Yield what an upstream does, byte for byte; where it ends without an `End`, the connection may go on."""
    match act:
        case Answers():
            yield from _answers(act, said, wish)
        case Refuses():
            yield _refusal(act)
        case Html():
            yield _head(200, "text/html", len(_PAGE)) + _PAGE
        case Drops():
            yield End.RESET
        case Silent():
            yield End.HOLD
        case Breaks() if wish.stream:
            yield from _broken_stream(act, said, wish)
        case Breaks():
            yield from _broken_whole(act, said, wish)
        case _:
            assert_never(act)


def _answers(act: Answers, said: Saying, wish: Wish) -> Iterator[Step]:
    if act.late:
        yield Wait(act.late)
    if not wish.stream:
        yield Told(said.usage)
        yield _whole(said, wish, act.finish)
        return
    yield _stream_head()
    told = _events(said, wish, act.finish)
    for event in told if act.done else told[:-1]:
        if event.startswith(b'data: {"usage"'):
            yield Told(said.usage)
        yield _chunk(event)
        if act.pause:
            yield Wait(act.pause)
    yield _chunk(b"")


def _broken_stream(act: Breaks, said: Saying, wish: Wish) -> Iterator[Step]:
    yield _stream_head()
    told = _events(said, wish, "stop")
    before, after = told[: act.at], told[act.at :]
    for event in before:
        if event.startswith(b'data: {"usage"'):
            yield Told(said.usage)
        yield _chunk(event)
    match act.how:
        case Break.RESET:
            yield End.RESET
        case Break.CLOSE:
            yield End.CLOSE
        case Break.END:
            yield _chunk(b"")
        case Break.STALL:
            yield End.HOLD
        case Break.CHUNK:
            yield b"zz\r\n" + after[0] + b"\r\n"
            yield End.CLOSE
        case Break.JSON:
            yield _chunk(after[0][: len(after[0]) // 2] + b"\n\n")
            yield b"".join(_chunk(event) for event in after[1:]) + _chunk(b"")
        case Break.ERROR:
            yield _chunk(b"data: " + _error("The server had an error while processing your request.") + b"\n\n")
            yield _chunk(b"")
        case _:
            assert_never(act.how)


def _broken_whole(act: Breaks, said: Saying, wish: Wish) -> Iterator[Step]:
    body = _completion(said, wish, "stop")
    half = body[: len(body) // 2] if act.at else b""
    chunked = _head(200, "application/json", None)
    match act.how:
        case Break.RESET:
            yield _head(200, "application/json", len(body)) + half
            yield End.RESET
        case Break.CLOSE:
            yield _head(200, "application/json", len(body)) + half
            yield End.CLOSE
        case Break.END:
            yield chunked + (_chunk(half) if half else b"") + _chunk(b"")
        case Break.STALL:
            yield _head(200, "application/json", len(body)) + half
            yield End.HOLD
        case Break.CHUNK:
            yield chunked + (_chunk(half) if half else b"") + b"zz\r\n" + body[len(half) :] + b"\r\n"
            yield End.CLOSE
        case Break.JSON:
            yield _head(200, "application/json", len(body) // 2) + body[: len(body) // 2]
        case Break.ERROR:
            error = _error("The server had an error while processing your request.")
            yield _head(200, "application/json", len(error)) + error
        case _:
            assert_never(act.how)


def _events(said: Saying, wish: Wish, finish: str) -> list[bytes]:
    """Return the events of a whole stream; the last one is [DONE]."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word if not place else f" {word}"} for place, word in enumerate(said.words)]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    told = [_event({"choices": [choice]}, said, wish) for choice in choices]
    if wish.usage:
        told.append(_event({"usage": _usage(said.usage), "choices": []}, said, wish))
    return [*told, b"data: [DONE]\n\n"]


def _event(fields: dict[str, Any], said: Saying, wish: Wish) -> bytes:
    common = {
        "id": f"chatcmpl-{said.words[0]}",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": wish.model,
    }
    return b"data: " + json.dumps(fields | common).encode() + b"\n\n"


def _completion(said: Saying, wish: Wish, finish: str) -> bytes:
    message = {"role": "assistant", "content": said.text}
    whole = {
        "id": f"chatcmpl-{said.words[0]}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": wish.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": _usage(said.usage),
    }
    return json.dumps(whole).encode()


def _whole(said: Saying, wish: Wish, finish: str) -> bytes:
    body = _completion(said, wish, finish)
    return _head(200, "application/json", len(body)) + body


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }


def _refusal(act: Refuses) -> bytes:
    body = _error(act.message, act.kind, act.code)
    more = "" if act.retry_after is None else f"Retry-After: {act.retry_after}\r\n"
    return _head(act.status, "application/json", len(body), more) + body


def _error(message: str, kind: str = "server_error", code: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def _head(status: int, kind: str, length: int | None, more: str = "") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}", f"Content-Type: {kind}", size, more)
    return "\r\n".join(lines).encode() + b"\r\n"


def _stream_head() -> bytes:
    return _head(200, "text/event-stream", None)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def page(status: int, body: bytes) -> bytes:
    """Return a whole answer with JSON, for what is no call."""
    return _head(status, "application/json", len(body)) + body
