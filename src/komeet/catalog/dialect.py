"""Where a provider departs from the wire format that it speaks, as data."""

from typing import Literal, TypeAlias

from msgspec import Struct

ReasoningName: TypeAlias = Literal["reasoning_content", "reasoning", "reasoning_details", "thinking"]
"""Members of a message, the third beside the second; `thinking` is a part of its content."""

EffortName: TypeAlias = Literal["reasoning_effort", "reasoning", "thinking"]
"""`reasoning_effort: high`, `reasoning: {effort: high}`, or `thinking: {type: enabled}` beside `reasoning_effort`."""


class Dialect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's departures. The defaults are none: it speaks the format as its maker does.

    Only what matters on the way up stands here, and whether answers can be forwarded: answers are read in all known
    shapes, whoever gives them. What differs from model to model is in the model's profile.
    """

    translated: tuple[str, ...] = ()
    """Formats whose answers a client library of theirs may not be able to read: they are told anew."""
    developer: bool = True
    """Whether Chat Completions takes the role `developer`; elsewhere it is `system`."""
    reasoning: ReasoningName | None = None
    """How Chat Completions takes earlier reasoning back; None: as it came, else as `reasoning_content`."""
    effort: EffortName = "reasoning_effort"
    """How Chat Completions is told how much to reason."""
    schema: bool = True
    """Whether Chat Completions holds an answer to a schema; elsewhere it is asked for JSON, and told the schema."""
    renamed: dict[str, str] = {}
    """Members of a Chat Completions request that have another name."""
    lacks: tuple[str, ...] = ()
    """Members of a Chat Completions request that it refuses: they are left out."""
    call_ids: Literal["any", "nine"] = "any"
    """What the ids of tool calls look like; `nine`: of nine letters and digits, others are replaced."""
