"""Ids of tool calls as Bedrock takes them: `[a-zA-Z0-9_.:-]{1,64}`, the same for a call and its result."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from komeet.canonical.part import ToolCall, ToolResult

_TAKEN: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


def valid_id(found: str) -> str:
    """Return `found`, or what stands for it everywhere, if Bedrock would refuse it."""
    if _TAKEN.fullmatch(found):
        return found
    return f"tooluse_{sha256(found.encode('utf-8', 'replace')).hexdigest()[:32]}"


class CallIds:
    """The ids of one conversation. Calls without one get one by place; results find theirs by name or order."""

    __slots__ = ("_count", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []
        """Ids and names of the nameless calls that have no result yet."""

    def of_call(self, call: ToolCall, name: str) -> str:
        """Return the id of the next call; `name` is what it is called here."""
        if call.id:
            return valid_id(call.id)
        self._count += 1
        made = f"tooluse_call_{self._count}"
        self._open.append((made, name))
        return made

    def of_result(self, result: ToolResult) -> str:
        """Return the id of the call that a result answers."""
        if result.call_id:
            return valid_id(result.call_id)
        found = _first_named(self._open, result.name)
        if found is None:
            return "tooluse_call_unknown"  # there is no such call: the provider says so
        self._open.remove(found)
        return found[0]


def _first_named(calls: Sequence[tuple[str, str]], name: str) -> tuple[str, str] | None:
    named = [call for call in calls if call[1] == name]
    return next(iter(named or ([] if name else calls)), None)
