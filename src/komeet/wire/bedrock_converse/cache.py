"""Marks for the prompt cache: `cachePoint` blocks, at most four to a request, where the model takes them."""

from collections.abc import Iterable
from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.part import CacheMark
from komeet.catalog.profile import CachePlace, Profile
from komeet.wire.bedrock_converse.members import Block, Json

_MOST: Final = 4
_HOUR: Final = frozenset({"1h", "12h"})
"""Times that only the longer one of the two is near to."""


class Point(Block):
    """A block that is a mark: one of them is told from another by what it is, not by what it says."""


class Marks:
    """The marks of one request, made in the order of its prefix: tools, system, messages."""

    __slots__ = ("_losses", "_made", "_profile")

    def __init__(self, profile: Profile, losses: list[Loss]) -> None:
        self._profile = profile
        self._losses = losses
        self._made: list[tuple[Point, str]] = []

    def point(self, mark: CacheMark | None, place: CachePlace, path: str) -> list[Point]:
        """Return the block that says `mark` of what stands before it; nothing where there is none to say."""
        if mark is None:
            return []
        where = f"{path}.{mark.name}" if path else mark.name
        if place not in self._profile.cache_points:
            self._losses.append(Loss(where, f"the model takes no marks for its prompt cache in its {place}"))
            return []
        cache: Json = {"type": "default"}
        if mark.ttl in _HOUR:
            if self._profile.cache_hour:
                cache["ttl"] = "1h"
            else:
                self._losses.append(Loss(f"{where}.ttl", "the model keeps what is cached for five minutes"))
        made = Point({"cachePoint": cache})
        self._made.append((made, where))
        return [made]

    def kept(self, blocks: Iterable[object]) -> list[object]:
        """Return `blocks` without the marks that are too many: the last ones cover the most, and are kept."""
        surplus = {id(point) for point, _ in self._made[:-_MOST]}
        return [block for block in blocks if id(block) not in surplus]

    def lose_surplus(self) -> None:
        """Declare the marks that are too many, once all are made."""
        for _, where in self._made[:-_MOST]:
            self._losses.append(Loss(where, f"at most {_MOST} marks for the prompt cache: the last ones are kept"))
