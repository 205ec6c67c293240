"""Forms: what stands where, one field replaced, and everything refused that two readers could read differently."""

import contextlib
from email import message_from_bytes
from email.message import Message
from email.policy import HTTP
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.errors import WireError
from komeet.wire.multipart import MAX_FIELDS, Form, is_form, read_form

KIND = b"multipart/form-data; boundary=b0"


def part(name: str, content: bytes, *, more: str = "", boundary: bytes = b"b0") -> bytes:
    head = f'content-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
    return b"--" + boundary + b"\r\n" + head + content + b"\r\n"


def form(*parts: bytes, boundary: bytes = b"b0") -> bytes:
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


def read(body: bytes, kind: bytes = KIND) -> Form:
    return read_form(body, kind)


def test_fields_stand_where_they_are() -> None:
    body = form(part("model", b"m"), part("file", b"\x00\r\n--b\r\n", more='; filename="a.wav"'), part("prompt", b""))
    found = read(body)
    assert [(each.name, each.file, found.content(each)) for each in found.fields] == [
        ("model", False, b"m"),
        ("file", True, b"\x00\r\n--b\r\n"),
        ("prompt", False, b""),
    ]
    assert (found.text("model"), found.text("prompt"), found.text("none")) == ("m", "", None)


NAMES = st.text(st.characters(codec="ascii", exclude_characters='"\\', categories=["L", "N", "P"]), min_size=1)
CONTENTS = st.lists(st.tuples(NAMES, st.binary(max_size=200), st.booleans()), min_size=1, max_size=6)


@given(CONTENTS)
def test_it_reads_what_the_library_of_python_reads(fields: list[tuple[str, bytes, bool]]) -> None:
    """A reader of another make finds the same names and bytes."""
    boundary = b"----0123456789abcdef"
    parts = [part(n, c, more='; filename="f"' if f else "", boundary=boundary) for n, c, f in fields]
    body = form(*parts, boundary=boundary)
    found = read(body, b"multipart/form-data; boundary=" + boundary)
    assert [(each.name, found.content(each), each.file) for each in found.fields] == fields
    head = b"content-type: multipart/form-data; boundary=" + boundary + b"\r\n\r\n"
    other: Any = message_from_bytes(head + body, policy=HTTP).get_payload()
    assert [each.get_param("name", header="content-disposition") for each in other] == [n for n, _, _ in fields]
    assert [_bytes(each) for each in other if all(b not in c for _, c, _ in fields for b in b"\r\n")] in (
        [],
        [c for _, c, _ in fields],
    )


def _bytes(message: Message) -> bytes:
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@given(CONTENTS, st.text(max_size=40))
def test_one_field_is_replaced_and_every_other_byte_stays(fields: list[tuple[str, bytes, bool]], text: str) -> None:
    before = b"".join([part(n + "x", c) for n, c, _ in fields])
    after = b"".join([part("y" + n, c) for n, c, _ in fields])
    with contextlib.suppress(WireError):  # where a content happens to hold the boundary, or the text would
        body = form(before, part("model", b"asked"), after)
        changed = read(body).replaced("model", text)
        assert changed == form(before, part("model", text.encode()), after)
        again = read(changed)
        assert again.text("model") == text
        assert len(again.fields) == len(read(body).fields)


@pytest.mark.parametrize("text", ["--b0", "--b0--", "a\r\n--b0\r\nx", "a\r\n--b0--"])
def test_a_text_cannot_end_its_field(text: str) -> None:
    with pytest.raises(WireError):
        read(form(part("model", b"asked"))).replaced("model", text)


