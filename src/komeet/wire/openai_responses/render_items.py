"""From turns to the items of a Responses request."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import Opaque, Part, Reasoning, ServerTool, Text, ToolCall, ToolResult
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_responses.content_out import Content, Json
from komeet.wire.openai_responses.members import CONTENT, MESSAGE, ORIGIN, REASONING, REASONING_TEXT, SEAL, foreign

EMPTY_ARGUMENTS: Final = b"{}"
"""Arguments of a function without any: an empty text is no JSON."""


class Calls:
    """The tool calls of a conversation: ids for those that have none, and which of them take free text."""

    __slots__ = ("_count", "_custom", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._custom: set[str] = set()
        self._open: deque[tuple[str, str]] = deque()
        """Ids of ours that no result has answered yet, with the names of their tools."""

    def call(self, call: ToolCall) -> str:
        """Return the id of a call."""
        number = self._count
        self._count += 1
        name = call.id or f"call_{number}"
        if not call.id:
            self._open.append((name, call.name))
        if call.custom:
            self._custom.add(name)
        return name

    def result(self, result: ToolResult) -> str:
        """Return the id of the call that `result` answers."""
        if result.call_id or not self._open:
            return result.call_id
        found = next((each for each in self._open if result.name and each[1] == result.name), self._open[0])
        self._open.remove(found)
        return found[0]

    def is_custom(self, call_id: str) -> bool:
        """Whether the call was one of a custom tool."""
        return call_id in self._custom


class Items:
    """Writes the items of one request.

    Args:
        content: writes what is in them.
        losses: where that goes which cannot be said.
    """

    __slots__ = ("_calls", "_content", "_losses", "told")

    def __init__(self, content: Content, losses: list[Loss]) -> None:
        self._content = content
        self._losses = losses
        self._calls = Calls()
        self.told: list[object] = []

    def add(self, turn: Turn, path: str) -> None:
        """Add the items that say `turn`, in the order of its parts.

        Raises:
            Unrepresentable: 422, a part that the format cannot carry.
        """
        self._losses.extend(foreign(turn.extras, path))
        if turn.name is not None:
            self._losses.append(Loss(f"{path}.name", "Responses has no names for speakers"))
        inside: list[Part] = []
        for index, part in enumerate(turn.parts):
            at = f"{path}.content[{index}]"
            match part:
                case ToolCall():
                    item = self._call(part, at)
                case ToolResult():
                    item = self._result(part, at)
                case Reasoning():
                    item = self._reasoning(part, at)
                case ServerTool():
                    item = self._server_tool(part, at)
                case Opaque(origin=origin) if origin != CONTENT:
                    item = _opaque(part, at)
                case _:
                    inside.append(part)
                    continue
            inside = self._message(turn, inside, path, index)
            if item is not None:
                self.told.append(item)
        if inside or not turn.parts:
            self._message(turn, inside, path, len(turn.parts))

    def _message(self, turn: Turn, parts: Sequence[Part], path: str, end: int) -> list[Part]:
        """Add the message that is made of `parts`, which end before the part `end` of the turn; return no parts."""
        extras = turn.extras.get(MESSAGE, {})
        assistant = turn.role is Role.ASSISTANT
        if parts or extras or not (assistant or turn.parts or turn.role is Role.TOOL):
            plain = self._content.spoken(parts, path, end) if assistant and not extras else None
            plain = plain if assistant else self._content.plain(parts)
            content: object = plain
            if plain is None:
                first = end - len(parts)
                content = [
                    piece
                    for index, part in enumerate(parts)
                    for piece in self._content.parts(part, f"{path}.content[{first + index}]", assistant=assistant)
                ]
            role = Role.USER if turn.role is Role.TOOL else turn.role
            kind = {"type": "message"} if assistant else {}
            if assistant and plain is None and not extras:  # said in pieces, it has to have an id
                kind |= {"id": f"msg_{len(self.told)}", "status": "completed"}
            self.told.append({**kind, "role": role.value, "content": content, **extras})
        return []

    def _call(self, call: ToolCall, path: str) -> Json:
        self._losses.extend(foreign(call.extras, path))
        if call.cache is not None:
            self._losses.append(Loss(f"{path}.cache_control", "Responses has no place for it there"))
        arguments = call.arguments if call.custom else call.arguments or EMPTY_ARGUMENTS
        text = arguments.decode("utf-8", "replace")
        return {
            "type": "custom_tool_call" if call.custom else "function_call",
            "call_id": self._calls.call(call),
            "name": call.name,
            "input" if call.custom else "arguments": text,
            **({"namespace": call.namespace} if call.namespace else {}),
            **call.extras.get(ORIGIN, {}),
        }

    def _result(self, result: ToolResult, path: str) -> Json:
        self._losses.extend(foreign(result.extras, path))
        if result.failed:
            self._losses.append(Loss(f"{path}.failed", "Responses cannot say that a tool failed; its words are kept"))
        if result.cache is not None and not (result.parts and isinstance(result.parts[-1], Text)):
            self._losses.append(Loss(f"{path}.cache_control", "Responses has no place for it there"))
        elif result.cache is not None:
            last = msgspec.structs.replace(result.parts[-1], cache=result.cache)
            result = msgspec.structs.replace(result, parts=(*result.parts[:-1], last))
        call_id = self._calls.result(result)
        custom = result.custom or self._calls.is_custom(call_id)
        output: object = self._content.plain(result.parts)
        if output is None:
            output = [
                piece
                for index, part in enumerate(result.parts)
                for piece in self._content.parts(part, f"{path}.content[{index}]", assistant=False)
            ]
        return {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": call_id,
            "output": output if result.parts or ORIGIN in result.extras else "",
            **result.extras.get(ORIGIN, {}),
        }

    def _reasoning(self, part: Reasoning, path: str) -> Json | None:
        self._losses.extend(foreign(part.extras, path))
        if part.seal is not None and part.seal.origin != ORIGIN:
            reason = f"reasoning is returned only to the format that sealed it, {part.seal.origin}"
            self._losses.append(Loss(path, reason))
            return None
        if part.seal is None and REASONING not in part.extras:
            self._losses.append(Loss(path, "reasoning that no Responses provider sealed is not returned to one"))
            return None
        return reasoning_item(part)

    def _server_tool(self, part: ServerTool, path: str) -> Raw | None:
        if part.origin == ORIGIN:
            return part.value
        self._losses.append(Loss(path, f"a tool that a provider of the format {part.origin} ran itself"))
        return None


def reasoning_item(part: Reasoning) -> Json:
    """Return a reasoning as it was written, or with its text as its summary."""
    own = part.extras.get(REASONING, {})
    texts: Json = {"summary": [{"type": "summary_text", "text": part.text}] if part.text else []}
    if part.field == REASONING_TEXT and part.text:
        texts = {"summary": [], "content": [{"type": REASONING_TEXT, "text": part.text}]}
    seal = {} if part.seal is None or part.seal.origin != ORIGIN else {SEAL: part.seal.value}
    return {"type": "reasoning", **({} if own else texts), **own, **seal}


def instructions(turns: Sequence[Turn]) -> str | None:
    """Return what goes into the member of that name: the preamble, if it is one plain text."""
    match turns:
        case [Turn(preamble=True, name=None, parts=[Text(text=text, cache=None, extras=extras)]), *_] if not extras:
            return text
        case _:
            return None


def written(turns: Iterable[Turn], content: Content, losses: list[Loss], *, skip: int) -> list[object]:
    """Return the items that say `turns`, without the first `skip`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry.
    """
    items = Items(content, losses)
    for index, turn in enumerate(turns):
        if index >= skip:
            items.add(turn, f"messages[{index}]")
    return items.told


def _opaque(part: Opaque, path: str) -> Raw:
    if part.origin != ORIGIN:
        raise Unrepresentable(
            f"{path} is a part that only the format {part.origin} knows, which Responses cannot carry; leave it out.",
            param=path,
        )
    return part.value
