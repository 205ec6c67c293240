"""Members of this format's objects, and what it calls itself; mistakes are told in Anthropic's words."""

from typing import ClassVar, Final, TypeVar

from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.core.errors import WireError
from komeet.wire import members
from komeet.wire.members import NULL

ORIGIN: Final = "anthropic_messages"
"""What this format calls itself in extras, seals and opaque parts."""

_T = TypeVar("_T")


def missing(path: str) -> WireError:
    """Return the error for a member that must be there."""
    return WireError(f"{path}: Field required", param=path, code="missing_required_parameter")


def wrong_type(path: str, expected: str) -> WireError:
    """Return the error for a member of the wrong type; `expected` is the right one, with its article."""
    return WireError(f"{path}: Input should be {expected}", param=path, code="invalid_type")


def read(raw: Raw | None, decoder: Decoder[_T | None], path: str, expected: str) -> _T | None:
    """Return the value of a member; None where it is absent or null.

    Raises:
        WireError: 400, it is of another type; `expected` says which one is right.
    """
    try:
        return members.read(raw, decoder, path, expected)
    except (WireError, UnicodeDecodeError):
        raise wrong_type(path, expected) from None


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN

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
