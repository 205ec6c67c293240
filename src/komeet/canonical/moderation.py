"""A call that has content judged, and the verdicts, in no provider's words."""

from collections.abc import Mapping

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Image, Text
from komeet.canonical.usage import Usage


class ModerationRequest(Struct, frozen=True, kw_only=True):
    """What is to be judged, and by whom."""

    model: str
    inputs: tuple[tuple[Text | Image, ...], ...]
    """Each is judged for itself; one of several parts is judged as a whole."""
    extras: Extras = {}


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found in one input, by category; the names are OpenAI's where they mean the same."""

    flagged: bool
    categories: Mapping[str, bool]
    scores: Mapping[str, float]
    extras: Extras = {}


class ModerationResponse(Struct, frozen=True, kw_only=True):
    """Verdicts, in the order of the inputs."""

    verdicts: tuple[Verdict, ...]
    id: str = ""
    model: str = ""
    """The model that judged; empty: not said."""
    usage: Usage | None = None
    """None: not reported, or not to be believed."""
    extras: Extras = {}
