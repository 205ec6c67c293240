"""What this format calls itself, and the loss of what only others understand."""

from typing import Final, TypeAlias

from komeet.canonical.extras import Extras
from komeet.canonical.loss import Loss
from komeet.wire import members

Json: TypeAlias = dict[str, object]

ORIGIN: Final = "bedrock_converse"
"""What this format calls itself in extras, seals and opaque parts."""


class Block(dict[str, object]):
    """A block that is ours: not one that is repeated as it was written."""


def foreign(extras: Extras, path: str) -> list[Loss]:
    """Return the loss of what only another format understands."""
    return members.foreign(extras, path, ORIGIN)
