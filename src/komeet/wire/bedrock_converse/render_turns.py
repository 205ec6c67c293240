"""From turns to `system` and `messages`: sides take turns, results come first, instructions go where they may stand."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from komeet.canonical.part import Part, Text, ToolResult
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import Unrepresentable, WireError
from komeet.wire.bedrock_converse.members import Block, foreign
from komeet.wire.bedrock_converse.render_content import blocks
from komeet.wire.bedrock_converse.rendering import Rendering

_INSTRUCTIONS: Final = (Role.SYSTEM, Role.DEVELOPER)


Message: TypeAlias = tuple[str, list[object]]
"""A role, and what it says."""


def render_turns(rendering: Rendering) -> tuple[list[object], list[Message]]:
    """Return `system` and `messages`, each of them its role and its content.

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
        system += _instructions(turn, f"{path}.content", rendering)
    messages = _Messages(rendering)
    for index, turn in enumerate(turns[first:], first):
        messages.add(turn, f"messages[{index}]")
    told = messages.done()
    if not told:
        if not system:
            raise WireError("messages: at least one message with content is required", param="messages")
        rendering.lose("messages[0].role", "Bedrock needs a user's message: the instructions are it")
        return [], [("user", system)]
    return system, told


def _is_leading(turn: Turn) -> bool:
    return turn.preamble or turn.role in _INSTRUCTIONS


def _instructions(turn: Turn, path: str, rendering: Rendering) -> list[object]:
    told: list[object] = []
    for index, part in enumerate(turn.parts):
        where = f"{path}[{index}]"
        if not isinstance(part, Text):
            raise Unrepresentable(f"{where} is no text, and instructions are text in Bedrock's Converse.", param=where)
        rendering.losses.extend(foreign(part.extras, where))
        if part.text.strip():
            told.append(Block(text=part.text))
            told += rendering.marks.point(part.cache, "system", where)
    return told


class _Messages:
    """The messages so far; turns of one side join."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering
        self._told: list[tuple[str, list[object], list[object]]] = []
        """Role, results, other blocks."""

    def add(self, turn: Turn, path: str) -> None:
        rendering = self._rendering
        rendering.losses.extend(foreign(turn.extras, path))
        if turn.name is not None:
            rendering.lose(f"{path}.name", "Bedrock does not tell speakers of a role apart")
        role = "assistant" if turn.role is Role.ASSISTANT else "user"
        parts: Sequence[Part] = turn.parts
        if turn.role in _INSTRUCTIONS:
            if rendering.profile.instructions_anywhere:
                role = "system"
            else:
                rendering.lose(f"{path}.role", "instructions stand first in Bedrock: these are told by the user")
                parts = [_wrapped(part) for part in parts]
        results: list[object] = []
        others: list[object] = []
        for index, part in enumerate(parts):
            made = blocks(part, f"{path}.content[{index}]", rendering)
            (results if isinstance(part, ToolResult) else others).extend(made)
        self._put(role, results, others)

    def _put(self, role: str, results: list[object], others: list[object]) -> None:
        roles = [told[0] for told in self._told[-2:]]
        if results and roles == ["assistant", "system"]:  # nothing may stand between calls and their results
            self._told.insert(-1, ("user", results, []))
            results = []
        if not results and not others:
            return
        if self._told and self._told[-1][0] == role != "system":
            _, before, after = self._told[-1]
            before += results
            after += others
        else:
            self._told.append((role, results, others))

    def done(self) -> list[Message]:
        """Return the messages; an answer to be continued ends in no white space."""
        told = [(role, [*results, *others]) for role, results, others in self._told]
        if told and told[-1][0] == "assistant":
            _strip_end(told[-1][1])
        names = self._rendering.names.wanted
        return [(role, _with_text(said, names)) for role, said in told if said]


def _with_text(said: list[object], names: Mapping[str, str]) -> list[object]:
    """Return blocks with a text beside documents, which Bedrock demands: their name, where nothing is said."""
    ours = [block for block in said if isinstance(block, Block)]
    documents = [block["document"] for block in ours if "document" in block]
    if not documents or any("text" in block for block in ours):
        return said
    match documents[0]:
        case {"name": str(name)}:
            return [Block(text=names.get(name, name)), *said]
        case _:
            return said


def _strip_end(said: list[object]) -> None:
    last = said[-1]
    if isinstance(last, Block) and isinstance(text := last.get("text"), str) and text != text.rstrip():
        said[-1] = Block(text=text.rstrip())


def _wrapped(part: Part) -> Part:
    return Text(text=f"<system>\n{part.text}\n</system>", cache=part.cache) if isinstance(part, Text) else part
