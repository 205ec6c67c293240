"""Bounded JSON: what it takes is exactly what the RFC calls an object, and no reader can read it in two ways."""

import json
from typing import NoReturn, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from komeet.core.errors import WireError
from komeet.wire.json import MAX_CONTAINERS, MAX_DEPTH, MAX_FIELDS, encode_object, parse_object

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | None"

KEYS = st.text(max_size=6) | st.sampled_from(["model", "messages", "a", "[", '"', "\\"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.text(alphabet='[]{}"\\,:\n', max_size=20)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
SPELLINGS = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"ensure_ascii": False},
        {"ensure_ascii": False, "separators": (",", ":")},
    ]
)


class _NotAllowed(ValueError):
    pass


def _constant(name: str) -> NoReturn:
    raise _NotAllowed(name)


def _depth(value: Json) -> int:
    match value:
        case dict():
            return 1 + max([_depth(inner) for inner in value.values()], default=0)
        case list():
            return 1 + max([_depth(inner) for inner in value], default=0)
        case _:
            return 0


def _strings(value: Json) -> str:
    match value:
        case str():
            return value
        case dict():
            return "".join([key + _strings(inner) for key, inner in value.items()])
        case list():
            return "".join([_strings(inner) for inner in value])
        case _:
            return ""


def _oracle(body: bytes) -> dict[str, Json] | None:
    """What the standard library makes of `body`, made strict; None: it is to be refused."""
    counts: list[int] = []

    def pairs(members: list[tuple[str, Json]]) -> dict[str, Json]:
        counts.append(len(members))  # the last call is for the top level
        for name, inner in members:  # those that a later one replaces, too
            (name + _strings(inner)).encode("utf-8")
        return dict(members)

    try:
        value: Json = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=pairs,
            parse_constant=_constant,
            parse_int=str,
            parse_float=str,
        )
        _strings(value).encode("utf-8")
    except ValueError:
        return None
    if not isinstance(value, dict) or counts[-1] != len(value) or _depth(value) > MAX_DEPTH:
        return None
    return value


def _agree(body: bytes) -> None:
    expected = _oracle(body)
    try:
        fields = parse_object(body)
    except WireError as error:
        assert expected is None, f"{body!r} was refused: {error.message}"
        assert error.http_status == 400
        return
    assert expected is not None, f"{body!r} was taken"
    assert list(fields) == list(expected)
    for name, raw in fields.items():
        assert json.loads(bytes(raw), parse_int=str, parse_float=str) == expected[name]


@settings(deadline=None)
@given(OBJECTS, SPELLINGS)
def test_every_spelling_of_an_object_is_taken(value: dict[str, Json], spelling: dict[str, object]) -> None:
    body = json.dumps(value, **spelling).encode()  # pyright: ignore[reportArgumentType] - a table of keyword arguments
    fields = parse_object(body)
    assert {name: json.loads(bytes(raw)) for name, raw in fields.items()} == value
    assert json.loads(encode_object(fields)) == value


@settings(deadline=None, max_examples=250)
@given(OBJECTS, SPELLINGS, st.data())
def test_a_broken_object_is_judged_as_the_standard_library_judges(
    value: dict[str, Json], spelling: dict[str, object], data: st.DataObject
) -> None:
    body = bytearray(json.dumps(value, **spelling).encode())  # pyright: ignore[reportArgumentType]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b",", b"[", b"}", b"\\ud800", b"\xff"]))
        body[at : at + data.draw(st.integers(0, 2))] = piece
    _agree(bytes(body))


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"{}")
@example(b' {"a" : 1 } ')
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":NaN}')
@example(b'{"a":-Infinity}')
@example(b'{"a":01}')
@example(b'{"a":1}\x00')
def test_garbage_is_refused_and_nothing_else_escapes(body: bytes) -> None:
    _agree(body)


@settings(deadline=None)
@given(OBJECTS.filter(bool), st.data())
def test_a_name_that_appears_twice_is_refused_however_it_is_written(
    value: dict[str, Json], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 and data.draw(st.booleans()) else json.dumps(letter)[1:-1]
        for letter in name
    )
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    rest = json.dumps(value, separators=separators)
    body = f'{{"{escaped}"{separators[1]}0{separators[0]}{rest[1:]}'.encode()
    with pytest.raises(WireError) as refused:
        parse_object(body)
    assert refused.value.error_code == "duplicate_field"
    assert refused.value.param == name


TRICKY = [
    '"plain"',
    r'"\"[[[["',
    r'"\\"',
    r'"\\\\\"}}}{{{"',
    '"]"',
    '["]", "", "[", []]',
    '{"[": "]", "": {"}": "{"}}',
    "[[],[[],[]],{}]",
]


@pytest.mark.parametrize("padding", [0, 70_000, 5 << 20], ids=["small", "large", "larger than 4 MiB"])
@pytest.mark.parametrize("shape", ["array", "messages", "object"])
def test_the_depth_is_exact(padding: int, shape: str) -> None:
    filler = json.dumps("[" * (padding // 2) + "x" * (padding // 2))
    for noise in TRICKY:
        extra = _depth(json.loads(noise))
        for depth, taken in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
            match shape:
                case "array":
                    levels = depth - 2 - extra
                    inner = f"[{noise},{'[' * levels}{noise}{']' * levels},{filler}]"
                case "messages":
                    levels = depth - 3 - extra
                    inner = f'[{{"content":{filler}}},{{"content":{"[" * levels}{noise}{"]" * levels},"x":{noise}}}]'
                case _:
                    levels = depth - 2 - extra
                    inner = f'{{"p":{filler},"q":{"[" * levels}{noise}{"]" * levels}}}'
            body = f'{{"a":{noise},"messages":{inner}}}'.encode()
            assert _depth(json.loads(body)) == depth
            if taken:
                assert set(parse_object(body)) == {"a", "messages"}
            else:
                with pytest.raises(WireError) as refused:
                    parse_object(body)
                assert refused.value.error_code == "nested_too_deeply"


@settings(deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([0, 70_000]))
def test_depth_is_exact_around_any_value(value: Json, fits: bool, padding: int) -> None:
    levels = MAX_DEPTH - 1 - _depth(value) + (0 if fits else 1)
    body = f'{{"a":{"[" * levels}{json.dumps(value)}{"]" * levels},"b":"{"x" * padding}"}}'.encode()
    if fits:
        parse_object(body)
    else:
        with pytest.raises(WireError):
            parse_object(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"[]", "invalid_json"),
        (b'"x"', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b'{"a":1,}', "invalid_json"),
        (b'{"a":1}{}', "invalid_json"),
        (b'{"a":NaN}', "invalid_json"),
        (b'{"a":"\\udc00"}', "invalid_json"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"a":' + b"[" * 500_000, "nested_too_deeply"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "nested_too_deeply"),
    ],
)
def test_the_reason_is_named(body: bytes, code: str) -> None:
    with pytest.raises(WireError) as refused:
        parse_object(body)
    assert refused.value.error_code == code
    assert "Input data" not in refused.value.message


def test_the_message_says_where() -> None:
    with pytest.raises(WireError, match=r"trailing comma in object \(byte 7\)"):
        parse_object(b'{"a":1,}')
    with pytest.raises(WireError, match=r"not valid UTF-8 \(byte 6\)"):
        parse_object(b'{"a":"\xff"}')


def test_a_large_object_has_a_bounded_number_of_members() -> None:
    padding = "x" * 70_000
    fields = {f"f{i}": 0 for i in range(MAX_FIELDS - 1)}
    assert len(parse_object(json.dumps({**fields, "p": padding}).encode())) == MAX_FIELDS
    with pytest.raises(WireError) as refused:
        parse_object(json.dumps({**fields, "p": padding, "q": 0}).encode())
    assert refused.value.error_code == "too_many_fields"


@pytest.mark.parametrize(
    "piece", [b"[]", b'"["', b'["["]', b"[" * 100 + b"]" * 100, b'"\\"', b'{"":1}'], ids=lambda piece: repr(piece[:12])
)
def test_hostile_bodies_are_bounded(piece: bytes) -> None:
    """Millions of containers, quotes and escapes: refused, or read; nothing worse."""
    if piece == b'"\\"':
        body = b'{"a":"' + b'\\"' * 4_000_000 + b'"}'
    else:
        body = b'{"a":[' + b",".join([piece] * (8_000_000 // (len(piece) + 1))) + b"]}"
    containers = 1 + body.count(b"]") + body.count(b"}")
    try:
        fields = parse_object(body)
    except WireError as error:
        assert error.error_code == "too_many_values"
        assert containers > MAX_CONTAINERS
    else:
        assert list(fields) == ["a"]


def test_order_and_spelling_of_values_are_kept() -> None:
    body = b'{"z": 1.10, "a": {"y":2,"x" : [ 1 ]}, "m": "\\u00e9"}'
    fields = parse_object(body)
    assert encode_object({**fields, "z": Raw(b"1.1")}) == b'{"z":1.1,"a":{"y":2,"x" : [ 1 ]},"m":"\\u00e9"}'
