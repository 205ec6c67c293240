"""Members of this format's objects, and what it calls itself."""

from typing import ClassVar, Final

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.wire import members

ORIGIN: Final = "openai_chat"
"""What this format calls itself in extras, seals and opaque parts."""


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


def place(name: str) -> str:
    """Return the origin of extras that stood in the member `name`."""
    return f"{ORIGIN}.{name}"


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)
