"""Reasoning that another format sealed, kept by a Chat Completions caller for its next turn: in `reasoning_details`.

The member is OpenRouter's, and client libraries that know it send it back as it came. Each entry of ours is one
reasoning; the text is said once more beside them (`reasoning_content`), for those who only show it.
"""

from typing import Final

from msgspec import Raw

from komeet.canonical.part import Reasoning, Seal
from komeet.wire import seal as seals
from komeet.wire.json import encode_object
from komeet.wire.members import NULL, OBJECTS
from komeet.wire.openai_chat.members import ORIGIN, Members

DETAILS: Final = "reasoning_details"
_FORMAT: Final = "komeet-v1"
_TEXTS: Final = ("reasoning_content", "reasoning")


def render_detail(text: str, seal: Seal | None, index: int) -> dict[str, object]:
    """Return the entry that holds one reasoning."""
    return {
        "type": "reasoning.text",
        "text": text,
        "signature": seals.wrap(seal),
        "format": _FORMAT,
        "index": index,
    }


def is_foreign(seal: Seal | None) -> bool:
    """Whether a caller of this format can keep a seal only wrapped."""
    return seal is not None and seal.origin != ORIGIN


def take_sealed(members: Members) -> tuple[Reasoning, ...]:
    """Take the reasoning out of an assistant's message, if it has entries of ours; nothing where it has none."""
    entries = Members({DETAILS: members.peek(DETAILS) or NULL}).fitting(DETAILS, OBJECTS) or []
    parts = [_part(entry) for entry in entries]
    if not any(parts):
        return ()
    for name in (*_TEXTS, DETAILS):
        members.raw(name)
    return tuple([part or _as_it_was(entry) for entry, part in zip(entries, parts, strict=True)])


def _part(entry: dict[str, Raw]) -> Reasoning | None:
    members = Members(entry)
    if members.fitting_text("format") != _FORMAT:
        return None
    return Reasoning(text=members.fitting_text("text"), seal=seals.unwrap(members.fitting_text("signature")))


def _as_it_was(entry: dict[str, Raw]) -> Reasoning:
    return Reasoning(seal=Seal(origin=ORIGIN, name=DETAILS, value=Raw(b"[" + encode_object(entry) + b"]")))
