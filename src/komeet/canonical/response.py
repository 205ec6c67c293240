"""An answer, whole."""

from enum import StrEnum

from msgspec import Struct

from komeet.canonical.extras import Extras
from komeet.canonical.part import Part
from komeet.canonical.usage import Usage


class StopReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model was done, or met a stop sequence."""
    LENGTH = "length"
    """An output or context limit."""
    TOOL_CALLS = "tool_calls"
    """It waits for tool results."""
    CONTENT_FILTER = "content_filter"
    """Cut by a filter."""
    PAUSED = "paused"
    """The provider stopped in the middle of its own work and wants to be asked again."""
    REFUSED = "refused"
    """The model, or its safety system, declined to go on."""
    OTHER = "other"
    """A reason without a name here: `native_stop` has it."""


class Candidate(Struct, frozen=True, kw_only=True):
    """One of the answers to a call."""

    index: int = 0
    parts: tuple[Part, ...] = ()
    stop: StopReason | None = None
    """None: the provider did not say."""
    native_stop: str = ""
    """The provider's own word for it."""
    stop_sequence: str | None = None
    """The stop sequence that was met, where the provider says it."""
    extras: Extras = {}


class Response(Struct, frozen=True, kw_only=True):
    """What a model answered."""

    id: str = ""
    model: str = ""
    """The model that answered, in the provider's words."""
    created: int = 0
    """Unix seconds; 0: not said."""
    candidates: tuple[Candidate, ...] = ()
    usage: Usage | None = None
    """None: not reported."""
    service_tier: str | None = None
    extras: Extras = {}
