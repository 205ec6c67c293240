"""Seals: a chain of hashes over batches of rows that never change, so that a change shows, and where.

A seal's digest is SHA-256 over, in this order:

    "komeet seal 1\\n", the digest of the seal before it (of the first: 32 zero bytes),
    a line [number, first, last, sealed_at], a line for each row, a line [rows]

where a line is a JSON array without spaces and a line feed. Of each posting, in the order of their ids, come: the
posting; its attempt's hold and outcome, if no posting before it in the batch was of the same attempt; its entry,
likewise. Whoever keeps the digest of the last seal elsewhere can prove that nothing before it was changed, left out or
added since.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, TypeAlias, final

import msgspec
from msgspec import Struct

BEFORE_ALL: Final = bytes(32)
"""What the first seal has for a digest before it."""
_FORMAT: Final = b"komeet seal 1\n"
_line: Final = msgspec.json.Encoder().encode

Value: TypeAlias = int | str | bytes | float | None


class Kind(StrEnum):
    """Which table a row is of: the first member of its line."""

    POSTING = "posting"
    HOLD = "hold"
    OUTCOME = "outcome"
    ENTRY = "entry"


Row: TypeAlias = tuple[Kind, Sequence[Value]]


class Seal(Struct, frozen=True, kw_only=True):
    """A closed batch of postings, with the rows that caused them."""

    number: int
    """1, 2, 3 …"""
    first: int
    last: int
    """The ids of its postings lie between these, inclusive; each seal begins after the last id of the one before."""
    rows: int
    previous: bytes
    digest: bytes
    sealed_at: int
    """Unix milliseconds."""


@final
class Sealing:
    """The digest of a batch, row by row."""

    __slots__ = ("_hash", "_number", "_previous", "rows")

    def __init__(self, previous: bytes, number: int, first: int, last: int, sealed_at: int) -> None:
        self._previous = previous
        self._number = (number, first, last, sealed_at)
        self._hash = hashlib.sha256(_FORMAT + previous + _line(self._number) + b"\n")
        self.rows: int = 0
        """How many rows were added."""

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, in their order."""
        for kind, values in rows:
            self._hash.update(_line([kind, *values]) + b"\n")
            self.rows += 1

    def close(self) -> Seal:
        """Return the seal of what was added."""
        digest = self._hash.copy()
        digest.update(_line([self.rows]) + b"\n")
        number, first, last, sealed_at = self._number
        return Seal(
            number=number,
            first=first,
            last=last,
            rows=self.rows,
            previous=self._previous,
            digest=digest.digest(),
            sealed_at=sealed_at,
        )


def follows(seal: Seal, before: Seal | None) -> str | None:
    """Return what is wrong with where a seal stands in the chain; None: it is right.

    Args:
        seal: as it is kept.
        before: the one before it, as it is kept; None: it is the first.
    """
    number, last, digest = (0, 0, BEFORE_ALL) if before is None else (before.number, before.last, before.digest)
    if seal.number != number + 1:
        missing = f"seal {number + 1}" if seal.number == number + 2 else f"seals {number + 1} to {seal.number - 1}"
        return f"{missing} missing before seal {seal.number}"
    if seal.first != last + 1 or seal.last < seal.first:
        return f"seal {seal.number} is of postings {seal.first} to {seal.last}, and does not begin at {last + 1}"
    if seal.previous != digest:
        return f"seal {seal.number} does not follow seal {number}: one of them was replaced"
    return None


def differs(seal: Seal, found: Seal) -> str | None:
    """Return how the rows that are there differ from those that were sealed; None: they are the same.

    Args:
        seal: as it is kept.
        found: made anew of the rows that are there.
    """
    if found.digest == seal.digest and found.rows == seal.rows:
        return None
    if found.rows < seal.rows:
        what = f"{seal.rows - found.rows} of its {seal.rows} rows are missing"
    elif found.rows > seal.rows:
        what = f"{found.rows - seal.rows} rows were added to its {seal.rows}"
    else:
        what = f"one of its {seal.rows} rows was changed, or the seal was"
    return f"seal {seal.number} (postings {seal.first} to {seal.last}): {what}"
