"""From turns to the messages of a Cohere request."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from komeet.canonical.loss import Loss
from komeet.canonical.part import (
    Audio,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.canonical.tool import flat_name
from komeet.canonical.turn import Role, Turn
from komeet.core.errors import Unrepresentable
from komeet.wire.cohere_chat.members import foreign
from komeet.wire.cohere_chat.parse_response import TOOL_PLAN

Json = dict[str, object]

_ROLES: Final = {
    Role.SYSTEM: "system",
    Role.DEVELOPER: "system",
    Role.USER: "user",
    Role.TOOL: "user",
    Role.ASSISTANT: "assistant",
}
_TEXT_TYPES: Final = ("text/", "application/json", "application/xml")
_MOVED: Final = "The result is in the next message of the user."


def render_messages(turns: Sequence[Turn], losses: list[Loss]) -> list[Json]:
    """Return the messages that say `turns`; what they cannot say is declared to `losses`.

    Raises:
        Unrepresentable: 422, a part that the format cannot carry.
    """
    told = _Messages(losses)
    for index, turn in enumerate(turns):
        told.add(turn, f"messages[{index}]")
    return told.done()


class _Said(Struct):
    """What an assistant says, in one turn or in several."""

    content: list[Json] = []
    calls: list[Json] = []
    thoughts: list[str] = []


class _Messages:
    """Messages that are being written. Turns of an assistant that follow each other are one message."""

    __slots__ = ("_losses", "_media", "_said", "_told", "_unnamed")

    def __init__(self, losses: list[Loss]) -> None:
        self._losses = losses
        self._told: list[Json] = []
        self._said: _Said | None = None
        self._media: list[Json] = []
        """What tools answered and their messages cannot carry: it follows when all have answered."""
        self._unnamed: list[str] = []
        """Ids that were made up for calls that had none, until they are answered."""

    def add(self, turn: Turn, path: str) -> None:
        """Write a turn."""
        self._losses.extend(foreign(turn.extras, path))
        if turn.name is not None:
            self._lose(f"{path}.name", "Cohere does not tell speakers of a role apart")
        placed = [(f"{path}.content[{at}]", part) for at, part in enumerate(turn.parts)]
        if turn.role is not Role.ASSISTANT:
            self._end_assistant()
        for where, part in placed:
            if isinstance(part, ToolResult):
                self._result(part, where)
        others = [(where, part) for where, part in placed if not isinstance(part, ToolResult)]
        if turn.role is Role.ASSISTANT:
            self._show_media()
            self._assistant(others)
        elif others:
            self._show_media()
            content = [piece for where, part in others for piece in self._content(part, where)]
            self._told.append({"role": _ROLES[turn.role], "content": _plain(content)})

    def done(self) -> list[Json]:
        """Return the messages."""
        self._end_assistant()
        self._show_media()
        return self._told

    def _lose(self, path: str, reason: str) -> None:
        self._losses.append(Loss(path, reason))

    def _show_media(self) -> None:
        if self._media:
            self._told.append({"role": "user", "content": self._media})
            self._media = []

    def _result(self, result: ToolResult, path: str) -> None:
        self._known(result, path)
        if result.failed:
            self._lose(f"{path}.failed", "Cohere cannot say that a tool failed; its words are kept")
        call_id = result.call_id or (self._unnamed.pop(0) if self._unnamed else "")
        pieces = [piece for i, part in enumerate(result.parts) for piece in self._content(part, f"{path}.content[{i}]")]
        content = [piece for piece in pieces if piece["type"] == "text"]
        media = [piece for piece in pieces if piece["type"] != "text"]
        if media:
            self._media += [_text(f"[tool result {call_id}]:"), *media]
            content = content or [_text(_MOVED)]
        self._told.append({"role": "tool", "tool_call_id": call_id, "content": _plain(content)})

    def _assistant(self, placed: Sequence[tuple[str, Part]]) -> None:
        said = self._said = self._said or _Said()
        for where, part in placed:
            match part:
                case ToolCall():
                    self._known(part, where)
                    said.calls.append(self._call(part, f"call_{len(self._told)}_{len(said.calls)}"))
                case Reasoning(text=text, seal=seal):
                    self._known(part, where)
                    if seal is not None:
                        self._lose(where, f"reasoning is returned only to the format that sealed it, {seal.origin}")
                    elif text:
                        said.thoughts.append(text)
                case ServerTool(kind=kind):
                    self._lose(where, f"a {kind} is not taken back; what came of it is in the text")
                case _:
                    said.content += self._content(part, where)

    def _end_assistant(self) -> None:
        """Write what an assistant said; thoughts before calls are its plan."""
        said, self._said = self._said, None
        if said is None:
            return
        content, message = said.content, dict[str, object](role="assistant")
        if said.calls:
            message["tool_calls"] = said.calls
            if said.thoughts:
                message[TOOL_PLAN] = "".join(said.thoughts)
        else:
            content = [*[_thought(text) for text in said.thoughts], *content]
        if content or not said.calls:
            message["content"] = _plain(content)
        self._told.append(message)

    def _call(self, call: ToolCall, made_up: str) -> Json:
        if not call.id:
            self._unnamed.append(made_up)
        arguments = call.arguments.decode("utf-8", "replace")
        if call.custom:
            arguments = msgspec.json.encode({"input": arguments}).decode()
        function = {"name": flat_name(call.namespace, call.name), "arguments": arguments or "{}"}
        return {"id": call.id or made_up, "type": "function", "function": function}

    def _content(self, part: Part, path: str) -> list[Json]:
        self._known(part, path)
        match part:
            case Text(text=text) | Refusal(text=text):
                return [_text(text)]
            case Image():
                return [_image(part, path)]
            case File():
                return _file(part, path)
            case Audio():
                raise _cannot(path, "audio")
            case Opaque(origin=origin):
                raise _cannot(path, f"a part that only the format {origin} knows")
            case Reasoning() | ToolCall() | ToolResult() | ServerTool():
                raise _cannot(path, f"a {type(part).__name__} in this place")

    def _known(self, part: Part, path: str) -> None:
        """Declare what a part has that the format does not."""
        if isinstance(part, Opaque):
            return
        self._losses.extend(foreign(part.extras, path))
        if part.cache is not None:
            self._lose(f"{path}.{part.cache.name or 'cache'}", "Cohere takes no marks for its prompt cache")


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _thought(text: str) -> Json:
    return {"type": "thinking", "thinking": text}


def _image(image: Image, path: str) -> Json:
    match image.source:
        case Inline(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}"
        case Url(url=url):
            pass
        case FileId():
            raise _cannot(path, "an image by the id of a file")
    return {
        "type": "image_url",
        "image_url": {"url": url} if image.detail is None else {"url": url, "detail": image.detail},
    }


def _file(file: File, path: str) -> list[Json]:
    """Return the text of a document that is nothing else: Cohere reads no files."""
    match file.source:
        case Inline(media_type=media_type, data=data) if media_type.startswith(_TEXT_TYPES):
            try:
                text = b64decode(data, validate=True).decode()
            except ValueError:
                raise _cannot(path, "a document that is not the text that it says it is") from None
            name = file.filename or file.title
            about = [_text(file.context)] if file.context else []
            return [*about, _text(f"{name}\n{text}" if name else text)]
        case Inline() | Url() | FileId():
            raise _cannot(path, "a document that is not plain text")


def _plain(pieces: list[Json]) -> object:
    match pieces:
        case []:
            return ""
        case [{"type": "text", "text": str(text)}]:
            return text
        case _:
            return pieces


def _cannot(path: str, what: str) -> Unrepresentable:
    return Unrepresentable(f"{path} is {what}, which Cohere's chat cannot carry; leave it out.", param=path)
