"""What the operator and the caller want of the cache."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal

from msgspec import Struct

from komeet.access.keys import Key
from komeet.core.errors import WireError

HOW: Final = b"x-komeet-cache"
TTL: Final = b"x-komeet-cache-ttl"
_SECONDS: Final = re.compile(rb"[1-9][0-9]{0,8}", re.ASCII)

Result = Literal["", "hit", "miss", "refreshed", "bypassed"]
"""What became of a call; empty: the cache was none of its business."""


class Wish(Struct, frozen=True, kw_only=True):
    """What the caller says."""

    how: Literal["use", "bypass", "refresh"] | None = None
    """None: nothing."""
    ttl: int | None = None
    """Seconds."""


class OfRoute(Struct, frozen=True, kw_only=True):
    """What a route says."""

    enabled: bool = True
    ttl: int | None = None
    """Seconds; None: as everywhere."""


class Policy(Struct, frozen=True, kw_only=True):
    """What the operator says."""

    everywhere: bool = False
    """Whether every call is answered from the cache that can be."""
    on_request: bool = False
    """Whether a caller may ask for it where nobody else does."""
    ttl: int = 3_600
    """Seconds for which an answer is good."""
    shared_by: Literal["key", "organisation"] = "key"
    keys: tuple[str, ...] = ("*",)
    """Patterns of the names of keys that may."""
    tags: tuple[str, ...] = ()
    """Of which a key must have one; empty: none is needed."""
    routes: Mapping[str, OfRoute] = {}
    wait: float = 30.0
    """Seconds that a call waits for the same one that is under way."""
    most: int = 1 << 20
    """Bytes of an answer that is kept."""

    @property
    def possible(self) -> bool:
        """Whether any call may ever be answered from the cache."""
        return self.everywhere or self.on_request or any(route.enabled for route in self.routes.values())

    def ttl_of(self, key: Key, model: str, wish: Wish) -> int | None:
        """Return for how many seconds an answer is good for this call; None: the cache is not for it.

        A caller can only shorten it.

        Args:
            key: of the call.
            model: as it was asked for; it may be a route's name.
            wish: of the caller.
        """
        if not self._may(key):
            return None
        route = self.routes.get(model)
        wanted = self.everywhere if route is None else route.enabled
        if not wanted and not (self.on_request and wish.how in {"use", "refresh"}):
            return None
        ttl = self.ttl if route is None or route.ttl is None else route.ttl
        return ttl if wish.ttl is None else min(ttl, wish.ttl)

    def tenant_of(self, key: Key) -> str:
        """Return who shares the answers to the calls of a key."""
        if self.shared_by == "organisation" and key.organisation is not None:
            return f"organisation {key.organisation}"
        return f"key {key.id}"

    def _may(self, key: Key) -> bool:
        named = any(fnmatchcase(key.name, pattern) for pattern in self.keys)
        return named and (not self.tags or not set(self.tags).isdisjoint(key.tags))


def wish_of(headers: Mapping[bytes, bytes]) -> Wish:
    """Return what the headers of a call say.

    Raises:
        WireError: 400, one says what there is not.
    """
    how, ttl = headers.get(HOW), headers.get(TTL)
    if ttl is not None and not _SECONDS.fullmatch(ttl):
        raise WireError("`x-komeet-cache-ttl` is a number of seconds, 1 or more.")
    seconds = None if ttl is None else int(ttl)
    match how:
        case None:
            return Wish(ttl=seconds)
        case b"use":
            return Wish(how="use", ttl=seconds)
        case b"bypass":
            return Wish(how="bypass", ttl=seconds)
        case b"refresh":
            return Wish(how="refresh", ttl=seconds)
        case _:
            raise WireError("`x-komeet-cache` is one of: use, bypass, refresh.")
