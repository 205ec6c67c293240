import json
import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.book import Book
from komeet.catalog.price import FREE, ModelPrice, Rates, Step
from komeet.catalog.profile import Profile
from komeet.core.money import Nano, PerMillion
from komeet.metering.bound import affordable_output, most_input, upper_bound
from komeet.metering.cost import cost

NOW = 1_795_348_800_000

rate = st.integers(0, 10**11).map(PerMillion)
maybe = st.none() | rate


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    always = {"input", "output", "request", "web_search", "storage_search", "audio_ms"}
    optional: dict[str, Any] = {name: draw(maybe) for name in Rates.__struct_fields__ if name not in always}
    return Rates(input=draw(rate), output=draw(rate), request=draw(rate), web_search=draw(rate), **optional)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    starts = draw(st.lists(st.integers(1, 300_000), unique=True, max_size=3))
    return tuple(Step(above=above, rates=draw(rates())) for above in [0, *sorted(starts)])


prices = st.builds(
    ModelPrice,
    version=st.just("test"),
    steps=steps(),
    tiers=st.dictionaries(st.sampled_from(["flex", "priority"]), steps(), max_size=2),
    context_window=st.none() | st.integers(1, 400_000),
)
extents = st.builds(
    Extent,
    bytes=st.integers(0, 500_000),
    media=st.sampled_from([0, 0, 1]),
    external=st.booleans(),
    candidates=st.integers(1, 4),
    service_tier=st.sampled_from([None, "auto", "default", "flex", "priority"]),
)
profiles = st.builds(
    Profile,
    context_window=st.none() | st.integers(1, 500_000),
    input_limit=st.none() | st.integers(1, 400_000),
    template_tokens=st.integers(0, 1000),
)


def part(data: st.DataObject, whole: int) -> int:
    return data.draw(st.integers(0, whole))


def consistent_usage(data: st.DataObject, most: int, output: int, *, media: bool) -> Usage:
    """Draw usage whose classes fit into their totals, with totals within the limits."""
    total = part(data, most)
    audio = part(data, total) if media else 0
    image = part(data, total - audio) if media else 0
    audio_read, image_read = part(data, audio), part(data, image)
    text = total - audio - image
    text_read = part(data, text)
    written = part(data, text - text_read)
    received = part(data, output)
    reasoning = part(data, received)
    spoken = part(data, received - reasoning)
    return Usage(
        input=total,
        cache_read=text_read + audio_read + image_read,
        cache_write=written,
        cache_write_1h=part(data, written),
        input_audio=audio,
        cache_read_audio=audio_read,
        input_image=image,
        cache_read_image=image_read,
        output=received,
        reasoning=reasoning,
        output_audio=spoken,
        output_image=part(data, received - reasoning - spoken),
    )


@settings(max_examples=400)
@given(extents, profiles, prices, st.integers(0, 50_000), st.data())
def test_no_usage_within_the_extent_costs_more_than_the_bound(
    extent: Extent, profile: Profile, price: ModelPrice, limit: int, data: st.DataObject
) -> None:
    bound = upper_bound(extent, profile, price, limit)
    most = most_input(extent, profile, price)
    if bound is None:
        assert most is None
        return
    media = extent.media > 0 or extent.external
    usage = consistent_usage(data, 10**6 if most is None else most, limit * extent.candidates, media=media)
    for tier in {None, "default", extent.service_tier}:
        assert cost(usage, price, tier=tier) <= bound


@settings(max_examples=400)
@given(extents, profiles, prices, st.integers(0, 10**13))
def test_what_is_affordable_fits_and_one_token_more_does_not(
    extent: Extent, profile: Profile, price: ModelPrice, amount: int
) -> None:
    most = affordable_output(extent, profile, price, Nano(amount))
    if most is None:
        assert upper_bound(extent, profile, price, 0) is None
        return
    bound = upper_bound(extent, profile, price, most)
    assert bound is not None
    if most > 0:
        assert bound <= amount
    beyond = upper_bound(extent, profile, price, most + 1)
    assert beyond is not None
    assert beyond > amount or most == 1 << 40


@given(extents, profiles, prices, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_larger_limit_never_has_a_smaller_bound(
    extent: Extent, profile: Profile, price: ModelPrice, one: int, other: int
) -> None:
    small, large = (upper_bound(extent, profile, price, limit) for limit in sorted((one, other)))
    assert (small is None) == (large is None)
    assert small is None or (large is not None and small <= large)


def flat(**given_rates: int) -> ModelPrice:
    typed = {name: PerMillion(value) for name, value in given_rates.items()}
    return ModelPrice(version="test", steps=(Step(above=0, rates=Rates(**typed)),))


MILLION = 1_000_000


def test_input_is_a_token_a_byte_and_what_the_template_adds() -> None:
    price = flat(input=MILLION, output=10 * MILLION)
    profile = Profile(template_tokens=100)
    assert upper_bound(Extent(bytes=1000), profile, price, 50) == 1100 + 500
    assert upper_bound(Extent(bytes=1000, candidates=3), profile, price, 50) == 1100 + 1500
    limited = Profile(template_tokens=100, input_limit=600, context_window=1000)
    assert upper_bound(Extent(bytes=1000), limited, price, 0) == 600


def test_content_that_is_not_in_the_bytes_is_the_whole_input_limit() -> None:
    price = flat(input=MILLION, output=0)
    profile = Profile(context_window=200_000)
    assert upper_bound(Extent(bytes=10, media=1), profile, price, 0) == 200_000
    assert upper_bound(Extent(bytes=10, external=True), profile, price, 0) == 200_000
    assert upper_bound(Extent(bytes=10, external=True), Profile(), price, 0) is None
    window = ModelPrice(version="t", steps=price.steps, context_window=128_000)
    assert upper_bound(Extent(bytes=10, external=True), Profile(), window, 0) == 128_000


def test_the_dearest_class_counts() -> None:
    price = flat(input=MILLION, output=MILLION, cache_write=2 * MILLION, input_audio=9 * MILLION, reasoning=3 * MILLION)
    bare = Profile(template_tokens=0, context_window=1000)
    assert upper_bound(Extent(bytes=100), bare, price, 10) == 200 + 30
    assert upper_bound(Extent(bytes=100, media=1), bare, price, 10) == 9000 + 30


def test_a_cheaper_tier_that_was_asked_for_does_not_lower_the_bound() -> None:
    flex = flat(input=MILLION, output=0).steps
    priority = flat(input=4 * MILLION, output=0).steps
    price = ModelPrice(
        version="t", steps=flat(input=2 * MILLION, output=0).steps, tiers={"flex": flex, "priority": priority}
    )
    bare = Profile(template_tokens=0)
    bounds = [
        upper_bound(Extent(bytes=100, service_tier=tier), bare, price, 0) for tier in (None, "auto", "flex", "priority")
    ]
    assert bounds == [200, 200, 200, 400]


def test_a_context_step_that_cannot_be_reached_does_not_count() -> None:
    price = ModelPrice(
        version="t",
        steps=(
            Step(above=0, rates=Rates(input=PerMillion(MILLION), output=PerMillion(MILLION))),
            Step(above=1000, rates=Rates(input=PerMillion(2 * MILLION), output=PerMillion(3 * MILLION))),
        ),
    )
    bare = Profile(template_tokens=0)
    assert upper_bound(Extent(bytes=1000), bare, price, 10) == 1000 + 10
    assert upper_bound(Extent(bytes=1001), bare, price, 10) == 2002 + 30


def test_charges_that_are_not_carried_have_no_bound_where_a_call_may_meet_them() -> None:
    steps = flat(input=MILLION, output=MILLION).steps
    profile = Profile(context_window=1000)

    def bound(extent: Extent, *omitted: str) -> Nano | None:
        return upper_bound(extent, profile, ModelPrice(version="t", steps=steps, omitted=omitted), 1)

    text, picture = Extent(bytes=10), Extent(bytes=10, media=1)
    assert bound(text, "code_executions_kcount", "audio_hours") is not None
    assert bound(picture, "code_executions_kcount") is not None
    assert bound(picture, "audio_hours") is None
    assert bound(text, "output_citation_mtok") is None
    assert bound(Extent(bytes=10, hosted_tools=True)) is None
    assert upper_bound(text, Profile(hosted_tools=True), flat(input=1, output=1), 1) is None


def test_sound_by_its_length_has_no_bound_where_a_call_may_carry_some() -> None:
    price = flat(input=MILLION, output=0, audio_ms=1)
    profile = Profile(context_window=1000)
    assert upper_bound(Extent(bytes=10), profile, price, 0) is not None
    assert upper_bound(Extent(bytes=10, media=1), profile, price, 0) is None


def test_a_free_model_needs_no_limits() -> None:
    assert upper_bound(Extent(bytes=10, media=3, external=True), Profile(), FREE, 10**6) == 0
    assert affordable_output(Extent(bytes=10), Profile(output_limit=8192), FREE, Nano(0)) == 8192


def test_the_affordable_output_stays_within_the_models_own_limit() -> None:
    price = flat(input=0, output=MILLION)
    assert affordable_output(Extent(bytes=1), Profile(output_limit=100), price, Nano(10**6)) == 100
    assert affordable_output(Extent(bytes=1), Profile(), price, Nano(250)) == 250
    dear = flat(input=MILLION, output=0)
    assert affordable_output(Extent(bytes=1000), Profile(), dear, Nano(10)) == 0


def test_no_recorded_call_to_openai_used_more_than_its_bytes_allow(book: Book) -> None:
    folder = os.environ.get("KOMEET_RECORDINGS")
    if not folder:
        pytest.skip("KOMEET_RECORDINGS is not set")
    seen = 0
    for line in (Path(folder) / "openai.jsonl").read_text("utf-8").splitlines():
        call = json.loads(line)
        text = json.dumps(call["request"], ensure_ascii=False)
        if "api.openai.com/v1/chat/completions" not in call["url"] or not isinstance(call["response"], dict):
            continue
        answer = cast("dict[str, Any]", call["response"])
        if not answer.get("usage") or any(kind in text for kind in ("image_url", "input_audio", '"file"', "search")):
            continue
        price = book.find("openai", answer["model"], at=NOW)
        if price is not None:
            profile = Profile(template_tokens=256)
            most = most_input(Extent(bytes=len(text.encode())), profile, price)
            assert most is not None
            assert answer["usage"]["prompt_tokens"] <= most
            seen += 1
    assert seen > 100


def test_the_input_limit_holds_for_each_of_several_inputs() -> None:
    profile, price = Profile(input_limit=8192, template_tokens=0), FREE
    assert most_input(Extent(bytes=100_000), profile, price) == 8192
    assert most_input(Extent(bytes=100_000, inputs=3), profile, price) == 3 * 8192
    assert most_input(Extent(bytes=100_000, inputs=2048), profile, price) == 100_000


def test_a_call_that_generates_nothing_is_bounded_by_its_input() -> None:
    price = ModelPrice(
        version="test", steps=(Step(above=0, rates=Rates(input=PerMillion(10**6), output=PerMillion(10**9))),)
    )
    assert upper_bound(Extent(bytes=1000), Profile(template_tokens=0), price, 0) == 1000
