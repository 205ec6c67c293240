"""Thought signatures: what Gemini, or another provider behind a caller of this format, wants back with its own words.

Another format's seal goes out wrapped (`wire.seal`), and in base64 once more, since `thoughtSignature` is a member of
bytes: client libraries decode it and write it again, in either of base64's alphabets. The wrapped text has no character
on which they differ.
"""

from base64 import b64encode, urlsafe_b64decode
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from komeet.canonical.part import Seal
from komeet.wire import seal as seals
from komeet.wire.gemini.members import ORIGIN
from komeet.wire.members import STRING

NAME: Final = "thoughtSignature"
OF_A_CALL: Final = "thoughtSignature of a call"
"""What the seal of a call is called: callers of other formats may bring it back before the words that were between."""
MARK: Final = b64encode(seals.MARK.encode())[:18]
"""How every wrapped seal begins here: as many letters as do not depend on what follows."""


def wrap(seal: Seal | None) -> str:
    """Return the seal of another format as this one can carry it; None: there was none, which comes back too."""
    return b64encode(seals.wrap(seal).encode()).decode("ascii")


def to_caller(seal: Seal) -> object:
    """Return the signature that a caller of this format is given for `seal`."""
    return seal.value if seal.origin == ORIGIN else wrap(seal)


def parse_signature(raw: Raw | None) -> Seal | None:
    """Return the seal that a signature is, whoever sealed it; None where there is none, or it came damaged."""
    text = None if raw is None else _text(raw)
    if raw is None or text == "":
        return None
    if text is None or not text.startswith(MARK.decode("ascii")):
        return Seal(origin=ORIGIN, name=NAME, value=raw)
    padded = text + "=" * (-len(text) % 4)
    try:
        wrapped = urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
    except ValueError:
        return None
    return seals.unwrap(wrapped) if seals.is_wrapped(wrapped) else None


def of_a_call(seal: Seal) -> Seal:
    """Return the seal of a function call, which is to be found on a call again."""
    return replace(seal, name=OF_A_CALL) if seal.origin == ORIGIN else seal


def _text(raw: Raw) -> str | None:
    try:
        return STRING.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
