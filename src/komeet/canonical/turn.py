"""One turn of a conversation."""

from enum import StrEnum

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Part


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    """Only tool results."""


class Turn(Struct, frozen=True, kw_only=True):
    """What one speaker says at once. Instructions are turns too, where they stand."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    """Which of several speakers of the role."""
    preamble: bool = False
    """Whether it stands in a place of its own before all messages (`system`, `instructions`); first if there is one."""
    extras: Extras = {}
