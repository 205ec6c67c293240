"""Moderations: OpenAI's in both roles, Mistral's in the provider's."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.moderation import ModerationRequest
from komeet.canonical.part import Image, Inline, Text, Url
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable, UpstreamError, WireError
from komeet.wire.format import Envelope
from komeet.wire.moderations import mistral
from komeet.wire.moderations.openai import CALLER, CATEGORIES, DEFAULT_MODEL, TARGET
from komeet.wire.single_way import SingleWay

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RESULT: dict[str, Any] = {
    "flagged": True,
    "categories": dict.fromkeys(CATEGORIES, False) | {"violence": True},
    "category_scores": dict.fromkeys(CATEGORIES, 0.0) | {"violence": 0.9},
    "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
}
MISTRAL: dict[str, Any] = {
    "id": "mod-1",
    "model": "mistral-moderation-2603",
    "results": [
        {
            "categories": {"hate_and_discrimination": False, "dangerous_and_criminal_content": True, "pii": True},
            "category_scores": {"hate_and_discrimination": 0.1, "dangerous_and_criminal_content": 0.8, "pii": 0.7},
        }
    ],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}


def enveloped(**members: Any) -> Envelope:
    return CALLER.parse_envelope(json.dumps({"input": "hi", **members}).encode(), {})


def request(**members: Any) -> ModerationRequest:
    return CALLER.parse_request(enveloped(**members))


def way(target: Any = TARGET, *, pass_through: bool = True, **members: Any) -> Any:
    return SingleWay(CALLER, target, enveloped(**members), pass_through=pass_through)


def sent(path: Any) -> Any:
    edited = path.request(model="m", profile=Profile(), output_limit=None, ask_usage=False)
    return json.loads(edited.body), [loss.path for loss in edited.losses]


def test_a_model_need_not_be_named() -> None:
    assert enveloped().model == DEFAULT_MODEL
    assert enveloped(model=None).model == DEFAULT_MODEL
    assert enveloped(model="x").model == "x"
    assert sent(way()) == ({"input": "hi", "model": "m"}, [])


def test_the_three_forms_of_input_are_read() -> None:
    assert request().inputs == ((Text(text="hi"),),)
    assert request(input=["a", "b"]).inputs == ((Text(text="a"),), (Text(text="b"),))
    parts = [{"type": "text", "text": "a"}, PICTURE, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    picture, elsewhere = Image(source=Inline("image/png", "AAAA")), Image(source=Url("https://x/y.png"))
    assert request(input=parts).inputs == ((Text(text="a"), picture, elsewhere),)


@pytest.mark.parametrize("value", [["a"], ["a", "b"], [{"type": "text", "text": "a"}, PICTURE]])
def test_a_request_is_the_same_through_the_neutral_model(value: object) -> None:
    assert sent(way(pass_through=False, input=value, late=1)) == ({"model": "m", "input": value, "late": 1}, [])


MISTAKES: list[tuple[Any, str]] = [
    (None, "input"),
    (5, "input"),
    ([], "input"),
    (["a", 5], "input[1]"),
    ([5], "input[0]"),
    ([{"text": "a"}], "input[0].type"),
    ([{"type": "audio"}], "input[0].type"),
    ([{"type": "text"}], "input[0].text"),
    ([{"type": "image_url"}], "input[0].image_url"),
    ([PICTURE, {"type": "image_url", "image_url": {}}], "input[1].image_url.url"),
]


@pytest.mark.parametrize(("value", "param"), MISTAKES)
def test_mistakes_are_refused_with_their_path(value: object, param: str) -> None:
    with pytest.raises(WireError) as refused:
        enveloped(input=value)
    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_openais_answer_goes_out_as_it_came() -> None:
    body = json.dumps({"id": "modr-1", "model": "omni", "results": [RESULT], "new": 1}).encode()
    whole = way().whole(body, streamed=False)
    assert whole.render(None) == body
    assert (whole.model, whole.usage, whole.output_text()) == ("omni", None, "")


def test_openais_answer_is_the_same_through_the_neutral_model() -> None:
    body = {"id": "modr-1", "model": "omni", "results": [RESULT, RESULT]}
    whole = way(pass_through=False, input=["a", "b"]).whole(json.dumps(body).encode(), streamed=False)
    assert json.loads(whole.render(None)) == body


def test_mistral_is_asked_for_texts() -> None:
    path = way(
        mistral.TARGET, input=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], metadata={}, late=1
    )
    assert sent(path) == ({"model": "m", "input": ["a\nb"], "metadata": {}}, ["late"])
    with pytest.raises(Unrepresentable) as refused:
        sent(way(mistral.TARGET, input=[{"type": "text", "text": "a"}, PICTURE]))
    assert refused.value.param == "input[1]"


def test_mistrals_categories_are_told_in_openais_words_and_others_in_its_own() -> None:
    whole = way(mistral.TARGET).whole(json.dumps(MISTRAL).encode(), streamed=False)
    assert whole.usage == Usage(input=9)
    told = json.loads(whole.render(whole.usage))
    assert (told["id"], told["model"]) == ("mod-1", "mistral-moderation-2603")
    result = told["results"][0]
    assert result["flagged"] is True
    assert set(result["categories"]) == {*CATEGORIES, "pii"} == set(result["category_scores"])
    assert [name for name, found in result["categories"].items() if found] == ["illicit", "pii"]
    assert (result["category_scores"]["illicit"], result["category_scores"]["hate"]) == (0.8, 0.1)


def test_categories_that_nobody_judged_say_so() -> None:
    whole = way(mistral.TARGET).whole(json.dumps(MISTRAL).encode(), streamed=False)
    applied = json.loads(whole.render(None))["results"][0]["category_applied_input_types"]
    assert applied["illicit"] == applied["pii"] == ["text"]
    assert applied["sexual/minors"] == []


@pytest.mark.parametrize("target", [TARGET, mistral.TARGET])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"results":5}', b'{"results":[5]}', b'{"results":[]}', b"[" * 10**5]
)
def test_what_is_no_answer_is_garbled(target: Any, body: bytes) -> None:
    with pytest.raises(Garbled):
        way(target, pass_through=False).whole(body, streamed=False)


def test_an_error_with_a_success_status_is_an_error() -> None:
    body = b'{"error":{"message":"no"}}'
    assert isinstance(way().whole(body, streamed=False), UpstreamError)
    assert isinstance(way(pass_through=False).whole(body, streamed=False), UpstreamError)


def test_the_extent_counts_pictures_as_media() -> None:
    extent = CALLER.measure(enveloped(input=[{"type": "text", "text": "a"}, PICTURE]))
    assert (extent.media, extent.external, extent.inputs, extent.output_limit) == (1, True, 1, 0)
    assert CALLER.measure(enveloped(input=["a", "b"])).inputs == 2
    assert CALLER.prompt_text(enveloped(input=["a", "b"])) == "a\nb"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "image_url", "url", "results", "categories", "flagged"]), inner
        )
    ),
    max_leaves=8,
)


@given(VALUES)
def test_any_input_is_read_or_a_wire_error(value: object) -> None:
    with contextlib.suppress(WireError):
        request(input=value)


@given(st.sampled_from([TARGET, mistral.TARGET]), VALUES)
def test_nothing_but_garbled_escapes(target: Any, value: object) -> None:
    with contextlib.suppress(Garbled):
        way(target, pass_through=False).whole(json.dumps({"results": value}).encode(), streamed=False)
