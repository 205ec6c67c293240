"""Members of this format's objects, and what it calls itself."""

from typing import ClassVar, Final

from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.wire import members
from komeet.wire.members import NULL

ORIGIN: Final = "openai_chat"
"""What this format calls itself in extras, seals and opaque parts."""


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


def place(name: str) -> str:
    """Return the origin of extras that stood in the member `name`."""
    return f"{ORIGIN}.{name}"


def own(extras: Extras, name: str = "") -> dict[str, Raw]:
    """Return what this format has to say again, of itself or of the place `name`."""
    return {member: value for member, value in extras.get(place(name) if name else ORIGIN, {}).items() if value != NULL}


def dialect(name: str, where: str = "") -> Extras:
    """Return the sign that something with a word in the model came as the member `name`, which not every provider has.

    It is no loss to another format: a null says nothing.
    """
    return {place(where) if where else ORIGIN: {name: NULL}}


def came_as(extras: Extras, name: str, where: str = "") -> bool:
    """Whether `dialect` was said of it."""
    return name in extras.get(place(where) if where else ORIGIN, {})


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)
