"""Members of this format's objects, and what it calls itself; each may be written in camelCase or in snake_case.

Google reads protobuf's JSON, in which `max_output_tokens` and `maxOutputTokens` are the same member. They are asked for
by the second name here; what is left over keeps the name that it had.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Final, TypeVar

from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.core.errors import WireError
from komeet.wire import members
from komeet.wire.members import NULL, OBJECT

ORIGIN: Final = "gemini"
"""What this format calls itself in extras, seals and opaque parts."""

_CAPITAL: Final = re.compile(r"[A-Z]")

_T = TypeVar("_T")


@lru_cache(maxsize=256)
def snake(name: str) -> str:
    """Return the other name of a member: `max_output_tokens`."""
    return _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", name)


def written_name(fields: Mapping[str, object], name: str) -> str:
    """Return the name under which `fields` has a member; `name` itself where it has none."""
    if name in fields:
        return name
    other = snake(name)
    return other if other in fields else name


def missing(path: str) -> WireError:
    """Return the error for a member that must be there."""
    return WireError(f"* GenerateContentRequest.{path}: required field is not set", param=path, code="missing_field")


def wrong_type(path: str, expected: str) -> WireError:
    """Return the error for a member of the wrong type; `expected` is the right one, with its article."""
    return WireError(f"Invalid value at '{path}': expected {expected}.", param=path, code="invalid_type")


def read(raw: Raw | None, decoder: Decoder[_T | None], path: str, expected: str) -> _T | None:
    """Return the value of a member; None where it is absent or null.

    Raises:
        WireError: 400, it is of another type; `expected` says which one is right.
    """
    try:
        return members.read(raw, decoder, path, expected)
    except (WireError, UnicodeDecodeError):
        raise wrong_type(path, expected) from None


def object_of(raw: Raw, path: str) -> "Members":
    """Return the members of an object in an array.

    Raises:
        WireError: 400, it is none.
    """
    found = read(raw, OBJECT, path, "an object")
    if found is None:
        raise wrong_type(path, "an object")
    return Members(found, path)


class Members(members.Members):
    """Members of an object of this format, by either name."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN

    def raw(self, name: str) -> Raw | None:
        """Take a member out as it is; None where it is absent or null."""
        return super().raw(written_name(self._left, name))

    def take(self, name: str, decoder: Decoder[_T | None], expected: str) -> _T | None:
        """Take a member out; None where it is absent or null.

        Raises:
            WireError: 400, it is of another type.
        """
        return read(self.raw(name), decoder, self.path(name), expected)

    @staticmethod
    def absent(path: str) -> WireError:
        """Return the error for a member that must be there."""
        return missing(path)

    def fitting(self, name: str, decoder: Decoder[_T | None]) -> _T | None:
        """Take a member out if it is of the type, else leave it where it is."""
        return super().fitting(written_name(self._left, name), decoder)

    def peek(self, name: str) -> Raw | None:
        """Return a member and leave it where it is."""
        return super().peek(written_name(self._left, name))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is left and says anything."""
        return tuple([name for name, value in self._left.items() if value != NULL])

    @property
    def empty(self) -> bool:
        """Whether nothing is left that says anything."""
        return not self.names


def place(name: str) -> str:
    """Return the origin of extras that stood in the member `name`."""
    return f"{ORIGIN}.{name}"


def own(extras: Extras, name: str = "") -> dict[str, Raw]:
    """Return what this format has to say again, of itself or of the place `name`."""
    return {member: value for member, value in extras.get(place(name) if name else ORIGIN, {}).items() if value != NULL}


def signed(name: str) -> Extras:
    """Return a sign that only this format reads; it is no loss to another, since a null says nothing."""
    return {place("sign"): {name: NULL}}


def has_sign(extras: Extras, name: str) -> bool:
    """Whether `signed` was said of it."""
    return name in extras.get(place("sign"), {})


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)
