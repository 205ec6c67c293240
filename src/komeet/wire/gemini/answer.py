"""What whole and streamed answers have in common: reading JSON that may be anything, and members that have words."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.core.errors import Garbled
from komeet.wire.gemini.finish import UNSPECIFIED, finish_word
from komeet.wire.gemini.members import ORIGIN, place
from komeet.wire.gemini.usage import COUNTS, TIER, TOOL_PROMPT
from komeet.wire.members import NULL

USAGE: Final = "usageMetadata"
"""The place of what a usage says besides tokens."""
FEEDBACK: Final = "promptFeedback"
GROUNDING: Final = "groundingMetadata"
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NO_WORD: Final = frozenset({"candidates", USAGE, "modelVersion", "responseId"})
"""Members of an answer that the model has words for."""
_TIERS: Final = {"standard": "default", "flex": "flex", "priority": "priority"}
_WRITTEN_TIERS: Final = {tier: word for word, tier in _TIERS.items()}

_members: Final = msgspec.json.Decoder(dict[str, Raw])


class Head(Struct, frozen=True):
    """What an answer, and every chunk of one, says of itself."""

    id: str
    model: str
    created: int
    service_tier: str | None


def members_of(data: bytes | Raw) -> dict[str, Raw]:
    """Return the members of a JSON object; none of anything else."""
    try:
        return _members.decode(data)
    except UNREADABLE:
        return {}


def list_of(raw: Raw | None) -> list[Raw]:
    """Return the elements of a JSON array; none of anything else."""
    try:
        return [] if raw is None else msgspec.json.decode(raw, type=list[Raw])
    except UNREADABLE:
        return []


def text_of(raw: Raw | None) -> str:
    """Return a string; empty of anything else."""
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except UNREADABLE:
        return ""


def number_of(raw: Raw | None) -> int | None:
    """Return a whole number that is not negative; None of anything else."""
    try:
        found = None if raw is None else msgspec.json.decode(raw, type=int)
    except UNREADABLE:
        return None
    return found if found is not None and found >= 0 else None


def word_of(raw: Raw | None) -> str:
    """Return the word for why a candidate ended, also where it is written as a number; empty where none is said."""
    number = number_of(raw)
    word = text_of(raw) if number is None else finish_word(number)
    return "" if word in UNSPECIFIED else word


def tier_of(usage: Raw | None) -> str | None:
    """Return the tier that an answer was served in, which stands with its usage."""
    told = text_of(members_of(usage or NULL).get(TIER)).lower()
    return _TIERS.get(told, told) or None


def render_tier(tier: str | None) -> dict[str, object]:
    """Return the member that says the tier, if it is one of this format."""
    return {TIER: _WRITTEN_TIERS[tier]} if tier in _WRITTEN_TIERS else {}


def head_of(answer: dict[str, Raw]) -> Head:
    """Return what an answer says of itself."""
    return Head(
        id=text_of(answer.get("responseId")),
        model=text_of(answer.get("modelVersion")),
        created=_seconds(text_of(answer.get("createTime"))),
        service_tier=tier_of(answer.get(USAGE)),
    )


def answer_extras(answer: dict[str, Raw]) -> Extras:
    """Return what an answer says that the model has no word for, but for its usage."""
    found = {name: value for name, value in answer.items() if name not in _NO_WORD and value != NULL}
    return {ORIGIN: found} if found else {}


def usage_extras(usage: Raw | None) -> Extras:
    """Return what a usage says besides what the model has words for."""
    counted = (COUNTS - {TOOL_PROMPT}) | {TIER}
    told = members_of(usage or NULL)
    found = {name: value for name, value in told.items() if name not in counted and value != NULL}
    return {place(USAGE): found} if found else {}


def is_answer(members: dict[str, Raw]) -> bool:
    """Whether an object is an answer, or a chunk of one."""
    return any(members.get(name, NULL) != NULL for name in ("candidates", FEEDBACK, USAGE))


def blocked(answer: dict[str, Raw]) -> str:
    """Return the word for why the prompt was refused; empty where it was not."""
    return word_of(members_of(answer.get(FEEDBACK, NULL)).get("blockReason"))


def garbled(detail: str) -> Garbled:
    """Return the error for an answer that is not one of this format."""
    error = Garbled("The provider's answer is not what the format says.")
    error.detail = detail
    return error


def _seconds(time: str) -> int:
    """Return a time as Unix seconds; 0 where there is none."""
    try:
        return max(0, int(datetime.fromisoformat(time).timestamp())) if time else 0
    except (ValueError, OverflowError, OSError):
        return 0
