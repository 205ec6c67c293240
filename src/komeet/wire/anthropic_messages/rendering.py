"""What the rendering of one request has in hand."""

from komeet.canonical.loss import Loss
from komeet.canonical.request import Request
from komeet.catalog.profile import Profile
from komeet.wire.anthropic_messages.cache import Marks
from komeet.wire.anthropic_messages.ids import CallIds


class Rendering:
    """The model's profile, the ids of the conversation's calls, its cache marks, and what is lost on the way."""

    __slots__ = ("ids", "losses", "marks", "profile", "request")

    def __init__(self, request: Request, profile: Profile) -> None:
        self.request = request
        self.profile = profile
        self.losses: list[Loss] = []
        self.ids = CallIds()
        self.marks = Marks(request, self.losses)

    def lose(self, path: str, reason: str) -> None:
        """Declare a loss."""
        self.losses.append(Loss(path, reason))
