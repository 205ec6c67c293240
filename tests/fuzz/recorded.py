"""Shapes of real traffic to begin with, where there are recordings: their members, without what was said in them."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from tests.wire.matrix.test_recordings import ALL, format_of
from tests.wire.recordings import Recording

_WORD: Final = re.compile(r"[a-z_./:-]{1,40}|[A-Z_]{1,40}")
_MOST: Final = 150
"""Shapes of one target."""
_LARGEST: Final = 2500
_NUMBERS: Final = 10_000


def shapes(name: str) -> Iterator[bytes]:
    """Yield inputs for a target whose format was recorded; no shape twice."""
    role, _, wire = name.partition("_")
    found: dict[str, bytes] = {}
    for number, recording in enumerate(ALL):
        if format_of(recording) != wire or role not in ("asks", "answers"):
            continue
        options = b"%d%d%d%d%d\n" % (number % 6, number % 5, number % 8, number % 2, number % 9)
        made = _request(recording, wire) if role == "asks" else _answer(recording, number)
        data = (options if role == "asks" else b"") + made
        if len(data) <= _LARGEST:
            found.setdefault(re.sub(rb'"[^"]*"|\d+', b"", made).decode(), data)
    yield from list(found.values())[:_MOST]


def _request(recording: Recording, wire: str) -> bytes:
    place = b"/v1beta/models/m:generateContent\n" if wire == "gemini" else b""
    return place + _shrunk(bytes(recording.request))


def _answer(recording: Recording, number: int) -> bytes:
    body = recording.body
    mode = 1 if recording.streamed else 0
    options = b"%d%d%d%d%d\n" % (mode, number % 5, number // 5 % 4, number % 2, number % 9)
    if not recording.streamed:
        return options + _shrunk(body)
    blocks = re.split(rb"\r?\n\r?\n", body)
    few = blocks if len(blocks) <= 8 else [*blocks[:4], *blocks[-4:]]
    return options + b"\n\n".join([b"\n".join([_line(line) for line in block.splitlines()]) for block in few])


def _line(line: bytes) -> bytes:
    name, colon, value = line.partition(b": ")
    return b"data: " + _shrunk(value) if name == b"data" and value[:1] == b"{" else name + colon + value


def _shrunk(text: bytes) -> bytes:
    try:
        return json.dumps(_without_words(json.loads(text)), separators=(",", ":")).encode()
    except ValueError:
        return b"{}"


def _without_words(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_words(inside) for key, inside in cast("dict[str, Any]", value).items()}
        case list():
            return [_without_words(inside) for inside in cast("list[Any]", value)[:2]]
        case str():
            return value if _WORD.fullmatch(value) else "data:image/png;base64,AAAA" if value[:5] == "data:" else "x y"
        case int() if value > _NUMBERS:
            return 7
        case _:
            return value
