"""Which recordings are of which provider's row, and what is not looked at, with the reason."""

from typing import Final

from msgspec import Struct
from tests.wire.recordings import Recording

HOSTS: Final = {
    "https://api.mistral.ai/": "mistral",
    "https://api.groq.com/": "groq",
    "https://api.deepseek.com/": "deepseek",
    "https://api.cohere.com/": "cohere",
    "https://openrouter.ai/": "openrouter",
    "https://pydantic-ai-realtime-dev.openai.azure.com/": "azure",
    "https://carso-mhl2zrqb-eastus2.cognitiveservices.azure.com/": "azure",
    "https://adb-138962681435081.1.azuredatabricks.net/": "databricks",
    "https://router.huggingface.co/": "huggingface",
    "https://api.cloudflare.com/": "cloudflare",
    "https://api.cerebras.ai/": "cerebras",
    "https://api.z.ai/": "zai",
    "http://localhost:11434/": "ollama",
    "https://generativelanguage.googleapis.com/v1beta/openai/": "google",
}
"""Rows by where their recorded calls went."""

PATHS: Final = {"/chat/completions": "openai_chat", "/responses": "openai_responses", "/v2/chat": "cohere_chat"}

UNREPORTED: Final = {
    "cloudflare:0": "JSON mode answers without usage",
    "cloudflare:1": "JSON mode answers without usage",
    "cloudflare:2": "JSON mode answers without usage",
}
"""Answers whose tokens are counted here."""

FAILED: Final = {"openrouter:8": "the stream carries an error (token limit reached)"}

UNTYPED: Final = {
    "openrouter:7": "it annotates the answer with the file that it read, which OpenAI has no type for",
    "openrouter:14": "a call of a tool that takes nothing has no `arguments`; its other answers have",
}
"""Answers that are forwarded, and are not of the types of OpenAI's client library."""

OWN_TIERS: Final = {"groq": "its service tier is a word of its own (`on_demand`), which the client library takes"}
"""Rows whose service tier is not looked at."""


class Counts(Struct, frozen=True):
    """Recorded calls of one row."""

    asked: int
    """Requests that are on record."""
    whole: int
    streamed: int
    refused: int


COUNTS: Final = {
    "azure": Counts(asked=3, whole=1, streamed=2, refused=0),
    "cerebras": Counts(asked=1, whole=1, streamed=0, refused=0),
    "cloudflare": Counts(asked=9, whole=3, streamed=6, refused=0),
    "cohere": Counts(asked=5, whole=5, streamed=0, refused=0),
    "databricks": Counts(asked=20, whole=3, streamed=17, refused=0),
    "deepseek": Counts(asked=23, whole=8, streamed=15, refused=1),
    "google": Counts(asked=2, whole=2, streamed=0, refused=0),
    "groq": Counts(asked=14, whole=14, streamed=0, refused=3),
    "huggingface": Counts(asked=17, whole=10, streamed=10, refused=0),
    "mistral": Counts(asked=19, whole=12, streamed=7, refused=0),
    "ollama": Counts(asked=1, whole=1, streamed=0, refused=0),
    "openrouter": Counts(asked=46, whole=31, streamed=15, refused=0),
    "zai": Counts(asked=5, whole=5, streamed=0, refused=0),
}


def row_of(recording: Recording) -> str:
    """The provider's row; empty: of none of these, or no call that a model answers."""
    known = next((name for host, name in HOSTS.items() if recording.url.startswith(host)), "")
    return known if recording.method == "POST" and format_of(recording) else ""


def format_of(recording: Recording) -> str:
    """The format that was spoken; empty: none of those."""
    return next((name for end, name in PATHS.items() if recording.path.endswith(end)), "")
