"""Writes an answer for a caller of this format: the events of a stream, and the whole of it."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Raw

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.fold import Folding
from komeet.canonical.part import Citation, Opaque, Part, Reasoning, Refusal, ServerTool, Text, ToolCall
from komeet.canonical.response import StopReason
from komeet.wire.format import Asked
from komeet.wire.openai_responses.answer_out import (
    call_item,
    id_in,
    message_item,
    response_object,
    text_content,
    thought_item,
)
from komeet.wire.openai_responses.content_out import Json, annotation
from komeet.wire.openai_responses.finish import COMPLETED, INCOMPLETE, incomplete_reason
from komeet.wire.openai_responses.members import CONTENT, MESSAGE, ORIGIN, OWN, REASONING_TEXT
from komeet.wire.openai_responses.render_items import EMPTY_ARGUMENTS

Said = tuple[str, Json]
"""An event: its type and its members, but for its number."""

_OWN: Final = (Opaque, ServerTool)


class _Message:
    """A message that is being written."""

    __slots__ = ("at", "content", "id", "members", "native")

    def __init__(self, at: int, name: str, native: str) -> None:
        self.at = at
        self.id = name
        self.native = native
        """Its id where it comes from."""
        self.content: list[object] = []
        self.members: Mapping[str, Raw] = {}


class _Part:
    """A part that is being written: its item, and where in it."""

    __slots__ = ("at", "citations", "empty", "id", "kind", "length", "message", "place")

    def __init__(self, kind: type[Part], at: int, name: str) -> None:
        self.kind = kind
        self.at = at
        self.id = name
        self.place = 0
        self.message: _Message | None = None
        self.empty = True
        self.length = 0
        self.citations = 0


class Writer:
    """Takes the events of one answer; only the first candidate has a place in this format."""

    __slots__ = ("_asked", "_count", "_finish", "_folding", "_items", "_message", "_open", "_refused", "_texts")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._folding = Folding()
        self._count = 0
        self._items: dict[int, object] = {}
        """Complete items, by their place in the output."""
        self._message: _Message | None = None
        self._open: dict[int, _Part] = {}
        self._texts: dict[int, str] = {}
        """Of a reasoning: the kind of its text."""
        self._finish: Finish | None = None
        self._refused = False

    def take(self, event: Event) -> Iterator[Said]:
        """Yield what the caller is told; a Fail has to be told by other means."""
        if isinstance(event, Fail) or getattr(event, "candidate", 0) not in (0, None):
            return
        self._folding.take(event)
        match event:
            case PartStart(index=index, part=part):
                yield from self._begin(index, part)
            case TextDelta(index=index, text=text):
                yield from self._text(index, text)
            case ArgumentsDelta(index=index, data=data):
                yield from self._arguments(index, data)
            case CitationDelta(index=index, citation=citation):
                yield from self._cite(index, citation)
            case PartEnd(index=index):
                yield from self._end(index, self._folding.part(0, index).done())
            case Finish():
                self._finish = event
                yield from self._close()
            case Start() | AudioDelta() | SealDelta() | ExtraDelta() | UsageEvent():
                pass

    def begun(self) -> Json:
        """Return the response as it is before anything is written."""
        return self._response("in_progress", None)

    def ended(self) -> Iterator[Said]:
        """Yield what ends the answer: the last event has all of it."""
        for index in list(self._open):
            yield from self._end(index, self._folding.part(0, index).done())
        yield from self._close()
        finish = self._finish
        reason = None
        if finish is not None:
            reason = incomplete_reason(finish.stop, finish.native_stop, refused=self._refused)
        status = COMPLETED if reason is None else INCOMPLETE
        yield f"response.{status}", {"response": self._response(status, reason)}

    def _response(self, status: str, reason: str | None) -> Json:
        answer = self._folding.done() if status != "in_progress" else None
        start = self._folding.start
        own = bool(start.id) and (OWN in start.extras or start.id.startswith("resp_"))
        name = start.id if own else f"resp_{self._asked.id}"
        head: Json = {
            "id": name,
            "created_at": start.created or self._asked.created,
            "status": status,
            "model": start.model or self._asked.envelope.model,
        }
        tier = start.service_tier if answer is None else answer.service_tier
        if tier is not None:
            head["service_tier"] = tier
        return response_object(
            self._asked,
            head,
            extras={} if answer is None else answer.extras,
            output=[self._items[at] for at in sorted(self._items)],
            usage=None if answer is None else answer.usage,
            reason=reason,
        )

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _name(self, prefix: str, at: int) -> str:
        return f"{prefix}_{self._asked.id}_{at}"

    def _begin(self, index: int, part: Part) -> Iterator[Said]:
        match part:
            case Text() | Refusal():
                yield from self._begin_piece(index, part)
            case Opaque(origin=origin) if origin == CONTENT and self._message is not None:
                self._open[index] = piece = _Part(Opaque, self._message.at, self._message.id)
                piece.message = self._message
            case Reasoning() | ToolCall() | ServerTool() | Opaque():
                if isinstance(part, _OWN) and part.origin != ORIGIN:
                    return
                yield from self._close()
                yield from self._begin_item(index, part)
            case _:
                pass

    def _begin_piece(self, index: int, part: Text | Refusal) -> Iterator[Said]:
        members = part.extras.get(MESSAGE, {})
        native = id_in(members)
        message = self._message
        if message is not None and native and message.native and native != message.native:
            yield from self._close()
            message = None
        if message is None:
            at = self._next()
            message = self._message = _Message(at, native or self._name("msg", at), native)
            item = {**message_item(message.id, [], members, "in_progress"), "status": "in_progress"}
            yield "response.output_item.added", {"output_index": at, "item": item}
        self._open[index] = piece = _Part(type(part), message.at, message.id)
        piece.message, piece.place = message, len(message.content)
        empty = text_content(type(part)())
        yield "response.content_part.added", {**_where(piece), "part": empty}
        if part.text:
            yield from self._text(index, part.text)
        if isinstance(part, Text):
            for citation in part.citations:
                yield from self._cite(index, citation)

    def _begin_item(self, index: int, part: Reasoning | ToolCall | ServerTool | Opaque) -> Iterator[Said]:
        at = self._next()
        match part:
            case Reasoning(text=text, field=field):
                name = id_in(part.extras.get(ORIGIN, {})) or self._name("rs", at)
                piece = self._open[index] = _Part(Reasoning, at, name)
                self._texts[index] = field if field == REASONING_TEXT else ""
                item: Json = {"id": piece.id, "type": "reasoning", "summary": []}
                yield "response.output_item.added", {"output_index": at, "item": item}
                if text:
                    yield from self._text(index, text)
            case ToolCall():
                name = id_in(part.extras.get(ORIGIN, {})) or self._name("ctc" if part.custom else "fc", at)
                self._open[index] = _Part(ToolCall, at, name)
                empty = ToolCall(name=part.name, custom=part.custom, namespace=part.namespace)
                item = call_item(empty, name, part.id or self._name("call", at), status="in_progress")
                yield "response.output_item.added", {"output_index": at, "item": item}
                if part.arguments:
                    yield from self._arguments(index, part.arguments)
            case ServerTool(value=value) | Opaque(value=value):
                self._open[index] = _Part(type(part), at, "")
                yield "response.output_item.added", {"output_index": at, "item": value}

    def _text(self, index: int, text: str) -> Iterator[Said]:
        piece = self._open.get(index)
        if piece is None or not text:
            return
        if piece.kind is Reasoning:
            yield from self._reasoned(piece, self._texts[index], text)
            return
        piece.length += len(text)
        if piece.kind is Refusal:
            yield "response.refusal.delta", {**_where(piece), "delta": text}
        else:
            yield "response.output_text.delta", {**_where(piece), "delta": text, "logprobs": []}

    def _reasoned(self, piece: _Part, field: str, text: str) -> Iterator[Said]:
        if field == REASONING_TEXT:
            if piece.empty:
                yield "response.content_part.added", {**_where(piece), "part": {"type": REASONING_TEXT, "text": ""}}
            yield "response.reasoning_text.delta", {**_where(piece), "delta": text}
        else:
            if piece.empty:
                part = {"type": "summary_text", "text": ""}
                yield "response.reasoning_summary_part.added", {**_summary(piece), "part": part}
            yield "response.reasoning_summary_text.delta", {**_summary(piece), "delta": text}
        piece.empty = False

    def _arguments(self, index: int, data: bytes) -> Iterator[Said]:
        piece = self._open.get(index)
        if piece is None or not data:
            return
        piece.empty = False
        part = self._folding.part(0, index).part
        kind = "custom_tool_call_input" if isinstance(part, ToolCall) and part.custom else "function_call_arguments"
        yield f"response.{kind}.delta", {**_which(piece), "delta": data.decode("utf-8", "replace")}

    def _cite(self, index: int, citation: Citation) -> Iterator[Said]:
        piece = self._open.get(index)
        if piece is None:
            return
        told = annotation(citation, piece.length)
        if told is not None:
            where = {**_where(piece), "annotation_index": piece.citations}
            piece.citations += 1
            yield "response.output_text.annotation.added", {**where, "annotation": told}

    def _end(self, index: int, part: Part) -> Iterator[Said]:
        piece = self._open.pop(index, None)
        if piece is None:
            return
        match part:
            case Text() | Refusal():
                yield from self._end_piece(piece, part)
            case Reasoning():
                yield from self._end_reasoning(piece, part, self._texts.pop(index, ""))
            case ToolCall():
                yield from self._end_call(piece, part)
            case Opaque(value=value) if piece.message is not None:
                piece.message.content.append(value)
            case ServerTool(value=value) | Opaque(value=value):
                yield self._done(piece.at, value)
            case _:
                pass

    def _end_piece(self, piece: _Part, part: Text | Refusal) -> Iterator[Said]:
        message = piece.message
        if message is None:
            return
        content = text_content(part)
        if isinstance(part, Refusal):
            self._refused = True
            yield "response.refusal.done", {**_where(piece), "refusal": part.text}
        else:
            logprobs = content["logprobs"]
            yield "response.output_text.done", {**_where(piece), "text": part.text, "logprobs": logprobs}
        yield "response.content_part.done", {**_where(piece), "part": content}
        message.content.append(content)
        message.members = part.extras.get(MESSAGE, {})

    def _end_reasoning(self, piece: _Part, part: Reasoning, field: str) -> Iterator[Said]:
        if not piece.empty:
            if field == REASONING_TEXT:
                told = {"type": REASONING_TEXT, "text": part.text}
                yield "response.reasoning_text.done", {**_where(piece), "text": part.text}
                yield "response.content_part.done", {**_where(piece), "part": told}
            else:
                told = {"type": "summary_text", "text": part.text}
                yield "response.reasoning_summary_text.done", {**_summary(piece), "text": part.text}
                yield "response.reasoning_summary_part.done", {**_summary(piece), "part": told}
        yield self._done(piece.at, thought_item(part, piece.id))

    def _end_call(self, piece: _Part, call: ToolCall) -> Iterator[Said]:
        text = call.arguments.decode("utf-8", "replace")
        item = call_item(call, piece.id, call.id or self._name("call", piece.at), status=COMPLETED)
        if call.custom:
            yield "response.custom_tool_call_input.done", {**_which(piece), "input": text}
        else:
            if not text:
                text = item["arguments"] = EMPTY_ARGUMENTS.decode()
                yield "response.function_call_arguments.delta", {**_which(piece), "delta": text}
            yield "response.function_call_arguments.done", {**_which(piece), "name": call.name, "arguments": text}
        yield self._done(piece.at, item)

    def _close(self) -> Iterator[Said]:
        """End the message that is being written."""
        message, self._message = self._message, None
        if message is None:
            return
        for index, piece in list(self._open.items()):
            if piece.message is message:
                yield from self._end(index, self._folding.part(0, index).done())
        cut = self._finish is not None and self._finish.stop in (StopReason.LENGTH, StopReason.CONTENT_FILTER)
        status = INCOMPLETE if cut else COMPLETED
        yield self._done(message.at, message_item(message.id, message.content, message.members, status))

    def _done(self, at: int, item: object) -> Said:
        self._items[at] = item
        return "response.output_item.done", {"output_index": at, "item": item}


def _which(piece: _Part) -> Json:
    return {"item_id": piece.id, "output_index": piece.at}


def _where(piece: _Part) -> Json:
    return {**_which(piece), "content_index": piece.place}


def _summary(piece: _Part) -> Json:
    return {**_which(piece), "summary_index": 0}
