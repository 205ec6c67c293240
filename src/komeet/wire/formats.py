"""Every wire format, in one list."""

from types import MappingProxyType
from typing import Final

from komeet.wire.anthropic_messages.format import FORMAT as ANTHROPIC_MESSAGES
from komeet.wire.format import Formats
from komeet.wire.openai_chat.format import FORMAT as OPENAI_CHAT
from komeet.wire.openai_responses.format import FORMAT as OPENAI_RESPONSES

FORMATS: Final[Formats] = MappingProxyType(
    {each.name: each for each in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)}
)
"""By name, both roles."""


def choose_format(caller: str, spoken: tuple[str, ...], taken: tuple[str, ...]) -> str:
    """Return the format that a provider is asked in: the caller's own where it may be, else the first.

    Args:
        caller: the caller's format.
        spoken: what the provider speaks, the preferred one first.
        taken: what the model is offered in; empty: all of these.
    """
    possible = [name for name in spoken if not taken or name in taken] or list(spoken)
    return caller if caller in possible else possible[0]
