"""The bytes of the table of limits: slots of 64 bytes in a file that every process of a server maps.

A slot is found by 16 bytes of a hash, within a few places of where it belongs; one that holds nothing any more (its
level has drained, no call is under way) is as good as free. There are three kinds: the level of a rate, the number of
calls under way, and the part of that number that one worker has.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final, final

from komeet.limits.limit import Limit

SLOTS: Final = 1 << 16
HEAD: Final = 64
SLOT: Final = 64
SIZE: Final = HEAD + SLOTS * SLOT
_REACH: Final = 64
"""Places at which a slot may be: with so many, a table that is two thirds full has room for every key."""

_RATE, _TOTAL, _PART = 1, 2, 3
"""Kinds; 0: free."""
_KEY: Final = struct.Struct("@16sq")
_LEVEL: Final = struct.Struct("@16sqqqQ")
"""Key, kind, amount, and the level in two halves."""
_COUNT: Final = struct.Struct("@16sqq")
_OWNED: Final = struct.Struct("@16sqq16s16s")
"""Key, kind, count, the key of its total, the worker."""
_HALF: Final = 64
_LOW: Final = (1 << _HALF) - 1


class FullError(Exception):
    """There is no place for one more slot."""


def key_of(text: str) -> bytes:
    """Return the 16 bytes by which a slot is found."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@final
class Slots:
    """The table's bytes, as one process maps them. Whoever reads or writes has the table's lock."""

    __slots__ = ("_map", "_places")

    def __init__(self, mapped: mmap.mmap) -> None:
        """Use the bytes of a whole file."""
        self._map: Final = mapped
        self._places: dict[bytes, int] = {}
        """Where slots were last: a guess that is checked, and forgotten when there are too many."""

    def place(self, key: bytes, now: int, busy: Sequence[int]) -> int:
        """Return where the slot of `key` is, or is to be: there it holds nothing.

        Args:
            key: of the slot.
            now: nanoseconds of the clock, which say what has drained.
            busy: places that are about to be written, and free no more.

        Raises:
            FullError: others have all the places that it may have.
        """
        mapped = self._map
        at = self._places.get(key)
        if at is not None and mapped[at : at + 16] == key:
            return at
        first = int.from_bytes(key[:4], "little")
        free = 0
        for step in range(_REACH):
            at = HEAD + ((first + step) % SLOTS) * SLOT
            if mapped[at : at + 16] == key:
                break
            if not free and at not in busy and self._rests(at, now):
                free = at
        else:
            if not free:
                raise FullError
            at = free
            mapped[at : at + SLOT] = key + bytes(SLOT - 16)
        if len(self._places) >= SLOTS:
            self._places.clear()
        self._places[key] = at
        return at

    def level(self, at: int) -> tuple[int, int]:
        """Return the level of a rate, and the amount that it is counted by; 0 and 0 where nothing is held."""
        _, kind, amount, high, low = _LEVEL.unpack_from(self._map, at)
        return ((high << _HALF) | low, amount) if kind == _RATE else (0, 0)

    def set_level(self, at: int, key: bytes, level: int, limit: Limit) -> None:
        """Keep the level of a rate."""
        _LEVEL.pack_into(self._map, at, key, _RATE, limit.amount, level >> _HALF, level & _LOW)

    def count(self, at: int) -> int:
        """Return how many calls are under way."""
        return _COUNT.unpack_from(self._map, at)[2]

    def set_total(self, at: int, key: bytes, count: int) -> None:
        """Keep how many calls are under way in all workers."""
        _COUNT.pack_into(self._map, at, key, _TOTAL, count)

    def set_part(self, at: int, key: bytes, count: int, whole: bytes, worker: bytes) -> None:
        """Keep how many of them one worker has."""
        _OWNED.pack_into(self._map, at, key, _PART, count, whole, worker)

    def clear_counts(self) -> None:
        """Forget all calls under way: no worker is there."""
        for at in range(HEAD, SIZE, SLOT):
            if _KEY.unpack_from(self._map, at)[1] in {_TOTAL, _PART}:
                self._map[at : at + SLOT] = bytes(SLOT)

    def clear_worker(self, worker: bytes) -> int:
        """Forget the calls that a dead worker had under way, and return how many there were.

        What it had half written when it died is put right: a total is the sum of its parts.
        """
        freed = 0
        for at in self._found(worker, 48):
            _, _, count, whole, _ = _OWNED.unpack_from(self._map, at)
            freed += count
            self._map[at : at + SLOT] = bytes(SLOT)
            total = sum(_COUNT.unpack_from(self._map, part)[2] for part in self._found(whole, 32))
            for place in self._found(whole, 0):
                self.set_total(place, whole, total)
        return freed

    def _found(self, sought: bytes, offset: int) -> Iterator[int]:
        """Yield the slots that hold these 16 bytes at this offset: parts of a worker or of a total, or a total."""
        at = self._map.find(sought, HEAD)
        while at >= 0:
            inside = (at - HEAD) % SLOT
            start = at - inside
            kind = _KEY.unpack_from(self._map, start)[1]
            if inside == offset and kind == (_PART if offset else _TOTAL):
                yield start
            at = self._map.find(sought, at + 1)

    def _rests(self, at: int, now: int) -> bool:
        _, kind, number, high, low = _LEVEL.unpack_from(self._map, at)
        if kind == _RATE:
            return ((high << _HALF) | low) <= now * number
        return number <= 0
