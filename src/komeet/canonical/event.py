"""An answer, piece by piece. `fold` makes the whole of it.

A stream is one Start; then, for each part, PartStart, deltas and PartEnd; a Finish per candidate; usage at any time.
Tool calls of one candidate may be open at the same time, other parts are not. A Fail is the last event.
"""

from msgspec import Raw, Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Citation, Part, Seal
from komeet.canonical.response import StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import UpstreamError


class Start(Struct, frozen=True, kw_only=True):
    """The answer begins."""

    id: str = ""
    model: str = ""
    created: int = 0
    service_tier: str | None = None
    extras: Extras = {}


class PartStart(Struct, frozen=True, kw_only=True):
    """A part begins: `part` is its kind, with what is known of it so far."""

    candidate: int
    index: int
    """Counts the parts of the candidate from 0."""
    part: Part


class TextDelta(Struct, frozen=True, kw_only=True):
    """More of a text, a reasoning or a refusal."""

    candidate: int
    index: int
    text: str


class ArgumentsDelta(Struct, frozen=True, kw_only=True):
    """More of a tool call's arguments."""

    candidate: int
    index: int
    data: bytes


class AudioDelta(Struct, frozen=True, kw_only=True):
    """More of a sound, and of its transcript."""

    candidate: int
    index: int
    data: str = ""
    """Base64, complete in itself."""
    transcript: str = ""
    expires_at: int | None = None


class SealDelta(Struct, frozen=True, kw_only=True):
    """A piece of a reasoning's seal; pieces that are arrays are joined end to end."""

    candidate: int
    index: int
    seal: Seal


class CitationDelta(Struct, frozen=True, kw_only=True):
    """A source of a text."""

    candidate: int
    index: int
    citation: Citation


class PartEnd(Struct, frozen=True, kw_only=True):
    """The part is complete."""

    candidate: int
    index: int
    final: Part | None = None
    """The part as the provider says it once more, whole; it then counts. It says nothing that the deltas did not, but
    for members without a meaning of their own."""


class ExtraDelta(Struct, frozen=True, kw_only=True):
    """A piece of what only one format understands; pieces are joined (`extras.join`)."""

    candidate: int | None
    """None: it is about the whole answer."""
    origin: str
    name: str
    value: Raw


class UsageEvent(Struct, frozen=True, kw_only=True):
    """What was used, so far or in all: the last one counts."""

    usage: Usage
    service_tier: str | None = None
    """The tier that it was served in, where that is known at the end only; it then counts."""


class Finish(Struct, frozen=True, kw_only=True):
    """The candidate is complete."""

    candidate: int
    stop: StopReason
    native_stop: str = ""
    stop_sequence: str | None = None


class Fail(Struct, frozen=True, kw_only=True):
    """The answer broke off."""

    error: UpstreamError


Event = (
    Start
    | PartStart
    | TextDelta
    | ArgumentsDelta
    | AudioDelta
    | SealDelta
    | CitationDelta
    | PartEnd
    | ExtraDelta
    | UsageEvent
    | Finish
    | Fail
)
