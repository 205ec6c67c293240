"""What a translation could not carry, declared."""

from msgspec import Struct


class Loss(Struct, frozen=True):
    """A knob that the target does not take and that was left out. Content is never lost: that is an error."""

    path: str
    """Where it stood in the caller's request: `temperature`."""
    reason: str
    """Why it was left out, in a few words for the caller."""
