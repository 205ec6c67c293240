"""Token usage as Gemini reports it, in one convention and back.

Gemini's: `promptTokenCount` includes what was read from a cache, but not what its own tools put into the prompt
(`toolUsePromptTokenCount`); `candidatesTokenCount` leaves out the thoughts. A stream reports with every chunk, and what
it reports is cumulative: the last counts.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.usage import Usage

Json: TypeAlias = dict[str, object]

_MOST: Final = 1 << 40
"""Tokens: more are nonsense."""
_AUDIO: Final = ("AUDIO", 4)
_IMAGE: Final = ("IMAGE", 2)
"""Modalities, by name and by number."""


class _Modality(Struct):
    modality: str | int = ""
    tokenCount: int = 0  # noqa: N815 - as it is written


_Details: TypeAlias = list[_Modality] | None


class _Usage(Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: _Details = None
    cache_tokens_details: _Details = None
    tool_use_prompt_tokens_details: _Details = None
    candidates_tokens_details: _Details = None


_usage: Final = msgspec.json.Decoder(_Usage | None)

COUNTS: Final = frozenset(
    {
        "promptTokenCount",
        "cachedContentTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
    }
)
"""Members of a usage that the model has words for; the rest is kept as it is."""
TOOL_PROMPT: Final = "toolUsePromptTokenCount"
TIER: Final = "serviceTier"


def parse_usage(raw: Raw | bytes) -> Usage | None:
    """Return the usage, or None where it says no numbers, or none to be believed."""
    try:
        told = _usage.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if told is None or not _believable(told):
        return None
    prompt = (told.prompt_token_count or 0) + (told.tool_use_prompt_token_count or 0)
    thoughts = told.thoughts_token_count or 0
    output = (told.candidates_token_count or 0) + thoughts
    if prompt == output == 0:
        return None
    read = min(told.cached_content_token_count or 0, told.prompt_token_count or 0)
    prompts = [*(told.prompt_tokens_details or ()), *(told.tool_use_prompt_tokens_details or ())]
    audio = min(_of(prompts, _AUDIO), prompt)
    image = min(_of(prompts, _IMAGE), prompt - audio)
    cached = told.cache_tokens_details or ()
    read_audio = min(_of(cached, _AUDIO), read, audio)
    spoken = min(_of(told.candidates_tokens_details or (), _AUDIO), output - thoughts)
    return Usage(
        input=prompt,
        cache_read=read,
        input_audio=audio,
        cache_read_audio=read_audio,
        input_image=image,
        cache_read_image=min(_of(cached, _IMAGE), read - read_audio, image),
        output=output,
        reasoning=thoughts,
        output_audio=spoken,
        output_image=min(_of(told.candidates_tokens_details or (), _IMAGE), output - thoughts - spoken),
    )


def render_usage(usage: Usage, more: Mapping[str, object]) -> Json:
    """Return usage in Gemini's convention; `more` is what the provider said of it besides, in the same."""
    thoughts = min(usage.reasoning, usage.output)
    tools = more.get(TOOL_PROMPT)
    apart = _count(tools) if isinstance(tools, Raw) else 0
    told: Json = {"promptTokenCount": usage.input - apart if apart <= usage.input else usage.input}
    told |= {"candidatesTokenCount": usage.output - thoughts, "totalTokenCount": usage.input + usage.output}
    if thoughts:
        told["thoughtsTokenCount"] = thoughts
    if usage.cache_read:
        told["cachedContentTokenCount"] = min(usage.cache_read, usage.input)
    for name, total, audio, image in (
        ("promptTokensDetails", usage.input, usage.input_audio, usage.input_image),
        ("cacheTokensDetails", usage.cache_read, usage.cache_read_audio, usage.cache_read_image),
        ("candidatesTokensDetails", usage.output - thoughts, usage.output_audio, usage.output_image),
    ):
        if audio or image:
            counts = {"TEXT": total - audio - image, "AUDIO": audio, "IMAGE": image}
            told[name] = [{"modality": kind, "tokenCount": count} for kind, count in counts.items() if count > 0]
    return {**told, **more}


def _count(raw: Raw) -> int:
    try:
        return max(0, msgspec.json.decode(raw, type=int))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return 0


def _of(details: Iterable[_Modality], modality: tuple[str, int]) -> int:
    return sum(each.tokenCount for each in details if each.modality in modality)


def _believable(told: _Usage) -> bool:
    counts = [
        told.prompt_token_count,
        told.cached_content_token_count,
        told.tool_use_prompt_token_count,
        told.candidates_token_count,
        told.thoughts_token_count,
    ]
    known = [count for count in counts if count is not None]
    details = (
        told.prompt_tokens_details,
        told.cache_tokens_details,
        told.tool_use_prompt_tokens_details,
        told.candidates_tokens_details,
    )
    known += [each.tokenCount for some in details if some for each in some]
    return bool(known) and min(known) >= 0 and max(known) <= _MOST
