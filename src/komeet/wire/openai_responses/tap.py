"""Reads along as a Responses stream is forwarded, and meters it from the same bytes.

A stream is complete with `response.completed` or `response.incomplete`; one that carried an error is not.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled, UpstreamAuth, UpstreamError
from komeet.wire.members import NULL, OBJECT
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.openai_responses.answer import FALSY, error_of, members_of, tier_of
from komeet.wire.openai_responses.errors import render_stream_error
from komeet.wire.openai_responses.members import Members
from komeet.wire.openai_responses.usage import parse_usage
from komeet.wire.openai_responses.whole import written
from komeet.wire.sse import Event, Splitter, fields

_FIELD_STARTS: Final = b"deir:"
"""First bytes of the lines of an event stream: data, event, id, retry, and comments."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
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


class ResponsesTap:
    """A tap for one stream."""

    __slots__ = (
        "_begun",
        "_pieces",
        "_splitter",
        "_told",
        "_unmetered",
        "done",
        "error",
        "first_content",
        "model",
        "service_tier",
        "usage",
    )

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._begun = False
        self._pieces: list[str] = []
        self._told: set[bytes] = set()
        """Items of which deltas came."""
        self._unmetered = False
        """Whether the model has written since usage was last reported."""
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        self.first_content = False
        self.done = False
        """Whether the event that ends an answer came."""
        self.error: UpstreamError | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the caller now: whole events, as they came.

        An error that is about our operator's credential is said in our own words.

        Raises:
            Garbled: the bytes are no event stream, or an event is above the limit.
        """
        if not self._begun:
            self._begun = _begins(data)
        return b"".join([self._forwarded(block) for block in self._splitter.feed(data)])

    def end(self) -> tuple[bytes, bool]:
        """Return what is left to send on, and whether the answer was complete; never raises.

        What was cut short (an event, a comment, a line) is not sent on: what is said next would run into it.
        """
        rest = self._splitter.rest()
        event = fields(rest)
        if event is not None:
            rest = self._forwarded(rest) if members_of(event.data) else b""
        complete = self.error is None and self.done
        if self._unmetered and self.usage is not None and (not complete or self.usage.output == 0):
            self.usage = None  # it was reported before what was written last: it is not the usage of that
        if event is None:
            return (b"" if rest.strip() else rest), complete
        if rest and not complete:
            rest += b"\n\n"
        return rest, complete

    def output_text(self) -> str:
        """Return all that the model wrote (texts, reasoning, tool arguments), for counting tokens."""
        return "".join(self._pieces)

    def _forwarded(self, block: bytes) -> bytes:
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
            self._wrote(_string_of(said.delta))
            self._told.add(bytes(said.output_index))
        elif kind == "response.output_item.done":
            if bytes(said.output_index) not in self._told:
                for text in written(members_of(said.item)):
                    self._wrote(text)
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
        parsed = None if usage is None else parse_usage(usage)
        if parsed is not None:
            self.usage = parsed
            self._unmetered = False
        self.done = self.done or terminal

    def _wrote(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self.first_content = self._unmetered = True


def _string_of(raw: Raw) -> str:
    try:
        return _string.decode(raw)
    except _UNREADABLE:
        return ""


def _begins(data: bytes) -> bool:
    """Return whether the first line has begun; what is clearly something else (a page, a JSON document) is Garbled."""
    start = data.lstrip(_BLANK)[:1]
    if start and start not in _FIELD_STARTS:
        error = Garbled("The provider answered with something that is not an event stream.")
        error.detail = f"it starts with {data[:80].decode('ascii', 'backslashreplace')!r}"
        raise error
    return bool(start)
