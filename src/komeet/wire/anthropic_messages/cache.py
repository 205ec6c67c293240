"""Marks for the prompt cache: `cache_control`, at most four to a request."""

from collections.abc import Iterator
from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.part import CacheMark, Opaque, Part, Reasoning, ServerTool, Text, ToolResult
from komeet.canonical.request import Request
from komeet.canonical.tool import FunctionTool, HostedTool
from komeet.wire.anthropic_messages.members import ORIGIN, Members
from komeet.wire.members import OBJECT

NAME: Final = "cache_control"
_MOST: Final = 4
_HOUR: Final = frozenset({"1h", "12h"})
"""Times that only the longer one of the two is near to."""


def take_mark(members: Members) -> CacheMark | None:
    """Take a mark out of an object."""
    raw = members.peek(NAME)
    inside = members.fitting(NAME, OBJECT)
    if raw is None or inside is None:
        return None
    return CacheMark(ttl=Members(inside).fitting_text("ttl") or None, origin=ORIGIN, name=NAME, value=raw)


class Marks:
    """The marks of one request, rendered in the order of its prefix: tools, system, messages.

    The caller's own in this format are the caller's business. Of another format's, which knows no such limit, the last
    four are kept: they cover the most.
    """

    __slots__ = ("_losses", "_surplus")

    def __init__(self, request: Request, losses: list[Loss]) -> None:
        found = sum(1 for mark in _marks(request) if mark is not None and mark.origin != ORIGIN)
        self._surplus = max(0, found - _MOST)
        self._losses = losses

    def render(self, mark: CacheMark | None, path: str) -> dict[str, object]:
        """Return the member that says `mark`; nothing where there is none, or too many."""
        if mark is None:
            return {}
        if mark.origin == ORIGIN:
            return {NAME: mark.value}
        if self._surplus:
            self._surplus -= 1
            where = f"{path}.{mark.name}" if path else mark.name
            self._losses.append(Loss(where, f"at most {_MOST} marks for the prompt cache: the last ones are kept"))
            return {}
        return {NAME: {"type": "ephemeral", "ttl": "1h"} if mark.ttl in _HOUR else {"type": "ephemeral"}}


def _marks(request: Request) -> Iterator[CacheMark | None]:
    for tool in request.tools:
        if isinstance(tool, FunctionTool | HostedTool):
            yield tool.cache
    yield request.cache
    for turn in request.turns:
        for part in turn.parts:
            yield from _part_marks(part)


def _part_marks(part: Part) -> Iterator[CacheMark | None]:
    match part:
        case Opaque() | Reasoning() | ServerTool():
            return
        case Text(text=text) if not text:
            return
        case ToolResult(parts=parts, cache=cache):
            for inside in parts:
                yield from _part_marks(inside)
            yield cache
        case _:
            yield part.cache
