"""Mistral's moderations, in the provider's role: texts only, and categories of its own."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.loss import Loss
from komeet.canonical.moderation import ModerationRequest, ModerationResponse, Verdict
from komeet.canonical.part import Text
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable
from komeet.wire.format import Edited
from komeet.wire.members import NULL
from komeet.wire.moderations.counts import counted
from komeet.wire.single import ModerationTarget

_NAMES: Final[Mapping[str, str]] = {
    "sexual": "sexual",
    "hate_and_discrimination": "hate",
    "violence_and_threats": "violence",
    "dangerous_and_criminal_content": "illicit",
    "criminal": "illicit",
    "selfharm": "self-harm",
}
"""Its categories that mean what one of OpenAI's does; others (health, law, pii …) keep their names."""
_OWN: Final = frozenset({"metadata"})


class _Result(Struct):
    categories: dict[str, bool] = {}
    category_scores: dict[str, float] = {}


class _Answer(Struct):
    results: list[_Result]
    id: str = ""
    model: str = ""
    usage: Raw = NULL


_answer: Final = Decoder(_Answer)


class MistralModerations(ModerationTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = "mistral_moderations"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/moderations"

    def render_request(self, request: ModerationRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        texts: list[str] = []
        for parts in request.inputs:
            for place, part in enumerate(parts):
                if not isinstance(part, Text):
                    raise Unrepresentable("Mistral judges texts, not pictures.", param=f"input[{place}]")
            texts.append("\n".join([part.text for part in parts if isinstance(part, Text)]))
        extras = {name: value for members in request.extras.values() for name, value in members.items()}
        members = {name: value for name, value in extras.items() if name in _OWN}
        losses = [
            Loss(name, "the provider's moderations do not have it")
            for name, value in extras.items()
            if name not in _OWN and value != NULL
        ]
        body = {"model": request.model, "input": texts, **members}
        return Edited(body=msgspec.json.encode(body), losses=tuple(losses))

    def parse_response(self, body: bytes, request: ModerationRequest) -> ModerationResponse:
        try:
            answer = _answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise Garbled("The provider answered with something that is not a moderation.") from cause
        if len(answer.results) != len(request.inputs):
            raise Garbled(f"The provider answered {len(request.inputs)} inputs with {len(answer.results)} results.")
        return ModerationResponse(
            verdicts=tuple([_verdict(result) for result in answer.results]),
            id=answer.id,
            model=answer.model,
            usage=counted(answer.usage),
        )


def _verdict(result: _Result) -> Verdict:
    """Return what was found; where two categories of its mean one of OpenAI's, the graver counts."""
    categories: dict[str, bool] = {}
    scores: dict[str, float] = {}
    for name, found in result.categories.items():
        known = _NAMES.get(name, name)
        categories[known] = categories.get(known, False) or found
    for name, score in result.category_scores.items():
        known = _NAMES.get(name, name)
        scores[known] = max(scores.get(known, 0.0), score)
    return Verdict(flagged=any(categories.values()), categories=categories, scores=scores)


TARGET: Final = MistralModerations()
