"""Changes that bytes alone seldom make: JSON stays JSON, and events stay events, while what they say changes."""

import json
import random
from collections.abc import Iterable
from typing import Any, Final, cast

Json = Any

_WORDS: Final[tuple[Json, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**64,
    10**30,
    -0.5,
    1e308,
    "",
    "x",
    "\0",
    "\ud800",
    "\U0001f600",
    "AAAA",
    "data:image/png;base64,AAAA",
    "https://example.com/a.png?x",
    "{}",
    "[DONE]",
    [],
    {},
    [[]],
    [None],
    {"": None},
)
_DEPTHS: Final = (5, 60, 130, 1100)


class Mutator:
    """Makes one input of another; names and values come from the inputs to begin with."""

    def __init__(self, starts: Iterable[bytes]) -> None:
        names: dict[str, None] = {}
        values: list[Json] = list(_WORDS)
        for start in starts:
            for line in start.split(b"\n"):
                _collect(_read(_payload(line)[1]), names, values)
        self._names = list(names) or ["a"]
        self._values = values

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """Return `data` changed in one to three places, no longer than `most`."""
        rng = random.Random(seed)
        for _ in range(rng.randint(1, 3)):
            lines = data.split(b"\n")
            changed = b"\n".join(self._lines(lines, rng))
            if len(changed) <= most:
                data = changed
        return data

    def _lines(self, lines: list[bytes], rng: random.Random) -> list[bytes]:
        spoken = [at for at, line in enumerate(lines) if _payload(line)[1][:1] in (b"{", b"[")]
        how = rng.random()
        if spoken and how < 0.75:
            at = rng.choice(spoken)
            prefix, text = _payload(lines[at])
            found = _read(text)
            if found is not None:
                changed = self._value(found, rng)
                lines[at] = prefix + json.dumps(changed, ensure_ascii=rng.random() < 0.9, separators=(",", ":")).encode(
                    "utf-8", "surrogatepass"
                )
            return lines
        if how < 0.85 or len(lines) < 3:
            line = bytearray(lines[0])
            at = rng.randrange(len(line) + 1)
            line[at : at + 1] = bytes([rng.randrange(ord("0"), ord("<"))])
            return [bytes(line), *lines[1:]]
        return _moved(lines, rng)

    def _value(self, value: Json, rng: random.Random) -> Json:
        """Change a value, or something inside of it."""
        match value:
            case dict() if value and rng.random() < 0.9:
                return self._object(cast("dict[str, Json]", value), rng)
            case list() if value and rng.random() < 0.9:
                return self._array(cast("list[Json]", value), rng)
            case str() if value and rng.random() < 0.3:
                at = rng.randrange(len(value))
                return value[:at] + rng.choice(("", "\0", " ", "é", "\ud83d", value)) + value[at + rng.randint(0, 1) :]
            case _:
                return self._fresh(rng)

    def _object(self, value: dict[str, Json], rng: random.Random) -> Json:
        value = dict(value)
        name = rng.choice(list(value))
        how = rng.random()
        if how < 0.65:
            value[name] = self._value(value[name], rng)
        elif how < 0.75:
            del value[name]
        elif how < 0.9:
            value[rng.choice(self._names)] = self._fresh(rng)
        else:
            value[rng.choice(self._names)] = value.pop(name)
        return value

    def _array(self, value: list[Json], rng: random.Random) -> Json:
        value = list(value)
        at = rng.randrange(len(value))
        how = rng.random()
        if how < 0.65:
            value[at] = self._value(value[at], rng)
        elif how < 0.75:
            del value[at]
        elif how < 0.85:
            value.insert(rng.randrange(len(value) + 1), value[at])
        else:
            value.insert(at, self._fresh(rng))
        return value

    def _fresh(self, rng: random.Random) -> Json:
        if rng.random() < 0.02:
            depth = rng.choice(_DEPTHS)
            return json.loads("[" * min(depth, 900) + "]" * min(depth, 900))
        return rng.choice(self._values)


def _moved(lines: list[bytes], rng: random.Random) -> list[bytes]:
    """Leave out, repeat or exchange a block of lines, as an event of a stream is one."""
    start = rng.randrange(1, len(lines))
    end = min(len(lines), start + rng.choice((1, 2, 3)))
    match rng.randrange(3):
        case 0:
            return lines[:start] + lines[end:]
        case 1:
            return lines[:end] + lines[start:]
        case _:
            other = rng.randrange(1, len(lines))
            lines[start], lines[other] = lines[other], lines[start]
            return lines


def _payload(line: bytes) -> tuple[bytes, bytes]:
    """Return what stands before the JSON of a line, and the JSON."""
    for prefix in (b"data: ", b"data:"):
        if line.startswith(prefix):
            return prefix, line[len(prefix) :]
    return b"", line


def _read(text: bytes) -> Json:
    if text[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def _collect(value: Json, names: dict[str, None], values: list[Json]) -> None:
    """Take the names and the values that inputs have: among them are those that mean something."""
    match value:
        case dict():
            for name, inside in cast("dict[str, Json]", value).items():
                names.setdefault(name)
                _collect(inside, names, values)
        case list():
            for inside in cast("list[Json]", value):
                _collect(inside, names, values)
        case _:
            pass
    if value is not None and len(json.dumps(value)) < 400 and value not in values:
        values.append(value)
