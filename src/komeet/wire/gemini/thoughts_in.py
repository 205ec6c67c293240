"""Thoughts of another format's provider that were streamed: their words came in pieces, and the seal behind them.

Callers keep each piece as a part, or as a content, of its own. A provider that sealed a reasoning wants it whole.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from komeet.canonical.part import Part, Reasoning
from komeet.canonical.turn import Role, Turn
from komeet.wire.gemini.members import has_sign, own
from komeet.wire.gemini.parts_in import CLOSING, UNSIGNED


def sealed_thoughts(turns: Iterable[Turn]) -> list[Turn]:
    """Return the turns with the pieces of each sealed reasoning put together, where its seal stands."""
    told: list[tuple[Turn, list[Part]]] = []
    spoken: list[list[Part]] = []
    """The parts of the assistant's turns at the end, the last ones on top."""
    for turn in turns:
        parts: list[Part] = []
        told.append((turn, parts))
        if turn.role is Role.ASSISTANT:
            spoken.append(parts)
        else:
            spoken.clear()
        for part in turn.parts:
            if isinstance(part, Reasoning) and has_sign(part.extras, CLOSING):
                pieces = _taken(spoken)
                parts.append(replace(part, text="".join(pieces), extras={}))
                spoken.append(parts)
            else:
                parts.append(part)
    return [replace(turn, parts=tuple(parts)) for turn, parts in told if parts or not turn.parts]


def _taken(spoken: list[list[Part]]) -> list[str]:
    """Take out the thoughts without a seal that stand last, and return their words in order; what is empty goes."""
    pieces: list[str] = []
    while spoken:
        parts = spoken[-1]
        while parts:
            last = parts[-1]
            if not isinstance(last, Reasoning) or not has_sign(last.extras, UNSIGNED) or own(last.extras):
                return pieces[::-1]
            pieces.append(last.text)
            parts.pop()
        spoken.pop()
    return pieces[::-1]
