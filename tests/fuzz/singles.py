"""Embeddings, moderations and reranking: what callers ask, and what providers answer, in all their formats."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from tests.fuzz.callers import PROFILES
from tests.fuzz.target import Target, bounded, check_error, check_headers, check_refusal, parted, read_json

from komeet.canonical.usage import Usage
from komeet.core.errors import Blame, UpstreamError, WireError
from komeet.wire.embeddings import cohere, gemini, mistral, openai, titan
from komeet.wire.format import Passed
from komeet.wire.moderations import mistral as mistral_moderations
from komeet.wire.moderations import openai as openai_moderations
from komeet.wire.readable import readable
from komeet.wire.rerank import cohere as cohere_rerank
from komeet.wire.rerank import jina
from komeet.wire.single import (
    EmbeddingCaller,
    EmbeddingTarget,
    ModerationCaller,
    ModerationTarget,
    RerankCaller,
    RerankTarget,
)
from komeet.wire.single_way import SingleWay

Pair = (
    tuple[EmbeddingCaller, EmbeddingTarget]
    | tuple[ModerationCaller, ModerationTarget]
    | tuple[RerankCaller, RerankTarget]
)

_PAIRS: Final[tuple[Pair, ...]] = (
    (openai.CALLER, openai.TARGET),
    (openai.CALLER, mistral.TARGET),
    (openai.CALLER, gemini.TARGET),
    (openai.CALLER, cohere.TARGET),
    (openai.CALLER, cohere.ON_BEDROCK),
    (openai.CALLER, titan.TARGET),
    (openai_moderations.CALLER, openai_moderations.TARGET),
    (openai_moderations.CALLER, mistral_moderations.TARGET),
    (jina.CALLER, jina.TARGET),
    (jina.CALLER, cohere_rerank.TARGET),
)
_STATUSES: Final = (200, 400, 401, 404, 429, 500, 503)


def singles(data: bytes) -> None:
    """Ask with the second line of the input, and answer with what follows."""
    options, rest = parted(data)
    pair = options.choose(0, _PAIRS)
    asked, _, answered = rest.partition(b"\n")
    caller, target = pair
    try:
        envelope = caller.parse_envelope(asked, {})
        way: SingleWay[Any, Any] = SingleWay(
            caller,  # pyright: ignore[reportArgumentType] - a pair is of one kind
            target,  # pyright: ignore[reportArgumentType]
            envelope,
            pass_through=options.number(1, 2) == 0,
        )
        extent = caller.measure(envelope)
        caller.prompt_text(envelope).encode()
        profile = options.choose(2, PROFILES)
        edited = way.request(model="n", profile=profile, output_limit=None, ask_usage=False)
    except WireError as error:
        check_error(error, Blame.CLIENT)
        check_refusal(*caller.render_error(error))
        return
    assert extent.inputs >= 1
    read_json(edited.body)
    check_headers(edited.headers)
    bounded(edited.body, data)
    target.path(envelope.model, stream=False).encode("ascii")
    status = options.choose(3, _STATUSES)
    if status == 200:
        _answer(way, answered, data)
        return
    refusal = target.parse_error(status, {}, readable(answered), "someone")
    told = caller.render_refusal(refusal) if isinstance(refusal, Passed) else caller.render_error(refusal)[2]
    read_json(told)


def _answer(way: SingleWay[Any, Any], answered: bytes, data: bytes) -> None:
    try:
        whole = way.whole(answered, streamed=False)
        if isinstance(whole, UpstreamError):
            check_error(whole, Blame.UPSTREAM)
            return
        told = whole.render(Usage(input=1))
    except UpstreamError as error:
        check_error(error, Blame.UPSTREAM)
        return
    check_usage(whole.usage)
    whole.model.encode()
    assert whole.output_text() == ""
    bounded(told, data)
    if told is not answered:
        read_json(told)


def check_usage(usage: Usage | None) -> None:
    """Hold what is charged for to what can be kept: whole numbers, none negative, none absurd."""
    if usage is None:
        return
    for name in usage.__struct_fields__:
        count = getattr(usage, name)
        assert type(count) is int, name
        assert 0 <= count <= 1 << 42, f"{name}: {count}"


def _starts() -> Iterator[bytes]:
    floats, packed = [0.1, -0.2, 1], "zczMPc3MTL4AAIA/"
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    yield from chain(
        _embedding(b"0000", {"input": "hi"}, {"data": [{"index": 0, "embedding": floats}], "usage": usage}),
        _embedding(b"0100", {"input": ["a", "b"], "encoding_format": "base64"}, _data(packed, floats)),
        _embedding(b"0000", {"input": [1, 2], "dimensions": 3, "user": "u"}, _data(packed)),
        _embedding(b"1000", {"input": [[1, 2], [3]]}, _data(floats, floats)),
        _embedding(b"2000", {"input": "hi", "input_type": "query"}, {"embeddings": [{"values": floats}]}),
        _embedding(b"2000", {"input": ["hi"]}, {"embedding": {"values": floats}}),
        _embedding(b"3000", {"input": ["hi"]}, {"embeddings": {"float": [floats]}, "meta": _billed()}),
        _embedding(b"4000", {"input": "hi", "dimensions": 256}, {"embeddings": [floats]}),
        _embedding(b"5000", {"input": "hi", "dimensions": 256}, {"embedding": floats, "inputTextTokenCount": 3}),
        _embedding(b"6000", {"input": "hi"}, {"results": [_verdict()], "id": "x", "model": "m"}),
        _embedding(b"6100", {"input": ["a", "b"]}, {"results": [_verdict(), _verdict()]}),
        _embedding(b"6100", {"input": [{"type": "text", "text": "x"}, _image()]}, {"results": [_verdict()]}),
        _embedding(b"7000", {"input": "hi"}, {"results": [{"categories": {"pii": True}, "category_scores": {"a": 1}}]}),
        _embedding(b"8000", {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}, _ranked(1, 0)),
        _embedding(b"8100", {"query": "q", "documents": ["a", "b"], "return_documents": True}, _ranked(1, 0)),
        _embedding(b"9000", {"query": "q", "documents": ["a", "b"]}, _ranked(0) | {"meta": _billed()}),
        _embedding(b"0004", {"input": "hi"}, {"error": {"message": "no", "code": "x"}}),
        _embedding(b"3001", {"input": "hi"}, {"message": "no"}),
    )


def _embedding(options: bytes, asked: dict[str, Any], answered: Any) -> Iterator[bytes]:
    lines = [json.dumps(each, separators=(",", ":")).encode() for each in ({"model": "m", **asked}, answered)]
    yield b"\n".join([options, *lines])


def _data(*vectors: Any) -> dict[str, Any]:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def _ranked(*order: int) -> dict[str, Any]:
    results = [{"index": place, "relevance_score": 0.5} for place in order]
    return {"results": results, "usage": {"total_tokens": 3}}


def _billed() -> dict[str, Any]:
    return {"billed_units": {"input_tokens": 3, "search_units": 1}}


def _verdict() -> dict[str, Any]:
    scores = {"hate": 0.1, "violence": 0.9}
    return {"flagged": True, "categories": {"hate": False, "violence": True}, "category_scores": scores}


def _image() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


SINGLES: Final = Target(
    name="singles",
    holds="embeddings, moderations and reranking, from the request to the answer, in ten pairs of formats",
    run=singles,
    starts=_starts,
)
