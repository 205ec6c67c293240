"""Requests in the words of Gemini, and what becomes of them."""

import json
from typing import Any, Final

from komeet.canonical.loss import Loss
from komeet.canonical.part import Part
from komeet.canonical.request import Request
from komeet.canonical.turn import Role, Turn
from komeet.catalog.profile import Profile
from komeet.wire.format import Envelope, Where
from komeet.wire.gemini.envelope import parse_envelope
from komeet.wire.gemini.parse_request import parse_request
from komeet.wire.gemini.render_request import render_request

PATH: Final = "/v1beta/models/gemini-3-pro:generateContent"
STREAM: Final = Where("/v1beta/models/gemini-3-pro:streamGenerateContent", b"alt=sse")
HI: Final[dict[str, Any]] = {"role": "user", "parts": [{"text": "Hi"}]}


def envelope(body: dict[str, Any], where: Where = Where(PATH)) -> Envelope:  # noqa: B008 - frozen
    """The envelope of a request, which says "Hi" unless it says something else."""
    return parse_envelope(json.dumps({"contents": [HI], **body}).encode(), where)


def parsed(**body: Any) -> Request:
    """A request in the neutral model."""
    return parse_request(envelope(body))


def parts(*told: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    """What the parts of one content are."""
    return parsed(contents=[{"role": role, "parts": list(told)}]).turns[0].parts


def asked(*turns: Turn, **fields: Any) -> Request:
    """A request of no format's."""
    said = turns or (Turn(role=Role.USER, parts=()),)
    return Request(model="gemini-3-pro", turns=said, **fields)


def rendered(request: Request, profile: Profile = Profile()) -> dict[str, Any]:  # noqa: B008 - frozen
    """The body of a request for Gemini."""
    return json.loads(render_request(request, profile).body)


def losses(request: Request, profile: Profile = Profile()) -> list[str]:  # noqa: B008 - frozen
    """The paths of what it could not say."""
    told: tuple[Loss, ...] = render_request(request, profile).losses
    return [loss.path for loss in told]


def again(**body: Any) -> dict[str, Any]:
    """A request of Gemini's after it went through the neutral model."""
    return rendered(parsed(**body))
