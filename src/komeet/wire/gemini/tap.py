"""Reads along as a Gemini stream is forwarded, and meters it from the same bytes."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.core.errors import UpstreamAuth
from komeet.wire.gemini.answer import UNREADABLE, USAGE, blocked, list_of, members_of, text_of, tier_of, word_of
from komeet.wire.gemini.errors import parse_stream_error, render_stream_error
from komeet.wire.gemini.searches import Searches
from komeet.wire.gemini.usage import parse_usage
from komeet.wire.members import NULL
from komeet.wire.sse import fields
from komeet.wire.tap import StreamTap


class _Call(Struct):
    name: str = ""
    args: Raw = NULL


class _Part(Struct, rename="camel"):
    text: str | None = None
    function_call: _Call | None = None
    executable_code: Raw = NULL


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: Raw = NULL
    index: int = 0


class _Said(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    usage_metadata: Raw = NULL
    prompt_feedback: Raw = NULL
    model_version: str | None = None
    error: Raw = NULL


_said: Final = msgspec.json.Decoder(_Said)


class GeminiTap(StreamTap):
    """A tap for one stream; an error that is about our operator's credential is said in our own words."""

    __slots__ = ("_finished", "_searches", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._searches = Searches()
        self._started: set[int] = set()
        self._finished: set[int] = set()

    def forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        event = fields(block)
        if event is None:
            return block
        try:
            said = _said.decode(event.data)
        except UNREADABLE:
            said = _salvaged(event.data)
        if said.error != NULL:
            self.error = parse_stream_error(event.data)
            return render_stream_error(self.error) if isinstance(self.error, UpstreamAuth) else block
        if b"webSearchQueries" in event.data:
            self._searches.note(list_of(members_of(event.data).get("candidates")))
        self._read(said)
        return block

    def _read(self, said: _Said) -> None:
        self.model = self.model or said.model_version or ""
        for candidate in said.candidates or ():
            self._started.add(candidate.index)
            for part in (candidate.content.parts if candidate.content is not None else None) or ():
                self._wrote(part)
            if word_of(candidate.finish_reason):
                self._finished.add(candidate.index)
        refused = not self._started and said.prompt_feedback != NULL
        if refused and blocked({"promptFeedback": said.prompt_feedback}):
            self.done = True
        self.done = self.done or (bool(self._finished) and self._started == self._finished)
        if said.usage_metadata != NULL:
            self.service_tier = tier_of(said.usage_metadata) or self.service_tier
            self.metered(self._searches.added(parse_usage(said.usage_metadata), self.model))

    def _wrote(self, part: _Part) -> None:
        if part.text:
            self.wrote(part.text)
        if part.function_call is not None:
            self.wrote(part.function_call.name + bytes(part.function_call.args).decode("utf-8", "replace"))
        if part.executable_code != NULL:
            self.wrote(bytes(part.executable_code).decode("utf-8", "replace"))


def _salvaged(data: bytes) -> _Said:
    """Read what can be read of an event that does not fit the types."""
    members = members_of(data)
    return _Said(
        usage_metadata=members.get(USAGE, NULL),
        model_version=text_of(members.get("modelVersion")),
        error=members.get("error", NULL),
    )
