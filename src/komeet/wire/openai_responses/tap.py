"""Reads along as a Responses stream is forwarded, and meters it from the same bytes.

A stream is complete with `response.completed` or `response.incomplete`; one that carried an error is not.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.core.errors import UpstreamAuth
from komeet.wire.members import INT, NULL, OBJECT, OBJECTS
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.openai_responses.answer import FALSY, error_of, members_of, tier_of
from komeet.wire.openai_responses.errors import render_stream_error
from komeet.wire.openai_responses.members import Members
from komeet.wire.openai_responses.searches import Searches
from komeet.wire.openai_responses.usage import parse_usage
from komeet.wire.openai_responses.whole import item_texts
from komeet.wire.sse import Event, fields
from komeet.wire.tap import StreamTap

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TERMINAL: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED: Final = frozenset({"response.failed", "response.cancelled"})
_DELTAS: Final = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.code_interpreter_call_code.delta",
        "response.mcp_call_arguments.delta",
        "response.shell_call_command.delta",
        "response.audio.transcript.delta",
    }
)


class _Said(Struct):
    type: str = ""
    delta: Raw = NULL
    item: Raw = NULL
    response: Raw = NULL
    error: Raw = NULL
    output_index: Raw = NULL


_said: Final[Decoder[_Said]] = Decoder(_Said)
_string: Final[Decoder[str]] = Decoder(str)


class ResponsesTap(StreamTap):
    """A tap for one stream; an error that is about our operator's credential is said in our own words."""

    __slots__ = ("_searches", "_told")

    def __init__(self) -> None:
        super().__init__()
        self._searches = Searches()
        self._told: set[bytes] = set()
        """Items of which deltas came."""

    def forwarded(self, block: bytes) -> bytes:
        """Read `block` and return what of it goes to the caller."""
        event = fields(block)
        if event is None:
            return block
        try:
            said = _said.decode(event.data)
        except _UNREADABLE:
            return block
        self._read(said, event)
        if isinstance(self.error, UpstreamAuth):
            return render_stream_error(self.error)
        return block

    def _read(self, said: _Said, event: Event) -> None:
        kind = said.type or (event.event or b"").decode("ascii", "replace")
        if kind in _DELTAS:
            self.wrote(_string_of(said.delta))
            self._told.add(bytes(said.output_index))
        elif kind == "response.output_item.done":
            at = Members({"at": said.output_index}).fitting("at", INT)
            self._searches.note(at or 0, members_of(said.item))
            if bytes(said.output_index) not in self._told:
                for text in item_texts(members_of(said.item)):
                    self.wrote(text)
        elif kind in _FAILED:
            self.error = error_of(members_of(said.response)) or parse_stream_error(b'"it could not answer"')
        elif kind == "error" or bytes(said.error) not in FALSY:
            told = event.data if bytes(said.error) in FALSY else said.error
            self.error = parse_stream_error(told)
        elif said.response != NULL:
            self._read_response(said.response, terminal=kind in _TERMINAL)

    def _read_response(self, raw: Raw, *, terminal: bool) -> None:
        members = Members(Members({"response": raw}).fitting("response", OBJECT) or {})
        self.model = members.fitting_text("model") or self.model
        self.service_tier = tier_of(members) or self.service_tier
        usage = members.raw("usage")
        if terminal and b"_search_call" in bytes(members.peek("output") or b""):
            self._searches.note_all(members.fitting("output", OBJECTS) or [])
        self.metered(self._searches.added(None if usage is None else parse_usage(usage)))
        self.done = self.done or terminal


def _string_of(raw: Raw) -> str:
    try:
        return _string.decode(raw)
    except _UNREADABLE:
        return ""
