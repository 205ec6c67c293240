"""What whole and streamed answers have in common: members of the message, and reading JSON that may be anything."""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.extras import Extras
from komeet.core.errors import Garbled
from komeet.wire.anthropic_messages.members import ORIGIN, place
from komeet.wire.anthropic_messages.usage import READ
from komeet.wire.members import NULL

USAGE: Final = "usage"
"""The place of what a usage says besides tokens."""
_NO_WORD: Final = frozenset({"type", "role", "content", "usage", "id", "model", "stop_reason", "stop_sequence"})
"""Members of a message that the model has words for, or that say nothing."""

_members: Final = msgspec.json.Decoder(dict[str, Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def members_of(data: bytes | Raw) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else."""
    try:
        return _members.decode(data)
    except _UNREADABLE:
        return {}


def text_of(raw: Raw | None) -> str:
    """Return a string; empty of anything else."""
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except _UNREADABLE:
        return ""


def message_extras(message: dict[str, Raw]) -> Extras:
    """Return what a message says that the model has no word for."""
    usage = members_of(message.get(USAGE, NULL))
    found = {
        ORIGIN: {name: value for name, value in message.items() if name not in _NO_WORD and value != NULL},
        place(USAGE): {name: value for name, value in usage.items() if name not in READ and value != NULL},
    }
    return {where: members for where, members in found.items() if members}


def garbled(detail: str) -> Garbled:
    """Return the error for an answer that is not one of this format."""
    error = Garbled("The provider's answer is not what the format says.")
    error.detail = detail
    return error
