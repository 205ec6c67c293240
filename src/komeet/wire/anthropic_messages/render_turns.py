"""From turns to `system` and `messages`: sides take turns, results come first, instructions go where they may stand."""

from collections.abc import Mapping, Sequence
from typing import Final

from komeet.canonical.part import Opaque, Part, Text, ToolResult
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.anthropic_messages.members import foreign, has_sign, own
from komeet.wire.anthropic_messages.parse_request import BETWEEN
from komeet.wire.anthropic_messages.render_content import Block, blocks, content
from komeet.wire.anthropic_messages.rendering import Rendering

Json = dict[str, object]

_INSTRUCTIONS: Final = (Role.SYSTEM, Role.DEVELOPER)


def render_turns(rendering: Rendering) -> tuple[object, list[Json]]:
    """Return `system`, None where there is none, and `messages`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry; `param` is its path.
        WireError: 400, nothing is said at all.
    """
    turns = rendering.request.turns
    first = next((i for i, turn in enumerate(turns) if not _is_leading(turn)), len(turns))
    system: list[object] = []
    for index, turn in enumerate(turns[:first]):
        path = f"messages[{index}]"
        rendering.losses.extend(foreign(turn.extras, path))
        system += blocks(_only_words(turn, path), f"{path}.content", rendering)
    messages = _Messages(rendering)
    for index, turn in enumerate(turns[first:], first):
        messages.add(turn, f"messages[{index}]")
    told = messages.done()
    if not told:
        if not system:
            raise WireError("messages: at least one message with content is required", param="messages")
        rendering.lose("messages[0].role", "Messages needs a user's message: the instructions are it")
        return None, [{"role": "user", "content": content(system)}]
    return (content(system) if system else None), told


def _is_leading(turn: Turn) -> bool:
    return turn.preamble or (turn.role in _INSTRUCTIONS and not has_sign(turn.extras, BETWEEN))


def _only_words(turn: Turn, path: str) -> Sequence[Part]:
    for index, part in enumerate(turn.parts):
        if not isinstance(part, Text | Opaque):
            where = f"{path}.content[{index}]"
            raise Unrepresentable(f"{where} is no text, and instructions are text in Messages.", param=where)
    return turn.parts


class _Messages:
    """The messages so far; turns of one side join."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering
        self._told: list[tuple[str, list[object], list[object], Json]] = []
        """Role, results, other blocks, further members."""

    def add(self, turn: Turn, path: str) -> None:
        rendering = self._rendering
        rendering.losses.extend(foreign(turn.extras, path))
        if turn.name is not None:
            rendering.lose(f"{path}.name", "Messages does not tell speakers of a role apart")
        role = "assistant" if turn.role is Role.ASSISTANT else "user"
        parts: Sequence[Part] = turn.parts
        if turn.role in _INSTRUCTIONS:
            if rendering.profile.instructions_anywhere or has_sign(turn.extras, BETWEEN):
                role = "system"
            else:
                rendering.lose(f"{path}.role", "instructions stand first in Messages: these are told by the user")
                parts = [_wrapped(part) for part in parts]
        results = [part for part in parts if isinstance(part, ToolResult)]
        others = [part for part in parts if not isinstance(part, ToolResult)]
        said = blocks(others, f"{path}.content", rendering)
        self._put(role, blocks(results, f"{path}.content", rendering), said, own(turn.extras))

    def _put(self, role: str, results: list[object], others: list[object], more: Mapping[str, object]) -> None:
        roles = [told[0] for told in self._told[-2:]]
        if results and roles == ["assistant", "system"]:  # nothing may stand between calls and their results
            self._told.insert(-1, ("user", results, [], {}))
            results = []
        if not results and not others:
            return
        if self._told and self._told[-1][0] == role and role != "system":
            _, before, after, known = self._told[-1]
            before += results
            after += others
            known.update(more)
        else:
            self._told.append((role, results, others, dict(more)))

    def done(self) -> list[Json]:
        """Return the messages; what says nothing is left out, and an answer to be continued ends in no white space."""
        told = [(role, [*results, *others], more) for role, results, others, more in self._told]
        if told and told[-1][0] == "assistant":
            _strip_end(told[-1][1])
        return [{"role": role, "content": content(said), **more} for role, said, more in told if said]


def _strip_end(said: list[object]) -> None:
    last = said[-1]
    if isinstance(last, Block) and isinstance(text := last.get("text"), str) and text != text.rstrip():
        said[-1:] = [Block({**last, "text": text.rstrip()})] if text.strip() else []


def _wrapped(part: Part) -> Part:
    return Text(text=f"<system>\n{part.text}\n</system>", cache=part.cache) if isinstance(part, Text) else part
