"""What a gateway's answer says, read as a client's library would."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from komeet.lab.drill.scenario import Seen, Usage


class Error(Struct, frozen=True):
    """An error, as far as it has OpenAI's shape."""

    message: str = ""
    kind: str = ""
    code: str = ""
    shaped: bool = False


class Reading(Struct, frozen=True):
    """What was said."""

    text: str = ""
    finish: str | None = None
    usage: Usage | None = None
    done: bool = False
    """Whether a stream ended with [DONE]."""
    error: Error | None = None
    broken: bool = False
    """Whether something in it is no JSON."""
    streamed: bool = False


class _Error(Struct):
    message: str | None = None
    type: str | int | None = None
    code: str | int | None = None


class _Text(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answer(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: _Error | str | None = None


_decoder: Final = msgspec.json.Decoder(_Answer, strict=False)
_NONE: Final = Error()


def read(seen: Seen) -> Reading:
    """Return what an answer says, of whichever status."""
    if seen.status >= 400:
        return _whole(seen.body, refused=True)
    if seen.headers.get("content-type", "").startswith("text/event-stream"):
        return _stream(seen.body)
    return _whole(seen.body)


def _whole(body: bytes, *, refused: bool = False) -> Reading:
    try:
        answer = _decoder.decode(body)
    except msgspec.MsgspecError:
        return Reading(broken=True, error=_NONE if refused else None)
    text, finish = _said(answer)
    error = _error(answer) or (_NONE if refused else None)
    return Reading(text=text, finish=finish, usage=_used(answer), error=error)


def _stream(body: bytes) -> Reading:
    text, finish, usage, error = "", None, None, None
    done = broken = False
    for data in _events(body):
        if data == b"[DONE]":
            done = True
            continue
        try:
            answer = _decoder.decode(data)
        except msgspec.MsgspecError:
            broken = True
            continue
        more, ends = _said(answer)
        text += more
        finish = ends or finish
        usage = _used(answer) or usage
        error = error or _error(answer)
    return Reading(text=text, finish=finish, usage=usage, done=done, error=error, broken=broken, streamed=True)


def _events(body: bytes) -> Iterator[bytes]:
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(lines)


def _said(answer: _Answer) -> tuple[str, str | None]:
    for choice in answer.choices or ():
        said = choice.delta or choice.message
        return (said.content or "" if said is not None else ""), choice.finish_reason
    return "", None


def _used(answer: _Answer) -> Usage | None:
    used = answer.usage
    return None if used is None else Usage(used.prompt_tokens, used.completion_tokens)


def _error(answer: _Answer) -> Error | None:
    match answer.error:
        case None:
            return None
        case str() as message:
            return Error(message=message)
        case error:
            return Error(
                message=error.message or "",
                kind="" if error.type is None else str(error.type),
                code="" if error.code is None else str(error.code),
                shaped=bool(error.message),
            )
