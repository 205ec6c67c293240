"""Where calls may go: what operators say of their providers in tags (`eu`, `no-training`), and what calls demand."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, final

from msgspec import Struct

from komeet.core.errors import WireError

REQUIRE: Final = b"x-komeet-require"
"""The header by which a call demands more than its key does."""
_TAGS: Final = re.compile(rb"[a-z0-9_.-]{1,64}(?:[ \t]*,[ \t]*[a-z0-9_.-]{1,64}){0,15}")
_NOTHING: Final[frozenset[str]] = frozenset()


class Placement(Struct, frozen=True, kw_only=True):
    """What the calls of some keys demand of whoever answers them."""

    require: tuple[str, ...]
    """Tags, all of which a provider must have."""
    keys: tuple[str, ...] = ("*",)
    """Patterns of the names of keys."""
    tags: tuple[str, ...] = ()
    """Of which a key must have one; empty: none is needed."""

    def holds_for(self, name: str, tags: Sequence[str]) -> bool:
        """Whether it is about a key of this name with these tags."""
        named = any(fnmatchcase(name, pattern) for pattern in self.keys)
        return named and (not self.tags or not set(self.tags).isdisjoint(tags))


@final
class Placements:
    """All of them."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[Placement] = ()) -> None:
        self._rules: Final = tuple(rules)

    def required(self, name: str, tags: Sequence[str], asked: bytes | None) -> frozenset[str]:
        """Return the tags that a provider must have, to be sent a call.

        Args:
            name: of the call's key.
            tags: of the call's key.
            asked: what the header of the call says; it can only demand more.

        Raises:
            WireError: 400, the header does not name tags.
        """
        if not self._rules and asked is None:
            return _NOTHING
        found = [tag for rule in self._rules if rule.holds_for(name, tags) for tag in rule.require]
        if asked is not None:
            if not _TAGS.fullmatch(asked):
                header = REQUIRE.decode()
                raise WireError(f"`{header}` is a list of tags of providers, such as `eu, no-training`.", param=header)
            found += [tag.strip() for tag in asked.decode("ascii").split(",")]
        return frozenset(found)
