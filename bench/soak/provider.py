"""The provider of the soak: the name of the model says what becomes of a call. `stall-17` is one that never answers."""

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Final

from tests.whole.upstream import (
    DONE,
    HELLO,
    LAST,
    STREAM,
    Close,
    Received,
    Reset,
    Step,
    chunk,
    delta,
    event,
    usage,
    whole,
)

END: Final = chunk(delta(finish="stop")) + chunk(event(choices=[], usage=usage(9, 4))) + chunk(DONE) + LAST
STALL_SECONDS: Final = 10.0
"""Longer than the deadlines that the soak's configuration sets."""
_GARBAGE: Final[tuple[list[Step], ...]] = (
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP at all\r\n\r\n", Close()],
    whole(b"<html>hello</html>", content_type="text/html"),
    whole(b'{"choices": [', content_type="application/json"),
    [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello", Close()],
)


def kind_of(model: str) -> str:
    """Return what a model's name says will become of its calls."""
    return model.partition("-")[0]


class Faulty:
    """Answers as the model's name says."""

    def __init__(self) -> None:
        self._garbage: Final = itertools.cycle(_GARBAGE)

    def answer(self, request: Received) -> Iterable[Step]:
        """Return the steps of one answer."""
        match kind_of(request.json["model"]):
            case "busy":
                return whole({"error": {"message": "slow down"}}, 429, "Retry-After: 1\r\n")
            case "broken":
                return whole({"error": {"message": "boom"}}, 500)
            case "garbage":
                return next(self._garbage)
            case "reset":
                return [Reset()]
            case "stall":
                return _stalled()
            case "cut":
                return [STREAM, *(chunk(delta("word ")) for _ in range(5)), Reset()]
            case "hang":
                return _hung()
            case "drip":
                return _dripped()
            case "slow":
                return _long(400, b"word " * 200, 0.002)
            case "deaf":
                return _long(2000, b"word " * 3000, 0.0)
            case _:
                return _streamed() if request.json.get("stream") else whole(HELLO)


def _streamed() -> Iterator[Step]:
    yield STREAM
    for number in range(20):
        time.sleep(0.02)
        yield chunk(delta(f"word {number} "))
    yield END


def _stalled() -> Iterator[Step]:
    time.sleep(STALL_SECONDS)
    yield from whole(HELLO)


def _hung() -> Iterator[Step]:
    yield STREAM + chunk(delta("One "))
    time.sleep(STALL_SECONDS)
    yield END


def _dripped() -> Iterator[Step]:
    data = b"".join(step for step in whole(HELLO) if isinstance(step, bytes))
    for at in range(0, len(data), 8):
        time.sleep(0.01)
        yield data[at : at + 8]


def _long(pieces: int, text: bytes, pause: float) -> Iterator[Step]:
    """A stream of so many pieces; the buffers of a connection hold some megabytes before anybody is held up."""
    yield STREAM
    for _ in range(pieces):
        yield chunk(delta(text.decode()))
        time.sleep(pause)
    yield END
