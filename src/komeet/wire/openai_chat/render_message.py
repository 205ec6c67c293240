"""From turns to the messages of a Chat Completions request."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import Raw

from komeet.canonical.extras import join
from komeet.canonical.part import (
    Audio,
    FileId,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    ServerTool,
    ToolCall,
    ToolResult,
)
from komeet.canonical.tool import flat_name
from komeet.canonical.turn import Role, Turn
from komeet.wire.openai_chat.cache import lose_mark, own_mark, part_mark
from komeet.wire.openai_chat.content import THINKING
from komeet.wire.openai_chat.in_dialect import call_id
from komeet.wire.openai_chat.members import ORIGIN, foreign, own
from komeet.wire.openai_chat.render_content import Json, Piece, Target, content_pieces, plain, text_piece
from komeet.wire.openai_chat.sealed import DETAILS

Placed = tuple[str, Part]
"""A part, and its path in the request."""

_MOVED = "The result is in the next message of the user."
_TEXT_NAME: Final = "reasoning_content"
_TEXT_NAMES: Final = {"reasoning": "reasoning", DETAILS: "reasoning"}
"""Where the text of earlier reasoning goes, by what the provider wants, or else as it came."""


def messages(turns: Sequence[Turn], target: Target) -> list[Json]:
    """Return the messages that say `turns`; what they cannot say is declared to `target`.

    Turns of an assistant that hold only reasoning or tool calls become one message with their neighbours.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry.
    """
    told = _Messages(target)
    for group in _joined(turns):
        told.add(group)
    told.show_media()
    return told.all


def _joined(turns: Sequence[Turn]) -> Iterator[list[tuple[int, Turn]]]:
    group: list[tuple[int, Turn]] = []
    for index, turn in enumerate(turns):
        if group and not _joins(group[-1][1], turn):
            yield group
            group = []
        group.append((index, turn))
    if group:
        yield group


def _joins(before: Turn, turn: Turn) -> bool:
    both = before.role is turn.role is Role.ASSISTANT and before.name == turn.name
    return both and not own(turn.extras) and (_is_bare(before) or _is_bare(turn))


def _is_bare(turn: Turn) -> bool:
    """Whether a turn is no message of its own."""
    return bool(turn.parts) and all(isinstance(part, Reasoning | ToolCall | ServerTool) for part in turn.parts)


class _Messages:
    """Messages that are being written."""

    __slots__ = ("_media", "_target", "_unnamed", "all")

    def __init__(self, target: Target) -> None:
        self._target = target
        self.all: list[Json] = []
        self._media: list[Piece] = []
        """What tools answered and their messages cannot carry: it follows when all have answered."""
        self._unnamed: list[str] = []
        """Ids that were made up for calls that had none, until they are answered."""

    def add(self, group: Sequence[tuple[int, Turn]]) -> None:
        """Write turns that are one message."""
        turn = group[0][1]
        for index, each in group:
            self._target.losses.extend(foreign(each.extras, f"messages[{index}]"))
        parts = list(chain.from_iterable(_placed(index, each) for index, each in group))
        results = [(path, part) for path, part in parts if isinstance(part, ToolResult)]
        rest = [(path, part) for path, part in parts if not isinstance(part, ToolResult)]
        for path, result in results:
            self._result(result, turn, path)
        if rest or not results:
            self.show_media()
            self._message(turn, group[0][0], rest)

    def show_media(self) -> None:
        """Write what tools answered besides text."""
        if self._media:
            self.all.append({"role": "user", "content": self._media})
            self._media = []

    def _result(self, result: ToolResult, turn: Turn, path: str) -> None:
        target = self._target
        target.losses.extend(foreign(result.extras, path))
        if result.failed:
            target.lose(f"{path}.failed", "Chat Completions cannot say that a tool failed; its words are kept")
        call_id = self._id(result.call_id) or (self._unnamed.pop(0) if self._unnamed else "")
        who: Json = {"role": "tool", "tool_call_id": call_id} if call_id else {"role": "function"}
        if result.name:
            who["name"] = result.name
        content: list[Piece] = []
        media: list[Piece] = []
        for index, part in enumerate(result.parts):
            for piece in content_pieces(part, f"{path}.content[{index}]", target):
                (media if isinstance(piece, dict) and piece["type"] != "text" else content).append(piece)
        if media:
            self._media += [text_piece(f"[tool result {call_id}]:"), *media]
            content = content or [text_piece(_MOVED)]
        mark = self._result_mark(result, content, path)
        self.all.append({**who, "content": plain(content), **mark, **own(turn.extras)})

    def _result_mark(self, result: ToolResult, content: list[Piece], path: str) -> Json:
        """Return the message's own mark; that of another format goes to the last of the texts."""
        mark = result.cache
        if mark is None or mark.origin == ORIGIN:
            return own_mark(mark, "message")
        if content and isinstance(last := content[-1], dict):
            content[-1] = {**last, **part_mark(mark, path, self._target.profile, self._target.losses)}
        else:
            lose_mark(mark, path, self._target.losses)
        return {}

    def _role(self, role: Role) -> Role:
        match role:
            case Role.TOOL:
                return Role.USER
            case Role.DEVELOPER if not self._target.profile.dialect.developer:
                return Role.SYSTEM
            case _:
                return role

    def _message(self, turn: Turn, index: int, parts: Sequence[Placed]) -> None:
        role = self._role(turn.role)
        message: Json = {"role": role.value}
        if turn.name is not None:
            message["name"] = turn.name
        content: list[Piece] = []
        calls: list[Json] = []
        for path, part in parts:
            if not isinstance(part, Opaque):
                message.update(own_mark(part.cache, "message"))
            match part:
                case ToolCall():
                    calls.append(self._call(part, path, f"call_{index}_{len(calls)}"))
                case Reasoning():
                    self._reasoning(part, path, message, content)
                case ServerTool(kind=kind):
                    self._target.lose(path, f"a {kind} is not taken back; what came of it is in the text")
                case Refusal(text=text, extras=extras) if role is Role.ASSISTANT and not own(extras):
                    self._target.losses.extend(foreign(extras, path))
                    message["refusal"] = f"{message.get('refusal', '')}{text}"
                case Audio(source=FileId(id=name)):
                    message["audio"] = {"id": name, **own(part.extras)}
                case _:
                    content += content_pieces(part, path, self._target)
        if content or role is not Role.ASSISTANT:
            message["content"] = plain(content)
        if calls:
            message["tool_calls"] = calls
        message.update(own(turn.extras))
        if len(message) > 1 or not parts:
            self.all.append(message)

    def _reasoning(self, part: Reasoning, path: str, message: Json, content: list[Piece]) -> None:
        seal, target = part.seal, self._target
        target.losses.extend(foreign(part.extras, path))
        if seal is not None and seal.origin != ORIGIN:
            target.lose(path, f"reasoning is returned only to the format that sealed it, {seal.origin}")
            return
        if seal is None and not target.profile.takes_reasoning:
            target.lose(path, "the model does not take earlier reasoning back")
            return
        wanted = target.profile.dialect.reasoning
        if seal is not None and seal.name == THINKING and wanted in (None, THINKING):
            content.append(seal.value)
            return
        if wanted == THINKING:
            if part.text:
                content.append({"type": THINKING, THINKING: [text_piece(part.text)]})
            return
        if part.text:
            name = _TEXT_NAMES.get(wanted or part.field, _TEXT_NAME)
            message[name] = f"{message.get(name, '')}{part.text}"
        if seal is not None and seal.name != THINKING:
            self._details(seal, path, message)

    def _details(self, seal: Seal, path: str, message: Json) -> None:
        if self._target.profile.dialect.reasoning not in (None, DETAILS):
            self._target.lose(f"{path}.{seal.name}", "the provider does not take it back; the text is kept")
            return
        earlier = message.get(seal.name)
        message[seal.name] = join([earlier, seal.value]) if isinstance(earlier, Raw) else seal.value

    def _id(self, said: str) -> str:
        return call_id(said, self._target.profile.dialect) if said else ""

    def _call(self, call: ToolCall, path: str, made_up: str) -> Json:
        self._target.losses.extend(foreign(call.extras, path))
        lose_mark(call.cache, path, self._target.losses)
        if not call.id:
            made_up = self._id(made_up)
            self._unnamed.append(made_up)
        return {**tool_call(call, flat_name(call.namespace, call.name)), "id": self._id(call.id) or made_up}


def tool_call(call: ToolCall, name: str) -> Json:
    """Return a whole tool call; a function that is given no arguments is given an empty object."""
    kind, argument, empty = ("custom", "input", "") if call.custom else ("function", "arguments", "{}")
    text = call.arguments.decode("utf-8", "replace") or empty
    inside = {"name": name, argument: text, **own(call.extras, "function")}
    return {"id": call.id, "type": kind, kind: inside, **own(call.extras)}


def _placed(index: int, turn: Turn) -> Iterable[Placed]:
    return [(f"messages[{index}].content[{at}]", part) for at, part in enumerate(turn.parts)]
