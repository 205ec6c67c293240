"""Members of this format's objects, and what it calls itself."""

from typing import ClassVar, Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.core.errors import Garbled
from komeet.wire import members
from komeet.wire.members import NULL

ORIGIN: Final = "cohere_chat"
"""What this format calls itself in extras, seals and opaque parts."""

_object: Final = Decoder(dict[str, Raw])


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


def read_object(data: bytes) -> Members:
    """Return the members of the one object that a body, or an event, is.

    Raises:
        Garbled: it is none.
    """
    try:
        return Members(_object.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise garbled(f"it starts with {data[:80].decode('ascii', 'backslashreplace')!r}") from error


def garbled(detail: str) -> Garbled:
    """Return the error for bytes that the format does not have."""
    error = Garbled("The provider answered with something that is not a chat of Cohere's.")
    error.detail = detail
    return error


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)


def filled(extras: Extras) -> Extras:
    """Return extras without the members that are null."""
    told = {origin: {name: raw for name, raw in inside.items() if raw != NULL} for origin, inside in extras.items()}
    return {origin: inside for origin, inside in told.items() if inside}
