"""What the rendering of one request has in hand."""

import re
from typing import Final

from komeet.canonical.request import Request
from komeet.catalog.profile import Profile
from komeet.wire import rendering
from komeet.wire.anthropic_messages.cache import Marks
from komeet.wire.call_ids import CallIds, IdRule

_IDS: Final = IdRule(re.compile(r"[a-zA-Z0-9_-]{1,64}"), "toolu_")


class Rendering(rendering.Rendering):
    """The model's profile, the ids of the conversation's calls, its cache marks, and what is lost on the way."""

    __slots__ = ("ids", "marks")

    def __init__(self, request: Request, profile: Profile) -> None:
        super().__init__(request, profile)
        self.ids = CallIds(_IDS)
        self.marks = Marks(request, self.losses)
