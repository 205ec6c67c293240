"""What the rendering of one request has in hand."""

import re
from typing import Final

from komeet.canonical.request import Request
from komeet.catalog.profile import Profile
from komeet.wire import rendering
from komeet.wire.bedrock_converse.cache import Marks
from komeet.wire.bedrock_converse.documents import Names
from komeet.wire.call_ids import CallIds, IdRule

_IDS: Final = IdRule(re.compile(r"[a-zA-Z0-9_.:-]{1,64}"), "tooluse_")


class Rendering(rendering.Rendering):
    """The model's profile, the ids of calls, the names of documents, cache marks, and what is lost on the way."""

    __slots__ = ("ids", "marks", "names")

    def __init__(self, request: Request, profile: Profile) -> None:
        super().__init__(request, profile)
        self.ids = CallIds(_IDS)
        self.names = Names()
        self.marks = Marks(profile, self.losses)