BROKEN: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("a preamble", b"hello\r\n" + form(part("a", b""))),
    ("text behind the end", form(part("a", b"")) + b"more"),
    ("no end", part("a", b"")),
    ("cut within the end", form(part("a", b""))[:-4]),
    ("something behind a boundary", form(part("a", b"")).replace(b"--b0\r\n", b"--b0 \r\n")),
    ("a longer boundary in the content", form(part("a", b"x\r\n--b0y"))),
    ("lines that end in LF", form(part("a", b"")).replace(b"\r\n", b"\n")),
    ("no head", b"--b0\r\n\r\nx\r\n--b0--\r\n"),
    ("no content", b"--b0\r\n--b0--\r\n"),
    ("a head that runs into the end", b'--b0\r\ncontent-disposition: form-data; name="a"\r\n\r\n--b0--\r\n'),
    ("a folded line", form(b'--b0\r\ncontent-disposition: form-data;\r\n name="a"\r\n\r\nx\r\n')),
    ("two names", form(part("a", b"", more='; name="b"'))),
    ("two heads", form(part("a", b"").replace(b"\r\n\r\n", b'\r\nContent-Disposition: form-data; name="b"\r\n\r\n'))),
    ("another name for other readers", form(part("a", b"", more="; name*=utf-8''b"))),
    ("a name with escapes", form(part('mo\\"del', b""))),
    ("no name", form(b"--b0\r\ncontent-disposition: form-data\r\n\r\nx\r\n")),
    ("an empty name", form(part("", b""))),
    ("not of a form", form(b'--b0\r\ncontent-disposition: attachment; name="a"\r\n\r\nx\r\n')),
    ("a name that is not UTF-8", form(part("a", b"")).replace(b'"a"', b'"\xff"')),
    ("an encoded part", form(part("a", b"").replace(b"\r\n\r\n", b"\r\ncontent-transfer-encoding: base64\r\n\r\n"))),
    ("a long head", form(part("a", b"", more="; x=" + "y" * 9000))),
    ("too many fields", form(*[part("a", b"")] * (MAX_FIELDS + 1))),
]


@pytest.mark.parametrize("body", [body for _, body in BROKEN], ids=[name for name, _ in BROKEN])
def test_what_could_be_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as refused:
        read(body)
    assert refused.value.error_code in ("invalid_form", "too_many_fields")


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=b0; boundary=b1",
        b"multipart/form-data; boundary=" + b"b" * 71,
        b'multipart/form-data; boundary="b0 "',
        b"multipart/form-data; boundary=b0, multipart/form-data; boundary=b1",
    ],
)
def test_a_boundary_is_named_once(kind: bytes) -> None:
    assert is_form(kind)
    with pytest.raises(WireError):
        read(form(part("a", b"")), kind)


@pytest.mark.parametrize(
    "kind", [b'Multipart/Form-Data;charset=utf-8; boundary="b0"', b"multipart/form-data;boundary=b0;"]
)
def test_a_boundary_is_read_as_it_may_be_written(kind: bytes) -> None:
    assert read(form(part("a", b"x")), kind).content_type == KIND


def test_a_boundary_with_spaces_stays_quoted() -> None:
    body = form(part("a", b"x", boundary=b"a b"), boundary=b"a b")
    assert read(body, b'multipart/form-data; boundary="a b"').content_type == b'multipart/form-data; boundary="a b"'


def test_fields_that_are_read_are_there_once_and_are_texts() -> None:
    with pytest.raises(WireError, match="more than once"):
        read(form(part("model", b"a"), part("model", b"b"))).text("model")
    with pytest.raises(WireError, match="got a file"):
        read(form(part("model", b"a", more='; filename="x"'))).text("model")
    with pytest.raises(WireError, match="UTF-8"):
        read(form(part("model", b"\xff"))).text("model")
    with pytest.raises(WireError, match="cannot be written"):
        read(form(part("a", b""))).replaced("model", "x")


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_anything_is_a_form_or_a_mistake(body: bytes, kind: bytes) -> None:
    for each in (body, b"--b0\r\n" + body, form(part("a", body))):
        with contextlib.suppress(WireError):
            found = read(each, KIND)
            assert all(0 < field.start <= field.end <= len(each) for field in found.fields)
        with contextlib.suppress(WireError):
            read(each, b"multipart/form-data" + kind)
