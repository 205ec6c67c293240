"""What becomes of each case on each pair of formats."""

import json
from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from tests.wire.matrix.cases import CHAPTERS, TARGETS, Case, base

from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import NOWHERE, Target, Where
from komeet.wire.formats import BOTH_ROLES, FORMATS
from komeet.wire.media.format import MediaFormat
from komeet.wire.single import SingleTarget
from komeet.wire.way import Way

ADDRESSES: Final = {"gemini": Where("/v1beta/models/m:generateContent")}


class Outcome(Struct, frozen=True, kw_only=True):
    """One case, on one pair."""

    losses: tuple[str, ...] = ()
    refused: str = ""
    """The path that the refusal names; `?` where it names none."""
    body: bytes = b""


def target_of(name: str) -> Target:
    """Return a format that answers, in the provider's role."""
    found = FORMATS[name]
    assert not isinstance(found, SingleTarget | MediaFormat)
    return found


def outcome(case: Case, caller: str, target: str) -> Outcome:
    """Send the case through the neutral model."""
    body = json.dumps(base(caller) | case.said[caller]).encode()
    wire, asked = BOTH_ROLES[caller], target_of(target)
    envelope = wire.parse_envelope(body, {}, ADDRESSES.get(caller, NOWHERE))
    try:
        way = Way(wire, asked, envelope, id="1", created=1, pass_through=False)
        edited = way.request(model="m", profile=Profile(), output_limit=None, ask_usage=False)
    except WireError as error:
        return Outcome(refused=error.param or "?")
    return Outcome(losses=tuple([loss.path for loss in edited.losses]), body=edited.body)


def every() -> Iterator[tuple[Case, str, str]]:
    """Yield each case with each pair that it can be asked on."""
    for cases in CHAPTERS.values():
        for case in cases:
            for caller in case.said:
                for target in TARGETS:
                    yield case, caller, target
