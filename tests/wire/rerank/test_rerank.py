"""Reranking: Jina's form in both roles, Cohere's in the provider's."""

import json
from typing import Any

import pytest

from komeet.canonical.usage import Usage
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable, UpstreamError, WireError
from komeet.core.money import PerMillion
from komeet.metering.bound import upper_bound
from komeet.metering.cost import cost
from komeet.wire.format import Envelope
from komeet.wire.rerank import cohere
from komeet.wire.rerank.jina import CALLER, TARGET
from komeet.wire.single_way import SingleWay

BOTH = Usage(input=4, web_searches=2)
ASKED: dict[str, Any] = {"model": "asked", "query": "what is a cat", "documents": ["a bear", {"text": "a cat"}]}
RESULTS = [{"index": 1, "relevance_score": 0.90}, {"index": 0, "relevance_score": 1e-3}]


def enveloped(**members: Any) -> Envelope:
    return CALLER.parse_envelope(json.dumps(ASKED | members).encode(), {})


def way(target: Any = TARGET, *, pass_through: bool = True, strict: bool = False, **members: Any) -> Any:
    return SingleWay(CALLER, target, enveloped(**members), pass_through=pass_through, strict=strict)


def sent(path: Any) -> Any:
    edited = path.request(model="m", profile=Profile(), output_limit=None, ask_usage=False)
    return json.loads(edited.body), [loss.path for loss in edited.losses]


def test_bytes_go_through_but_for_the_model() -> None:
    assert sent(way(late={"a": 1})) == (ASKED | {"model": "m", "late": {"a": 1}}, [])
    body = b'{ "results": [{"index":1,"relevance_score":0.90,"new":1}], "model":"x", "usage": {"total_tokens": 7} }'
    whole = way().whole(body, streamed=False)
    assert (whole.render(None), whole.usage, whole.model) == (body, Usage(input=7), "x")


def test_a_request_is_the_same_through_the_neutral_model() -> None:
    told: dict[str, Any] = ASKED | {"documents": ["a bear", "a cat"], "top_n": 1, "return_documents": True, "late": 1}
    assert sent(way(pass_through=False, **told)) == (told | {"model": "m"}, [])


def test_cohere_is_asked_for_texts_and_no_documents_are_asked_back() -> None:
    path = way(cohere.TARGET, top_n=9, return_documents=True, max_tokens_per_doc=100, rank_fields=["a"])
    assert sent(path) == (
        {
            "model": "m",
            "query": "what is a cat",
            "documents": ["a bear", "a cat"],
            "top_n": 2,
            "max_tokens_per_doc": 100,
        },
        ["rank_fields"],
    )
    with pytest.raises(Unrepresentable, match="rank_fields"):
        sent(way(cohere.TARGET, strict=True, rank_fields=["a"]))


@pytest.mark.parametrize(
    ("wanted", "documents"), [(True, ["a cat", "a bear"]), (False, [None] * 2), (None, [None] * 2)]
)
def test_an_answer_of_cohere_is_told_with_the_documents_if_they_are_wanted(
    wanted: bool | None, documents: list[str | None]
) -> None:
    answered = {"id": "r-1", "results": RESULTS, "meta": {"billed_units": {"search_units": 1}}}
    whole = way(cohere.TARGET, return_documents=wanted).whole(json.dumps(answered).encode(), streamed=False)
    told = json.loads(whole.render(None))
    assert [each.get("document", {}).get("text") for each in told["results"]] == documents
    assert [(each["index"], each["relevance_score"]) for each in told["results"]] == [(1, 0.9), (0, 0.001)]
    assert (told["id"], told["model"]) == ("r-1", "asked")
    assert told["meta"] == {"billed_units": {"search_units": 1}}
    assert whole.usage == Usage(web_searches=1)


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"usage": {"total_tokens": 5}}, Usage(input=5)),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}}, Usage(input=5)),
        ({"tokens": {"input_tokens": 4, "output_tokens": 0}}, Usage(input=4)),
        ({"meta": {"tokens": {"input_tokens": 4}}}, Usage(input=4)),
        (
            {"meta": {"billed_units": {"search_units": 2}, "tokens": {"input_tokens": 4}}},
            Usage(input=4, web_searches=2),
        ),
        ({"usage": {"total_tokens": 0}}, None),
        ({"usage": {"total_tokens": -5}}, None),
        ({"usage": {"total_tokens": 1.5}}, None),
        ({"usage": {"total_tokens": 1e300}}, None),
        ({"usage": "lots"}, None),
        ({}, None),
    ],
)
def test_usage_is_read_where_it_is_said(said: dict[str, Any], usage: Usage | None) -> None:
    assert way().whole(json.dumps({"results": RESULTS} | said).encode(), streamed=False).usage == usage


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"query": None}, "query"),
    ({"query": 1}, "query"),
    ({"documents": None}, "documents"),
    ({"documents": []}, "documents"),
    ({"documents": "a"}, "documents"),
    ({"documents": ["a", 1]}, "documents[1]"),
    ({"documents": [{"title": "a"}]}, "documents[0].text"),
    ({"top_n": 0}, "top_n"),
    ({"top_n": "1"}, "top_n"),
    ({"return_documents": 1}, "return_documents"),
]


@pytest.mark.parametrize(("members", "path"), MISTAKES)
def test_mistakes_are_told_with_their_path(members: dict[str, Any], path: str) -> None:
    with pytest.raises(WireError) as refused:
        enveloped(**members)
    assert refused.value.param == path


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"results": 1}',
        b'{"results": [{"index": 2, "relevance_score": 1}]}',
        b'{"results": [{"index": -1, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": "1"}]}',
        b'{"results": [{"index": 0}]}',
    ],
)
def test_what_is_no_order_of_these_documents_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        way(cohere.TARGET).whole(body, streamed=False)


def test_an_error_with_a_success_status_is_an_error() -> None:
    found = way().whole(b'{"error": {"message": "no", "code": "x"}}', streamed=False)
    assert isinstance(found, UpstreamError)
    assert isinstance(way(cohere.TARGET).whole(b'{"error": {"message": "no"}}', streamed=False), UpstreamError)


def test_the_query_is_read_with_each_document() -> None:
    """Tokens are bounded by the bytes of all pairs; searches by hundreds of pieces of 500 tokens."""
    few, many = CALLER.measure(enveloped()), CALLER.measure(enveloped(documents=["a"] * 250))
    assert (few.inputs, many.inputs) == (2, 250)
    assert few.bytes >= len("a beara cat") + 2 * len("what is a cat")
    assert many.bytes >= 250 * len("what is a cata")
    assert (few.searches, many.searches) == (1, 3)
    long = CALLER.measure(enveloped(documents=["a" * 50_000]))
    assert long.searches >= 50_000 / 256 / 100


def test_searches_are_bounded_and_billed() -> None:
    rates = Rates(input=PerMillion(0), output=PerMillion(0), web_search=PerMillion(2_000_000 * 10**6))
    price = ModelPrice(version="t", steps=(Step(above=0, rates=rates),))
    assert upper_bound(CALLER.measure(enveloped(documents=["a"] * 101)), Profile(), price, 0) == 2 * 2_000_000
    assert cost(Usage(web_searches=2), price, tier=None) == 2 * 2_000_000


def test_the_text_for_counting_has_the_query_with_each_document() -> None:
    assert CALLER.prompt_text(enveloped()) == "what is a cat\na bear\nwhat is a cat\na cat"
