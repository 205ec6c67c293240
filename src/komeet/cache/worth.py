"""Which calls may be answered again, and which answers are worth it: whole ones that ended by themselves."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from komeet.canonical.extent import Extent
from komeet.canonical.part import Audio, Opaque, Refusal, ServerTool
from komeet.canonical.response import Response, StopReason

_KEPT: Final = ("store", "background", "previous_response_id", "conversation")
"""Members by which a provider keeps a call, or finds an earlier one."""
_NOTHING: Final = (Raw(b"null"), Raw(b"false"))
_NATURAL: Final = frozenset({StopReason.STOP, StopReason.TOOL_CALLS})


def is_repeatable(fields: Mapping[str, Raw], extent: Extent) -> bool:
    """Whether the answer to a call depends on nothing but its bytes, and nothing else is wanted than the answer.

    Not so with tools that the provider runs, with what it keeps or fetches (files, addresses of pictures), and where
    several answers are asked for: whoever does that wants them to differ.

    Args:
        fields: the top level of the body.
        extent: how much the call makes a provider read and do.
    """
    if extent.candidates > 1 or extent.hosted_tools or extent.external:
        return False
    return all(fields.get(name, _NOTHING[0]) in _NOTHING for name in _KEPT)


def is_worth_keeping(response: Response) -> bool:
    """Whether an answer ended by itself and is one: not cut, not filtered, not refused.

    Sound is left out, since its id is good for a while only, and so is what the provider did besides answering.
    """
    return bool(response.candidates) and all(
        candidate.stop in _NATURAL
        and bool(candidate.parts)
        and not any(isinstance(part, Refusal | ServerTool | Opaque | Audio) for part in candidate.parts)
        for candidate in response.candidates
    )
