"""Ids of tool calls for formats that are strict about them: the same for a call and its result, whoever made it."""

import re
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from komeet.canonical.part import ToolCall, ToolResult


class IdRule(Struct, frozen=True):
    """What a format takes for an id."""

    taken: re.Pattern[str]
    """Ids that may stay as they are."""
    prefix: str
    """How those that are made here begin."""

    def valid(self, found: str) -> str:
        """Return `found`, or what stands for it everywhere, if it would be refused."""
        if self.taken.fullmatch(found):
            return found
        return f"{self.prefix}{sha256(found.encode('utf-8', 'replace')).hexdigest()[:32]}"


class CallIds:
    """The ids of one conversation. Calls without one get one by place; results find theirs by name or order."""

    __slots__ = ("_count", "_open", "_rule")

    def __init__(self, rule: IdRule) -> None:
        self._rule = rule
        self._count = 0
        self._open: list[tuple[str, str]] = []
        """Ids and names of the nameless calls that have no result yet."""

    def of_call(self, call: ToolCall, name: str) -> str:
        """Return the id of the next call; `name` is what it is called here."""
        if call.id:
            return self._rule.valid(call.id)
        self._count += 1
        made = f"{self._rule.prefix}call_{self._count}"
        self._open.append((made, name))
        return made

    def of_result(self, result: ToolResult) -> str:
        """Return the id of the call that a result answers."""
        if result.call_id:
            return self._rule.valid(result.call_id)
        found = _first_named(self._open, result.name)
        if found is None:
            return f"{self._rule.prefix}call_unknown"  # there is no such call: the provider says so
        self._open.remove(found)
        return found[0]


def _first_named(calls: Sequence[tuple[str, str]], name: str) -> tuple[str, str] | None:
    named = [call for call in calls if call[1] == name]
    return next(iter(named or ([] if name else calls)), None)
