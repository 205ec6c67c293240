"""From turns to `systemInstruction` and `contents`.

Sides take turns, results come first, in the order of their calls.
"""

from collections.abc import Sequence
from typing import Final

from komeet.canonical.part import Opaque, Part, Reasoning, Text, ToolResult
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import WireError
from komeet.wire.gemini.members import foreign, own, place
from komeet.wire.gemini.parse_request import ROLE
from komeet.wire.gemini.parts_out import Said, render_parts, say_parts
from komeet.wire.gemini.rendering import Rendering, cannot

Json = dict[str, object]

_INSTRUCTIONS: Final = (Role.SYSTEM, Role.DEVELOPER)


def render_turns(rendering: Rendering) -> tuple[Json | None, list[Json]]:
    """Return `systemInstruction`, None where there is none, and `contents`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry; `param` is its path.
        WireError: 400, nothing is said at all.
    """
    turns = rendering.request.turns
    first = next((i for i, turn in enumerate(turns) if not _is_instruction(turn)), len(turns))
    system: list[object] = []
    more: Json = {}
    for index, turn in enumerate(turns[:first]):
        path = f"messages[{index}]"
        rendering.losses.extend(foreign(turn.extras, path))
        system += render_parts(enumerate(_only_words(turn, path)), f"{path}.content", rendering)
        for role in turn.extras.get(place(ROLE), {}):
            more[ROLE] = role
        more.update(own(turn.extras))
    contents = _Contents(rendering)
    for index, turn in enumerate(turns[first:], first):
        contents.add(turn, f"messages[{index}]")
    told = contents.done()
    if not told:
        if not system:
            raise WireError("contents: at least one content with parts is required", param="contents")
        rendering.lose("messages[0].role", "Gemini needs a user's message: the instructions are it")
        return None, [{"role": "user", "parts": system}]
    return ({"parts": system, **more} if system else None), told


def _is_instruction(turn: Turn) -> bool:
    return turn.preamble or turn.role in _INSTRUCTIONS


def _only_words(turn: Turn, path: str) -> Sequence[Part]:
    for index, part in enumerate(turn.parts):
        if not isinstance(part, Text | Reasoning | Opaque):
            raise cannot(f"{path}.content[{index}]", "an instruction that is no text")
    return turn.parts


class _Contents:
    """The contents so far; turns of one side join."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering
        self._told: list[tuple[str, list[tuple[int, object]], Said, Json]] = []
        """Role, results with the places of their calls, other parts, further members."""

    def add(self, turn: Turn, path: str) -> None:
        rendering = self._rendering
        rendering.losses.extend(foreign(turn.extras, path))
        if turn.name is not None:
            rendering.lose(f"{path}.name", "Gemini does not tell speakers of a role apart")
        parts: Sequence[Part] = turn.parts
        if turn.role in _INSTRUCTIONS:
            rendering.lose(f"{path}.role", "instructions stand first in Gemini: these are told by the user")
            parts = [_wrapped(part) for part in parts]
        answered: list[tuple[int, object]] = []
        others: list[tuple[int, Part]] = []
        for index, part in enumerate(parts):
            if isinstance(part, ToolResult):
                order = rendering.order_of(part)
                said = render_parts([(index, part)], f"{path}.content", rendering)
                answered += [(order, each) for each in said]
            else:
                others.append((index, part))
        role = "model" if turn.role is Role.ASSISTANT else "user"
        if not self._told or self._told[-1][0] != role:
            self._told.append((role, [], Said(rendering), {}))
        _, results, said, more = self._told[-1]
        results += answered
        say_parts(others, f"{path}.content", said, rendering)
        more.update(own(turn.extras))

    def done(self) -> list[Json]:
        """Return the contents."""
        joined: list[tuple[str, list[object], Json]] = []
        for role, results, said, more in self._told:
            parts = [*[each for _, each in sorted(results, key=_order)], *said.end()]
            if parts and joined and joined[-1][0] == role:
                joined[-1][1].extend(parts)
                joined[-1][2].update(more)
            elif parts:
                joined.append((role, parts, more))
        return [{ROLE: role, "parts": parts, **more} for role, parts, more in joined]


def _order(result: tuple[int, object]) -> int:
    return result[0]


def _wrapped(part: Part) -> Part:
    return Text(text=f"<system>\n{part.text}\n</system>", cache=part.cache) if isinstance(part, Text) else part
