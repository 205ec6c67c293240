"""Jina's reranking, `POST /v1/rerank`, in both roles: Cohere's first version and most others took the same form."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from komeet.canonical.extent import Extent
from komeet.canonical.rerank import RerankRequest, RerankResponse
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import UpstreamError, WireError
from komeet.wire.format import NOWHERE, Edited, Envelope, Where
from komeet.wire.json import encode_object, parse_object, renamed
from komeet.wire.members import ARRAY, BOOL, INT, OBJECT, STRING, Members, missing, read, wrong_type
from komeet.wire.rerank import shape
from komeet.wire.single import RerankCaller, RerankTarget

ORIGIN: Final = "jina_rerank"
_MARKS: Final = 8
"""Tokens that a model adds to each pair of query and document."""
_SEARCHED: Final = 100
"""Documents that Cohere bills as one search (https://cohere.com/pricing)."""
_CHUNK: Final = 244
"""Tokens of a document that a chunk of 500 has beside its query, of which no more than 256 are read; each chunk of a
long document is billed as a document."""

_encoder: Final = msgspec.json.Encoder()
_strings: Final[Decoder[list[str]]] = Decoder(list[str])


class _Members(Members):
    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


class _Counts(Struct):
    total_tokens: int


class _Meta(Struct):
    """Cohere's."""

    billed_units: dict[str, int]


class _Told(Struct, omit_defaults=True):
    """An answer."""

    id: str
    model: str
    results: list[dict[str, object]]
    usage: _Counts | None = None
    meta: _Meta | None = None


class JinaRerank(RerankCaller):
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
        model = _needed(fields, "model")
        if not model:
            raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
        _needed(fields, "query")
        documents = _documents(fields.get("documents"))
        top_n = read(fields.get("top_n"), INT, "top_n", "an integer")
        if top_n is not None and top_n < 1:
            raise WireError(
                "Invalid 'top_n': integer below minimum value. Expected a value >= 1.",
                param="top_n",
                code="integer_below_min_value",
            )
        read(fields.get("return_documents"), BOOL, "return_documents", "a boolean")
        return Envelope(fields=fields, size=len(body), model=model, inputs=len(documents), output_limit=0)

    def parse_request(self, envelope: Envelope) -> RerankRequest:
        members = _Members(envelope.fields)
        members.raw("model")
        return RerankRequest(
            model=envelope.model,
            query=members.need("query"),
            documents=_documents(members.raw("documents")),
            top_n=members.take("top_n", INT, "an integer"),
            return_documents=members.take("return_documents", BOOL, "a boolean"),
            extras=members.left(),
        )

    def measure(self, envelope: Envelope) -> Extent:
        """Every document is read together with the query."""
        documents = _documents(envelope.fields.get("documents"))
        query = len(_needed(envelope.fields, "query").encode("utf-8", "replace"))
        chunks = sum([1 + len(each.encode("utf-8", "replace")) // _CHUNK for each in documents])
        return Extent(
            bytes=envelope.size + len(documents) * (query + _MARKS),
            inputs=len(documents),
            searches=-(-chunks // _SEARCHED),
            output_limit=0,
        )

    def prompt_text(self, envelope: Envelope) -> str:
        query = _needed(envelope.fields, "query")
        return "\n".join([f"{query}\n{each}" for each in _documents(envelope.fields.get("documents"))])

    def render_response(
        self, answer: RerankResponse, request: RerankRequest, envelope: Envelope, usage: Usage | None
    ) -> bytes:
        results: list[dict[str, object]] = []
        for ranked in answer.results[: request.top_n]:
            result: dict[str, object] = {"index": ranked.index, "relevance_score": ranked.score}
            if request.return_documents:
                result["document"] = {"text": request.documents[ranked.index]}
            results.append(result)
        counts = None if usage is None else _Counts(total_tokens=usage.input)
        searches = None if usage is None or not usage.web_searches else _Meta({"search_units": usage.web_searches})
        told = _Told(id=answer.id, model=answer.model or envelope.model, results=results, usage=counts, meta=searches)
        return _encoder.encode(told)


class _Metered:
    """An answer that goes out as it came."""

    __slots__ = ("model", "usage")

    service_tier: str | None = None

    def __init__(self, whole: shape.Whole) -> None:
        self.model = shape.text(whole.model)
        self.usage = shape.usage_of(whole)

    def output_text(self) -> str:
        return ""


class _Passing:
    """The identity path."""

    __slots__ = ()

    def edit(self, envelope: Envelope, model: str) -> Edited:
        return Edited(body=renamed(envelope.fields, model))

    def read_whole(self, envelope: Envelope, body: bytes) -> _Metered | UpstreamError | None:  # noqa: ARG002
        whole = shape.read(body)
        return whole if isinstance(whole, UpstreamError) else _Metered(whole)


class JinaRerankTarget(RerankTarget):
    """The provider's role."""

    __slots__ = ()

    name: str = ORIGIN
    passing = _Passing()

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - one for all
        return "/rerank"

    def render_request(self, request: RerankRequest, profile: Profile) -> Edited:  # noqa: ARG002 - as of others
        known = {
            "model": request.model,
            "query": request.query,
            "documents": request.documents,
            "top_n": request.top_n,
            "return_documents": request.return_documents,
        }
        fields = {name: Raw(_encoder.encode(value)) for name, value in known.items() if value is not None}
        return Edited(body=encode_object(fields | dict(request.extras.get(ORIGIN, {}))))

    def parse_response(self, body: bytes, request: RerankRequest) -> RerankResponse:
        return shape.parse(body, request)


def _needed(fields: dict[str, Raw], name: str) -> str:
    value = read(fields.get(name), STRING, name, "a string")
    if value is None:
        raise missing(name)
    return value


def _documents(raw: Raw | None) -> tuple[str, ...]:
    """Return the texts: documents are strings, or objects with a `text`.

    Raises:
        WireError: 400, with the path of the mistake.
    """
    items = read(raw, ARRAY, "documents", "an array")
    if items is None:
        raise missing("documents")
    if not items:
        raise WireError(
            "Invalid 'documents': empty array. There is nothing to order.", param="documents", code="empty_array"
        )
    try:
        return tuple(_strings.decode(raw or b""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return tuple([_document(item, f"documents[{place}]") for place, item in enumerate(items)])


def _document(raw: Raw, path: str) -> str:
    match bytes(memoryview(raw)[:1]):
        case b'"':
            return read(raw, STRING, path, "a string") or ""
        case b"{":
            members = read(raw, OBJECT, path, "an object") or {}
            text = read(members.get("text"), STRING, f"{path}.text", "a string")
            if text is None:
                raise missing(f"{path}.text")
            return text
        case _:
            raise wrong_type(path, "a string or an object", raw)


CALLER: Final = JinaRerank()
TARGET: Final = JinaRerankTarget()
