"""Members of this format's objects, and what it calls itself."""

from typing import ClassVar, Final

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.wire import members

ORIGIN: Final = "openai_responses"
"""What this format calls itself in extras, seals and opaque parts."""


def place(name: str) -> str:
    """Return the origin of extras that stood in the member `name`."""
    return f"{ORIGIN}.{name}"


MESSAGE: Final = place("message")
"""Extras of a message item: its id, status and phase. In an answer, the last part of a message has them all, those
before it only the id."""
REASONING: Final = place("reasoning")
"""Extras of a reasoning item: all that it has but its type and its seal."""
TEXT: Final = place("text")
INCLUDE: Final = place("include")
"""What is to be included in the answer: a null for what every format's answer has, if there is any."""
CONTENT: Final = place("content")
"""The origin of an opaque part that is a piece of a message's content; one of ORIGIN is an item."""
OWN: Final = place("own")
"""Extras without members: what has them was written in this format."""

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
SEAL: Final = "encrypted_content"
REASONING_TEXT: Final = "reasoning_text"
"""The field of a reasoning that is shown as it was thought, not as a summary."""


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)
