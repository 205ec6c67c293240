"""OpenAI's moderations, `POST /v1/moderations`, in both roles."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.extent import Extent
from komeet.canonical.moderation import ModerationRequest, ModerationResponse, Verdict
from komeet.canonical.part import Image, Text
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError, WireError
from komeet.wire.format import NOWHERE, Edited, Envelope, Where
from komeet.wire.json import encode_object, parse_object, renamed
from komeet.wire.members import NULL, STRING, Members, read
from komeet.wire.moderations.counts import counted
from komeet.wire.moderations.inputs import input_text, parse_inputs, told_input
from komeet.wire.openai_errors import parse_stream_error
from komeet.wire.single import ModerationCaller, ModerationTarget

ORIGIN: Final = "openai_moderations"
DEFAULT_MODEL: Final = "omni-moderation-latest"
"""OpenAI's, for callers that name none."""
CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""Client libraries expect every one of them."""
_NO_ERROR: Final = frozenset({b"null", b"false", b'""', b"{}"})

_encoder: Final = msgspec.json.Encoder()


class _Members(Members):
    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


class _Result(Struct):
    flagged: bool = False
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}
    category_applied_input_types: Raw = NULL


class _Answer(Struct):
    results: list[Raw] | None = None
    id: str = ""
    model: str = ""
    usage: Raw = NULL
    error: Raw = NULL


_answer: Final = Decoder(_Answer)
_result: Final = Decoder(_Result)


class OpenAIModerations(ModerationCaller):
    """The caller's role."""

    __slots__ = ()

    name: str = ORIGIN

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],  # noqa: ARG002 - none is read
        where: Where = NOWHERE,  # noqa: ARG002
    ) -> Envelope:
        fields = parse_object(body)
        model = read(fields.get("model"), STRING, "model", "a string")
        if model == "":
            raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
        inputs = len(parse_inputs(fields.get("input")))
        return Envelope(fields=fields, size=len(body), model=model or DEFAULT_MODEL, inputs=inputs, output_limit=0)

    def parse_request(self, envelope: Envelope) -> ModerationRequest:
        members = _Members(envelope.fields)
        members.raw("model")
        return ModerationRequest(model=envelope.model, inputs=parse_inputs(members.raw("input")), extras=members.left())

    def measure(self, envelope: Envelope) -> Extent:
        inputs = parse_inputs(envelope.fields["input"])
        media = [part for parts in inputs for part in parts if isinstance(part, Image)]
        return Extent(bytes=envelope.size, media=len(media), external=bool(media), inputs=len(inputs), output_limit=0)

    def prompt_text(self, envelope: Envelope) -> str:
        return input_text(parse_inputs(envelope.fields["input"]))

    def render_response(
        self,
        answer: ModerationResponse,
        request: ModerationRequest,
        envelope: Envelope,
        usage: Usage | None,  # noqa: ARG002 - there is no place for it
    ) -> bytes:
        results = [
            _told(verdict, sorted({"text" if isinstance(part, Text) else "image" for part in parts}))
            for verdict, parts in zip(answer.verdicts, request.inputs, strict=True)
        ]
        return _encoder.encode({"id": answer.id, "model": answer.model or envelope.model, "results": results})


def _told(verdict: Verdict, judged: list[str]) -> dict[str, object]:
    """Return a result; what the provider has no category for is false, and no part of the input was judged for it."""
    names = tuple(dict.fromkeys((*CATEGORIES, *verdict.categories)))
    told: dict[str, object] = {
        "flagged": verdict.flagged,
        "categories": {name: verdict.categories.get(name, False) for name in names},
        "category_scores": {name: verdict.scores.get(name, 0.0) for name in names},
        "category_applied_input_types": {name: judged if name in verdict.categories else [] for name in names},
    }
    return told | dict(verdict.extras.get(ORIGIN, {}))


class _Metered:
    """An answer that goes out as it came."""

    __slots__ = ("model", "usage")

    service_tier: str | None = None

    def __init__(self, answer: _Answer) -> None:
        self.model = answer.model
        self.usage = counted(answer.usage)

    def output_text(self) -> str:
        return ""


class _Passing:
    """The identity path."""

    __slots__ = ()

    def edit(self, envelope: Envelope, model: str) -> Edited:
        return Edited(body=renamed(envelope.fields, model))

    def read_whole(self, envelope: Envelope, body: bytes) -> _Metered | UpstreamError | None:  # noqa: ARG002
        answer = _read(body)
        return answer if isinstance(answer, UpstreamError) else _Metered(answer)


class OpenAIModerationsTarget(ModerationTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = ORIGIN
    passing = _Passing()

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/moderations"

    def render_request(self, request: ModerationRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        fields = {
            "model": Raw(_encoder.encode(request.model)),
            "input": Raw(_encoder.encode(told_input(request.inputs))),
        }
        return Edited(body=encode_object(fields | dict(request.extras.get(ORIGIN, {}))))

    def parse_response(self, body: bytes, request: ModerationRequest) -> ModerationResponse:
        answer = _read(body)
        if isinstance(answer, UpstreamError):
            raise answer
        verdicts = tuple([_verdict(raw) for raw in answer.results or ()])
        if len(verdicts) != len(request.inputs):
            raise Garbled(f"The provider answered {len(request.inputs)} inputs with {len(verdicts)} results.")
        return ModerationResponse(verdicts=verdicts, id=answer.id, model=answer.model, usage=counted(answer.usage))


def _read(body: bytes) -> _Answer | UpstreamError:
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise Garbled("The provider answered with something that is not a moderation.") from cause
    if bytes(answer.error) not in _NO_ERROR:
        return parse_stream_error(answer.error)
    if answer.results is None:
        raise Garbled("The provider answered with JSON that is not a moderation: it has no results.")
    return answer


def _verdict(raw: Raw) -> Verdict:
    try:
        result = _result.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise Garbled("The provider answered with something that is not a moderation.") from cause
    applied = result.category_applied_input_types
    return Verdict(
        flagged=result.flagged,
        categories={name: bool(value) for name, value in result.categories.items()},
        scores={name: value or 0.0 for name, value in result.category_scores.items()},
        extras={} if applied == NULL else {ORIGIN: {"category_applied_input_types": applied}},
    )


CALLER: Final = OpenAIModerations()
TARGET: Final = OpenAIModerationsTarget()
