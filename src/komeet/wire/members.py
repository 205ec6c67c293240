"""Members of JSON objects, read one by one with the path of every mistake, in OpenAI's words.

Each format has a class of its own, which names the origin of what is left over.
"""

from typing import ClassVar, Final, Self, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.core.errors import Unrepresentable, WireError

NULL: Final = Raw(b"null")

STRING: Final[Decoder[str | None]] = Decoder(str | None)
BOOL: Final[Decoder[bool | None]] = Decoder(bool | None)
INT: Final[Decoder[int | None]] = Decoder(int | None)
NUMBER: Final[Decoder[float | None]] = Decoder(float | None)
STRINGS: Final[Decoder[list[str] | None]] = Decoder(list[str] | None)
OBJECT: Final[Decoder[dict[str, Raw] | None]] = Decoder(dict[str, Raw] | None)
OBJECTS: Final[Decoder[list[dict[str, Raw]] | None]] = Decoder(list[dict[str, Raw]] | None)
ARRAY: Final[Decoder[list[Raw] | None]] = Decoder(list[Raw] | None)

_NOT_MISSED: Final = frozenset({"id", "status", "type", "object", "index"})
"""Members that name a thing and ask for nothing."""

_T = TypeVar("_T")
_GOT: Final = {
    b'"': "a string",
    b"[": "an array",
    b"{": "an object",
    b"t": "a boolean",
    b"f": "a boolean",
    b"n": "null",
}


def read(raw: Raw | None, decoder: Decoder[_T | None], path: str, expected: str) -> _T | None:
    """Return the value of a member; None where it is absent or null.

    Raises:
        WireError: 400, it is of another type; `expected` says which one is right.
    """
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong_type(path, expected, raw) from None


def missing(path: str) -> WireError:
    """Return the error for a member that must be there."""
    return WireError(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def wrong_type(path: str, expected: str, raw: Raw) -> WireError:
    """Return the error for a member of the wrong type."""
    first = bytes(raw)[:1]
    got = _GOT.get(first, "another number")
    if got == expected:
        got = "one with other members"
    return WireError(
        f"Invalid type for '{path}': expected {expected}, but got {got} instead.", param=path, code="invalid_type"
    )


class Members:
    """The members of one object, taken out as they are understood; what is left over are extras."""

    __slots__ = ("_left", "_path")

    origin: ClassVar[str]
    """What the format calls itself in extras, seals and opaque parts."""

    def __init__(self, members: dict[str, Raw], path: str = "") -> None:
        self._left = dict(members)
        self._path = path

    @staticmethod
    def absent(path: str) -> WireError:
        """Return the error for a member that must be there, in the words of the format."""
        return missing(path)

    def path(self, name: str) -> str:
        """Return the path of a member."""
        return f"{self._path}.{name}" if self._path else name

    def raw(self, name: str) -> Raw | None:
        """Take a member out as it is; None where it is absent or null."""
        raw = self._left.pop(name, NULL)
        return None if raw == NULL else raw

    def take(self, name: str, decoder: Decoder[_T | None], expected: str) -> _T | None:
        """Take a member out; None where it is absent or null.

        Raises:
            WireError: 400, it is of another type.
        """
        return read(self._left.pop(name, None), decoder, self.path(name), expected)

    def text(self, name: str) -> str | None:
        """Take a string out."""
        return self.take(name, STRING, "a string")

    def need(self, name: str) -> str:
        """Take a string out that must be there."""
        value = self.text(name)
        if value is None:
            raise self.absent(self.path(name))
        return value

    def within(self, name: str) -> Self | None:
        """Take an object out, as members of its own."""
        members = self.take(name, OBJECT, "an object")
        return None if members is None else type(self)(members, self.path(name))

    def inside(self, name: str) -> Self:
        """Take an object out that must be there."""
        members = self.within(name)
        if members is None:
            raise self.absent(self.path(name))
        return members

    def fitting(self, name: str, decoder: Decoder[_T | None]) -> _T | None:
        """Take a member out if it is of the type, else leave it where it is."""
        raw = self._left.get(name)
        if raw is None or raw == NULL:
            return None
        try:
            value = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        del self._left[name]
        return value

    def fitting_text(self, name: str) -> str:
        """Take a member out if it is a string, else leave it where it is and return an empty one."""
        return self.fitting(name, STRING) or ""

    def peek(self, name: str) -> Raw | None:
        """Return a member and leave it where it is."""
        return self._left.get(name)

    def left(self, name: str = "") -> Extras:
        """Return what was not taken, as extras of the format, or of the place `name` in it."""
        return {f"{self.origin}.{name}" if name else self.origin: dict(self._left)} if self._left else {}


def merged(*extras: Extras) -> Extras:
    """Return extras of several places as one."""
    return {origin: members for some in extras for origin, members in some.items()}


_CONTENT: Final = ("cachedContent", "cached_content", "prompt")
"""Members of a request that stand for a part of the prompt, which a provider keeps."""


def foreign(extras: Extras, path: str, origin: str) -> list[Loss]:
    """Return the loss of what only a format other than `origin` understands; ids and states are not missed.

    Raises:
        Unrepresentable: 422, a member of the request that stands for content, which is not left out.
    """
    for where, members in extras.items():
        content = [] if path or where == origin else [name for name in _CONTENT if members.get(name, NULL) != NULL]
        if content:
            raise Unrepresentable(
                f"{content[0]} stands for content that only the format {where} knows how to find.", param=content[0]
            )
    return [
        Loss(f"{path}.{name}" if path else name, f"only the format {where} has it")
        for where, members in extras.items()
        if where.partition(".")[0] != origin
        for name, value in members.items()
        if name not in _NOT_MISSED and value != NULL
    ]
