"""The Chat Completions format of OpenAI: both roles, stream and errors."""

from komeet.wire.openai_chat.format import FORMAT

__all__ = ["FORMAT"]
