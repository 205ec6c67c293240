"""Token usage as Chat Completions providers report it, in one convention.

OpenAI's: `prompt_tokens` contains cached tokens, `completion_tokens` contains reasoning, and the two add up to
`total_tokens`. Those who leave something out betray it by a total that is larger: xAI leaves out reasoning (its page
"Consumption and rate limits"), Google's endpoint leaves out thoughts and does not name them (recorded traffic).
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from komeet.canonical.usage import Usage

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _ServerTools(Struct):
    web_search_requests: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None  # Together
    num_cached_tokens: int | None = None  # Mistral
    cache_read_input_tokens: int | None = None  # Databricks
    cache_creation_input_tokens: int | None = None
    num_search_queries: int | None = None  # Perplexity
    server_tool_use: _ServerTools | None = None  # OpenRouter, and who speaks for Anthropic
    server_tool_use_details: _ServerTools | None = None


_usage = msgspec.json.Decoder(_Usage | None)
_NO_PROMPT = _PromptDetails()
_NO_COMPLETION = _CompletionDetails()
_NO_TOOLS = _ServerTools()


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage, or None where there is none, or none to be believed: it must then be estimated.

    Not believed: no prompt or no completion tokens, or 0 of both; a count that is negative, not an integer, or above
    2^40. A part
    that is greater than its whole is cut to it, unless the total says that the whole does not contain it.
    """
    try:
        told = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None or told.prompt_tokens is None:
        return None
    output = told.completion_tokens
    if output is None and told.total_tokens is not None:
        output = told.total_tokens - told.prompt_tokens
    if output is None:
        return None
    prompt = told.prompt_tokens_details or _NO_PROMPT
    completion = told.completion_tokens_details or _NO_COMPLETION
    read = _first(
        prompt.cached_tokens,
        told.prompt_cache_hit_tokens,
        told.cache_read_input_tokens,
        told.cached_tokens,
        told.num_cached_tokens,
    )
    written = _first(prompt.cache_write_tokens, told.cache_creation_input_tokens)
    reasoning = completion.reasoning_tokens or 0
    media = (
        prompt.audio_tokens or 0,
        prompt.image_tokens or 0,
        completion.audio_tokens or 0,
        completion.image_tokens or 0,
    )
    searches = _first(
        told.num_search_queries,
        (told.server_tool_use_details or _NO_TOOLS).web_search_requests,
        (told.server_tool_use or _NO_TOOLS).web_search_requests,
    )
    counts = (told.prompt_tokens, output, told.total_tokens or 0, read, written, reasoning, *media)
    if min(*counts, searches) < 0 or max(*counts, searches) > _MOST or max(counts) == 0:
        return None
    usage = _normalise(told.prompt_tokens, output, told.total_tokens, read, written, reasoning, media)
    return replace(usage, web_searches=searches) if searches else usage


def _normalise(
    tokens_in: int,
    tokens_out: int,
    total: int | None,
    read: int,
    written: int,
    reasoning: int,
    media: tuple[int, int, int, int],
) -> Usage:
    cached = read + written
    left_out = 0 if total is None else total - tokens_in - tokens_out
    if left_out > 0:
        if cached and left_out in (cached, cached + reasoning):
            tokens_in += cached
            left_out -= cached
        tokens_out += left_out
        reasoning = reasoning or left_out
    elif total is None and reasoning > tokens_out:
        tokens_out += reasoning
    if cached > tokens_in and total is None:
        tokens_in += cached
    read = min(read, tokens_in)
    return Usage(
        input=tokens_in,
        cache_read=read,
        cache_write=min(written, tokens_in - read),
        input_audio=min(media[0], tokens_in),
        input_image=min(media[1], tokens_in),
        output=tokens_out,
        reasoning=min(reasoning, tokens_out),
        output_audio=min(media[2], tokens_out),
        output_image=min(media[3], tokens_out),
    )


def _first(*counts: int | None) -> int:
    """Return the first that is told and not 0: dialects put a 0 where another member has the count."""
    for count in counts:
        if count:
            return count
    return 0
