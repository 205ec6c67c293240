"""Bounded JSON, as every request is read with."""

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.fuzz.target import Target

from komeet.core.errors import WireError
from komeet.wire.json import MAX_DEPTH, encode_object, parse_object

_CODES: Final = frozenset(
    {
        "empty_body",
        "invalid_json",
        "invalid_utf8",
        "nested_too_deeply",
        "too_many_fields",
        "too_many_values",
        "duplicate_field",
    }
)


def documents(data: bytes) -> None:
    """Read a JSON object; Python's own parser must find the same members in it, and no name twice."""
    try:
        fields = parse_object(data)
    except WireError as error:
        assert error.error_code in _CODES, error.error_code
        return
    pairs: list[tuple[str, Any]] = json.loads(data.decode(), object_pairs_hook=list, **_NUMBERS)
    assert [name for name, _ in pairs] == list(fields), "other names"
    assert len({name for name, _ in pairs}) == len(pairs), "a name is there twice"
    for name, value in pairs:
        assert json.loads(bytes(fields[name]), object_pairs_hook=list, **_NUMBERS) == value
    assert _depth(data) <= MAX_DEPTH
    written = encode_object(fields)
    assert parse_object(written) == fields
    assert encode_object(parse_object(written)) == written


_NUMBERS: Final[dict[str, Any]] = {"parse_int": str, "parse_float": str}


def _depth(text: bytes) -> int:
    """Count levels, letter by letter."""
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            if escaped:
                escaped = False
            elif letter == 0x5C:
                escaped = True
            elif letter == 0x22:
                quoted = False
        elif letter == 0x22:
            quoted = True
        elif letter in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in b"]}":
            depth -= 1
    return deepest


def _starts() -> Iterator[bytes]:
    yield b""
    yield b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    yield b' {"a" : 1.5e3 , "b":[true,false,null] ,"\\u0061b":"\\ud83d\\ude00\\n" }\r\n'
    yield b'{"model":"a","mod\\u0065l":"b"}'
    yield b'{"a":"\xc3\xa4\xf0\x9f\x98\x80","b":"\xff"}'
    yield b'{"a":' + b"[" * 127 + b"]" * 127 + b"}"
    yield b'{"a":' + b"[" * 128 + b"]" * 128 + b"}"
    yield b'{"a":"' + b"[{" * 100 + b'\\"\\\\"}'
    yield b'\xef\xbb\xbf{"a":1}'
    yield b'{"a":-0,"b":1E400,"c":123456789012345678901234567890}'
    yield b'{"a":{"b":{"a":{}}},"c":[[],[{}]]}'
    yield b"[1]"
    yield b'{"a":"\\ud800"}'


JSON: Final = Target(
    name="json",
    holds="the JSON of every request: Python's own parser finds the same members, none of them twice, none too deep;"
    " written again it is the same",
    run=documents,
    starts=_starts,
)
