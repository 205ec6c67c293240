"""OpenAI's embeddings, `POST /v1/embeddings`, in both roles."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.embedding import EmbeddingRequest, EmbeddingResponse
from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import UpstreamError
from komeet.wire.embeddings.inputs import input_text, parse_inputs
from komeet.wire.embeddings.openai_envelope import ORIGIN, RequestMembers, parse_envelope, wanted_encoding
from komeet.wire.embeddings.said import PURPOSES
from komeet.wire.embeddings.shape import Whole, counted, parse, read, text
from komeet.wire.embeddings.vectors import encoding_of, write_vector
from komeet.wire.format import NOWHERE, Edited, Envelope, Where
from komeet.wire.json import encode_object, renamed
from komeet.wire.members import INT
from komeet.wire.single import EmbeddingCaller, EmbeddingTarget

_encoder: Final = msgspec.json.Encoder()


class OpenAIEmbeddings(EmbeddingCaller):
    """The caller's role."""

    __slots__ = ()

    name: str = ORIGIN

    def parse_envelope(
        self,
        body: bytes,
        headers: Mapping[bytes, bytes],  # noqa: ARG002 - none is read
        where: Where = NOWHERE,  # noqa: ARG002
    ) -> Envelope:
        return parse_envelope(body)

    def parse_request(self, envelope: Envelope) -> EmbeddingRequest:
        members = RequestMembers(envelope.fields)
        members.raw("model")
        members.raw("encoding_format")
        input_type = members.text("input_type")
        return EmbeddingRequest(
            model=envelope.model,
            inputs=parse_inputs(members.raw("input")),
            dimensions=members.take("dimensions", INT, "an integer"),
            encoding=wanted_encoding(envelope),
            input_type=input_type,
            purpose=PURPOSES.get((input_type or "").lower()),
            user=members.text("user"),
            extras=members.left(),
        )

    def measure(self, envelope: Envelope) -> Extent:
        return Extent(bytes=envelope.size, inputs=envelope.inputs, output_limit=0)

    def prompt_text(self, envelope: Envelope) -> str:
        return input_text(envelope.fields["input"])

    def render_response(
        self, answer: EmbeddingResponse, request: EmbeddingRequest, envelope: Envelope, usage: Usage | None
    ) -> bytes:
        tokens = (usage or Usage()).input
        return _encoder.encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": write_vector(vector, request.encoding)}
                    for index, vector in enumerate(answer.vectors)
                ],
                "model": answer.model or envelope.model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


class _Metered:
    """An answer that goes out as it came."""

    __slots__ = ("model", "usage")

    service_tier: str | None = None

    def __init__(self, whole: Whole) -> None:
        self.model = text(whole.model)
        self.usage = counted(whole.usage)

    def output_text(self) -> str:
        return ""


class _Passing:
    """The identity path."""

    __slots__ = ()

    def edit(self, envelope: Envelope, model: str) -> Edited:
        return Edited(body=renamed(envelope.fields, model))

    def read_whole(self, envelope: Envelope, body: bytes) -> _Metered | UpstreamError | None:
        whole = read(body)
        if isinstance(whole, UpstreamError):
            return whole
        wanted = wanted_encoding(envelope)
        if any(encoding_of(item.embedding) not in (wanted, None) for item in whole.data or ()):
            return None
        return _Metered(whole)


class OpenAIEmbeddingsTarget(EmbeddingTarget):
    """The provider's role: OpenAI, and those who imitate it, some of whom write numbers whatever they are asked."""

    __slots__ = ()

    name: str = ORIGIN
    passing = _Passing()

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/embeddings"

    def render_request(self, request: EmbeddingRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        known = {
            "model": request.model,
            "input": request.inputs,
            "encoding_format": request.encoding.value,
            "dimensions": request.dimensions,
            "user": request.user,
            "input_type": request.input_type,
        }
        fields = {name: Raw(_encoder.encode(value)) for name, value in known.items() if value is not None}
        return Edited(body=encode_object(fields | dict(request.extras.get(ORIGIN, {}))))

    def parse_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        return parse(body, request)


CALLER: Final = OpenAIEmbeddings()
TARGET: Final = OpenAIEmbeddingsTarget()
