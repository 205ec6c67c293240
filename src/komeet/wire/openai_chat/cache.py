"""Marks for the prompt cache: OpenAI's `prompt_cache_breakpoint`, and `cache_control`, which many dialects have."""

from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.part import CacheMark
from komeet.catalog.profile import Profile
from komeet.wire.members import OBJECT
from komeet.wire.openai_chat.members import ORIGIN, Members

Json = dict[str, object]

BREAKPOINT: Final = "prompt_cache_breakpoint"
_NAMES: Final = (BREAKPOINT, "cache_control")
_TTLS: Final = ("30m", "12h")
"""How long OpenAI keeps a prompt, if it is told."""
_SHORTER: Final = frozenset({None, "5m"})
"""Times that its default exceeds."""


def take_mark(members: Members, where: str = "") -> CacheMark | None:
    """Take a mark out of an object, by either of its names; `where`: what the object is to the piece that is marked."""
    for name in _NAMES:
        raw = members.peek(name)
        inside = members.fitting(name, OBJECT)
        if raw is not None and inside is not None:
            ttl = Members(inside).fitting_text("ttl") or None
            return CacheMark(ttl=ttl, origin=ORIGIN, name=f"{where}.{name}" if where else name, value=raw)
    return None


def own_mark(mark: CacheMark | None, where: str = "") -> Json:
    """Return the member that says a mark of this format, if it stood in `where`."""
    if mark is None or mark.origin != ORIGIN:
        return {}
    place, _, name = mark.name.rpartition(".")
    return {name: mark.value} if place == where else {}


def part_mark(mark: CacheMark | None, path: str, profile: Profile, losses: list[Loss]) -> Json:
    """Return the member of a part that says its mark."""
    if mark is None or mark.origin == ORIGIN:
        return own_mark(mark)
    if not profile.cache_breakpoints:
        lose_mark(mark, path, losses)
        return {}
    told: Json = {"mode": "explicit"}
    if mark.ttl in _TTLS:
        told["ttl"] = mark.ttl
    elif mark.ttl not in _SHORTER:
        losses.append(Loss(f"{_name(mark, path)}.ttl", f"{' or '.join(_TTLS)} only: it is kept for {_TTLS[0]}"))
    return {BREAKPOINT: told}


def lose_mark(mark: CacheMark | None, path: str, losses: list[Loss]) -> None:
    """Declare the loss of a mark of another format."""
    if mark is not None and mark.origin != ORIGIN:
        losses.append(Loss(_name(mark, path), "the model does not take marks for its prompt cache there"))


def _name(mark: CacheMark, path: str) -> str:
    name = mark.name or "cache"
    return f"{path}.{name}" if path else name
