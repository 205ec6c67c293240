"""Bounded multipart/form-data (RFC 7578): where each field stands in a body, and one of them replaced.

What two readers could read differently is refused: a preamble, text behind the end, folded lines, encoded parts, names
with escapes, something else behind a boundary than the end of its line. A provider that found another `model` in the
same bytes would run one that was not priced.
"""

import re
from typing import Final

from msgspec import Struct

from komeet.core.errors import WireError

MAX_FIELDS: Final = 256
"""Parts of a body."""
MAX_HEAD: Final = 8192
"""Bytes of the lines above a part's content."""
TYPE: Final = b"multipart/form-data"

_CRLF: Final = b"\r\n"
_TOKENS: Final = rb"[!#$%&'+.^_`|~0-9a-z-]+"
_TYPE_LINE: Final = re.compile(
    rb"multipart/form-data((?:[ \t]*;[ \t]*%b=(?:\"[^\"\\\r\n]*\"|[^\s\";]+))*)[ \t]*;?[ \t]*" % _TOKENS, re.IGNORECASE
)
_TYPE_PARAMETER: Final = re.compile(rb"[ \t]*;[ \t]*([^=]+)=(?:\"([^\"]*)\"|([^\s\";]+))")
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_TOKEN: Final = re.compile(rb"[0-9A-Za-z'+_.-]+")
_LINE: Final = re.compile(rb"([!#$%&'+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_VALUE: Final = rb"\"(?:[^\"\\]|\\.)*\"|%b" % _TOKENS
_DISPOSITION: Final = re.compile(rb"form-data((?:[ \t]*;[ \t]*%b\*?=(?:%b))*)[ \t]*" % (_TOKENS, _VALUE), re.IGNORECASE)
_PARAMETER: Final = re.compile(rb"[ \t]*;[ \t]*(%b\*?)=(%b)" % (_TOKENS, _VALUE), re.IGNORECASE)
_PLAIN_CODINGS: Final = frozenset({b"binary", b"8bit", b"7bit"})


class Field(Struct, frozen=True, kw_only=True):
    """One part of a form."""

    name: str
    file: bool
    """Whether it is named as a file."""
    start: int
    """Where its content begins in the body."""
    end: int


class Form(Struct, frozen=True, kw_only=True):
    """A body and what stands where in it."""

    body: bytes
    boundary: bytes
    fields: tuple[Field, ...]

    @property
    def content_type(self) -> bytes:
        """The media type under which the body is to be sent."""
        plain = _TOKEN.fullmatch(self.boundary)
        return TYPE + b"; boundary=" + (self.boundary if plain else b'"%b"' % self.boundary)

    def named(self, *names: str) -> tuple[Field, ...]:
        """Return the fields of these names, in their order."""
        return tuple([field for field in self.fields if field.name in names])

    def text(self, name: str) -> str | None:
        """Return the text of a field that may be there once; None: it is not.

        Raises:
            WireError: 400, it is there more than once, is a file, or is not UTF-8.
        """
        found = self.named(name)
        if not found:
            return None
        field, *others = found
        if others:
            raise WireError(f"The field {name!r} appears more than once.", param=name, code="duplicate_field")
        if field.file:
            raise WireError(f"Invalid type for '{name}': expected a text, got a file.", param=name, code="invalid_type")
        try:
            return self.content(field).decode()
        except UnicodeDecodeError:
            raise WireError(f"The field {name!r} is not valid UTF-8.", param=name, code="invalid_utf8") from None

    def content(self, field: Field) -> bytes:
        """Return the content of a field."""
        return self.body[field.start : field.end]

    def replaced(self, name: str, text: str) -> bytes:
        """Return the body with another text in the one field of this name; all other bytes are as they came.

        Raises:
            WireError: 400, there is not one such field, or the text would end it.
        """
        found = self.named(name)
        value = text.encode()
        if len(found) != 1 or _CRLF + b"--" + self.boundary in _CRLF + value:
            raise WireError(f"The field {name!r} cannot be written into this form.", param=name)
        return self.body[: found[0].start] + value + self.body[found[0].end :]


def is_form(content_type: bytes) -> bool:
    """Whether a body of this type is a form."""
    return content_type[: len(TYPE)].lower() == TYPE


def read_form(body: bytes, content_type: bytes) -> Form:
    """Return what stands where in a body, in one pass.

    Raises:
        WireError: 400, it is not a form that every reader would read alike.
    """
    boundary = _boundary(content_type)
    opening, delimiter = b"--" + boundary, _CRLF + b"--" + boundary
    if not body.startswith(opening + _CRLF):
        raise _broken("it does not begin with its boundary")
    fields: list[Field] = []
    start = len(opening) + 2
    while True:
        end = body.find(delimiter, start - 2)
        if end < 0:
            raise _broken("it ends before its last boundary")
        fields.append(_field(body, start, end))
        if len(fields) > MAX_FIELDS:
            raise WireError(f"The form has more than {MAX_FIELDS} fields.", code="too_many_fields")
        after = end + len(delimiter)
        mark = body[after : after + 2]
        if mark == b"--":
            if len(body) > after + 4 or body[after + 2 :] not in (b"", _CRLF):
                raise _broken("something follows its last boundary")
            return Form(body=body, boundary=boundary, fields=tuple(fields))
        if mark != _CRLF:
            raise _broken("a boundary is not alone on its line")
        start = after + 2


def _boundary(content_type: bytes) -> bytes:
    line = _TYPE_LINE.fullmatch(content_type)
    if line is None:
        raise _broken("its content-type cannot be read")
    found = [
        quoted or plain
        for name, quoted, plain in _TYPE_PARAMETER.findall(line.group(1))
        if name.strip().lower() == b"boundary"
    ]
    if len(found) != 1 or not _BOUNDARY.fullmatch(found[0]):
        raise _broken("its content-type does not name one boundary")
    return found[0]


def _field(body: bytes, start: int, end: int) -> Field:
    head = body.find(b"\r\n\r\n", start, min(start + MAX_HEAD, end))
    if head < 0 or head + 4 > end:
        raise _broken("a part has no head, or one that is too long")
    headers: dict[bytes, bytes] = {}
    for line in body[start:head].split(_CRLF):
        read = _LINE.fullmatch(line)
        if read is None or read.group(1).lower() in headers:
            raise _broken("the head of a part cannot be read")
        headers[read.group(1).lower()] = read.group(2).strip()
    if headers.get(b"content-transfer-encoding", b"binary").lower() not in _PLAIN_CODINGS:
        raise _broken("a part is encoded; send it as it is")
    name, file = _named(headers.get(b"content-disposition", b""))
    return Field(name=name, file=file, start=head + 4, end=end)


def _named(disposition: bytes) -> tuple[str, bool]:
    """Return the name of a field, and whether it is a file."""
    line = _DISPOSITION.fullmatch(disposition)
    if line is None:
        raise _broken("the name of a part cannot be read")
    told: dict[bytes, bytes] = {}
    for key, value in _PARAMETER.findall(line.group(1)):
        if key.lower() in told:
            raise _broken("a part has two names")
        told[key.lower()] = value[1:-1] if value.startswith(b'"') else value
    name = told.get(b"name", b"")
    if not name or b"name*" in told or b"\\" in name:
        raise _broken("a part has no name, or one with escapes")
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise _broken("the name of a part is not UTF-8") from None
    return text, b"filename" in told or b"filename*" in told


def _broken(why: str) -> WireError:
    return WireError(f"The body is not a form (multipart/form-data) that can be read: {why}.", code="invalid_form")
