"""Whether a provider refuses a call because it is longer than what the model reads: each says it in its own words."""

import re
from typing import Final

from komeet.wire.format import Passed

_CODES: Final = frozenset({"context_length_exceeded", "model_max_prompt_tokens_exceeded", "context_window_exceeded"})
_WORDS: Final = re.compile(
    r"maximum context length|context (?:length|window|size)"
    r"|(?:prompt|input) is too long|too many (?:input )?tokens"
    r"|input token count \S* ?exceeds|exceeds? the (?:maximum|max) (?:number of|allowed|input) tokens"
    r"|prompt contains \d+ tokens|reduce the length of (?:the|your) (?:messages|prompt|input)",
    re.IGNORECASE | re.ASCII,
)
_LONGEST: Final = 2_000
"""Characters of a message that are looked at."""


def is_too_long(refusal: Passed) -> bool:
    """Whether another model that reads more might take the call.

    Sources: the error codes of OpenAI and GitHub Models; messages of Anthropic ("prompt is too long: 210000 tokens >
    200000 maximum"), of Gemini ("The input token count (1200000) exceeds the maximum number of tokens allowed"), of
    vLLM and of llama.cpp ("the request exceeds the available context size").
    """
    if refusal.code in _CODES:
        return True
    return refusal.status in (400, 413, 422) and _WORDS.search(refusal.message[:_LONGEST]) is not None
