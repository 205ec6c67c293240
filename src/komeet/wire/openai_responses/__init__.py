"""The Responses format of OpenAI: both roles, stream and errors; nothing is kept between calls."""

from komeet.wire.openai_responses.format import FORMAT

__all__ = ["FORMAT"]
