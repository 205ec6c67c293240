"""Token usage as Anthropic reports it, in one convention and back.

Anthropic's: `input_tokens` leaves out what was read from and written to the cache. A stream reports twice, and what it
reports is cumulative: nothing is ever added up.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage

Json = dict[str, object]

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""


class _Creation(Struct):
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(Struct):
    thinking_tokens: int | None = None


class _ServerTools(Struct):
    web_search_requests: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _Creation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None


_usage = msgspec.json.Decoder(_Usage | None)

_TOOLS: Final = "server_tool_use"
"""It counts more than the model has words for, and is kept as it is besides."""
READ: Final = frozenset(_Usage.__struct_fields__) - {_TOOLS}
"""Members of a usage that have a word in the model, for all that they say."""


class UsageReader:
    """Puts together what one answer reports, in one piece or in several."""

    __slots__ = ("_hour", "_input", "_output", "_read", "_searches", "_thinking", "_written")

    def __init__(self) -> None:
        self._input: int | None = None
        self._read = 0
        self._written = 0
        self._hour = 0
        self._output: int | None = None
        self._thinking = 0
        self._searches = 0

    def take(self, raw: Raw | bytes) -> Usage | None:
        """Return what is known after one more report, or None where it is not to be believed, or says nothing.

        The last number counts, but for a 0 after a number: there are those who report only once, and a 0 elsewhere.
        """
        try:
            told = _usage.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if told is None or not _believable(told):
            return None
        if (told.input_tokens or 0) + (told.cache_creation_input_tokens or 0) + (told.cache_read_input_tokens or 0):
            self._input = _last(self._input, told.input_tokens)
            self._read = _last(self._read, told.cache_read_input_tokens) or 0
            self._written = _last(self._written, told.cache_creation_input_tokens) or 0
        elif self._input is None:
            self._input = told.input_tokens
        if told.cache_creation is not None:
            self._hour = told.cache_creation.ephemeral_1h_input_tokens or self._hour
        self._output = told.output_tokens or (self._output if self._output is not None else told.output_tokens)
        if told.output_tokens_details is not None:
            self._thinking = told.output_tokens_details.thinking_tokens or self._thinking
        if told.server_tool_use is not None:
            self._searches = told.server_tool_use.web_search_requests or self._searches
        return self.usage

    @property
    def usage(self) -> Usage | None:
        """What is known; None: nothing yet."""
        if self._input is None or self._output is None:
            return None
        total = self._input + self._read + self._written
        if total == 0 and self._output == 0:
            return None
        return Usage(
            input=total,
            cache_read=self._read,
            cache_write=self._written,
            cache_write_1h=min(self._hour, self._written),
            output=self._output,
            reasoning=min(self._thinking, self._output),
            web_searches=self._searches,
        )


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage of a whole answer, or None where there is none, or none to be believed."""
    return UsageReader().take(raw)


def render_usage(usage: Usage) -> Json:
    """Return usage in Anthropic's convention."""
    read = min(usage.cache_read, usage.input)
    written = min(usage.cache_write, usage.input - read)
    hour = min(usage.cache_write_1h, written)
    told: Json = {
        "input_tokens": usage.input - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        told[_TOOLS] = {"web_search_requests": usage.web_searches}
    return told


def _last(before: int | None, now: int | None) -> int | None:
    return before if now is None else now


def _believable(told: _Usage) -> bool:
    counts = [
        told.input_tokens,
        told.cache_creation_input_tokens,
        told.cache_read_input_tokens,
        told.output_tokens,
        told.cache_creation.ephemeral_1h_input_tokens if told.cache_creation else None,
        told.output_tokens_details.thinking_tokens if told.output_tokens_details else None,
        told.server_tool_use.web_search_requests if told.server_tool_use else None,
    ]
    known = [count for count in counts if count is not None]
    return bool(known) and min(known) >= 0 and max(known) <= _MOST
