"""Members of this format's objects, and what it calls itself."""

from typing import ClassVar, Final

from komeet.wire import members

ORIGIN: Final = "openai_completions"
"""What this format calls itself in extras."""


class Members(members.Members):
    """Members of an object of this format."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN
