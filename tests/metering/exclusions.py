"""Recorded calls that report usage and are not compared with the library, each with its reason; and how many are."""

from collections.abc import Mapping
from typing import Final

_UNLISTED: Final = "the price book does not list `{}` at {}"
_ROUTER: Final = "Hugging Face's router chooses who answers, and bills as that one does"
_OWN: Final = "a server of the recording project's own, in nobody's price book"


def _files(file: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{file}:{number}" for number in numbers)


_GROUPS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (_files("azure", *range(3, 23)), _UNLISTED.format("databricks-claude-3-7-sonnet", "Databricks")),
    (_files("bedrock", 5), _UNLISTED.format("minimax.minimax-m2", "Bedrock")),
    (_files("bedrock", 60, 61), _UNLISTED.format("moonshot.kimi-k2-thinking", "Bedrock")),
    (_files("bedrock", 69), _UNLISTED.format("zai.glm-4.7-flash", "Bedrock")),
    (_files("bedrock", 106, 112, 119), _UNLISTED.format("anthropic.claude-v2", "Bedrock")),
    (_files("cerebras", 0), _UNLISTED.format("llama3.3-70b", "Cerebras")),
    (_files("groq", 4, 7), _UNLISTED.format("compound-beta", "Groq")),
    (_files("huggingface", 4, 5, 6), _UNLISTED.format("Llama-4-Scout-17B-16E-Instruct", "Together by Hugging Face")),
    (_files("huggingface", *range(7, 13), *range(14, 21)), _ROUTER),
    (_files("local", *range(6, 14)), _OWN),
    (_files("openai", 648, 649), _UNLISTED.format("muse-spark-1.1", "OpenAI")),
    (_files("openrouter", 3, 4), _UNLISTED.format("anthropic/claude-sonnet-4-5", "OpenRouter")),
    (_files("openrouter", 45), _UNLISTED.format("anthropic/claude-3-5-sonnet-20241022", "OpenRouter")),
)
UNPRICED: Final[Mapping[str, str]] = {name: reason for names, reason in _GROUPS for name in names}
"""Neither here nor in the library is there a price."""

_SEARCHES: Final = "the library does not count searches in such an answer"
_THOUGHTS: Final = "the library leaves out the thoughts, which only the total of Google's endpoint betrays"
_READ_GROUPS: Final = (
    (_files("google", 62, 68, 88, 90, 91, 94, 200, 201), _SEARCHES),
    (_files("openai", 58, 59, 83, 87, 88, 94, *range(101, 106)), _SEARCHES),
    (_files("google", 66, 67), _THOUGHTS),
)
READ_OTHERWISE: Final[Mapping[str, str]] = {name: reason for names, reason in _READ_GROUPS for name in names}
"""Whole answers of which the library's own reading makes another usage, and so another cost."""

EQUAL: Final[Mapping[tuple[str, str], int]] = {
    ("anthropic", "Chat Completions"): 1,
    ("anthropic", "Messages"): 357,
    ("azure", "Responses"): 3,
    ("bedrock", "Converse"): 83,
    ("cloudflare", "Chat Completions"): 6,
    ("cohere", "Cohere's chat"): 5,
    ("deepseek", "Chat Completions"): 14,
    ("deepseek", "Responses"): 9,
    ("google", "Chat Completions"): 2,
    ("google", "Gemini"): 230,
    ("groq", "Chat Completions"): 12,
    ("huggingface", "Chat Completions"): 4,
    ("mistral", "Chat Completions"): 19,
    ("openai", "Chat Completions"): 241,
    ("openai", "Responses"): 386,
    ("openai", "embeddings"): 9,
    ("openrouter", "Chat Completions"): 39,
    ("openrouter", "Responses"): 3,
    ("zai", "Chat Completions"): 5,
}
"""By file of recordings and format: calls that are priced, and cost what the library says."""
READ_ALIKE: Final = 900
"""Whole answers that cost the same by the library's own reading of the answer."""
