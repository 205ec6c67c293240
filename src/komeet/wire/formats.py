"""Every wire format, in one list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from komeet.wire.anthropic_messages.format import FORMAT as ANTHROPIC_MESSAGES
from komeet.wire.bedrock_converse.format import FORMAT as BEDROCK_CONVERSE
from komeet.wire.cohere_chat.format import FORMAT as COHERE_CHAT
from komeet.wire.embeddings import cohere, gemini, mistral, titan
from komeet.wire.embeddings import openai as openai_embeddings
from komeet.wire.format import Format, Kind
from komeet.wire.gemini.format import FORMAT as GEMINI
from komeet.wire.media import images, speech, transcription
from komeet.wire.moderations import mistral as mistral_moderations
from komeet.wire.moderations import openai as openai_moderations
from komeet.wire.openai_chat.format import FORMAT as OPENAI_CHAT
from komeet.wire.openai_responses.format import FORMAT as OPENAI_RESPONSES
from komeet.wire.rerank import cohere as cohere_rerank
from komeet.wire.rerank import jina as jina_rerank
from komeet.wire.ways import Targets

BOTH_ROLES: Final[Mapping[str, Format]] = MappingProxyType(
    {each.name: each for each in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI)}
)
"""What callers and providers may speak, by name."""

_EMBEDDINGS: Final = (
    openai_embeddings.TARGET,
    mistral.TARGET,
    gemini.TARGET,
    cohere.TARGET,
    cohere.ON_BEDROCK,
    titan.TARGET,
)
_MODERATIONS: Final = (openai_moderations.TARGET, mistral_moderations.TARGET)
_RERANK: Final = (jina_rerank.TARGET, cohere_rerank.TARGET)
_MEDIA: Final = (
    images.GENERATIONS,
    images.EDITS,
    speech.SPEECH,
    transcription.TRANSCRIPTIONS,
    transcription.TRANSLATIONS,
)
_SINGLE: Final[Targets] = MappingProxyType(
    {
        **{each.name: each for each in _EMBEDDINGS},
        **{each.name: each for each in _MODERATIONS},
        **{each.name: each for each in _RERANK},
        **{each.name: each for each in _MEDIA},
    }
)

FORMATS: Final[Targets] = MappingProxyType(
    {**_SINGLE, **BOTH_ROLES, **{each.name: each for each in (BEDROCK_CONVERSE, COHERE_CHAT)}}
)
"""What providers may speak, by name."""


def choose_format(caller: str, kind: Kind, spoken: tuple[str, ...], taken: tuple[str, ...]) -> str | None:
    """Return the format that a provider is asked in: the caller's own where it may be, else the first.

    None where the provider has nothing of the kind.

    Args:
        caller: the caller's format.
        kind: what the call is for; formats of other kinds do not count.
        spoken: what the provider speaks, the preferred one first.
        taken: what the model is offered in; empty: all of these.
    """
    alike = [name for name in spoken if FORMATS[name].kind == kind]
    possible = [name for name in alike if name in taken] or alike
    if caller in possible:
        return caller
    return possible[0] if possible else None
