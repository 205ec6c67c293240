"""The name of an entry: what differs in anything that changes an answer has another one."""

import json
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from komeet.cache.key import Question, digest_of, headers_of, members_of
from komeet.wire.json import parse_object

SHORT = st.text(max_size=6)
BYTES = st.binary(max_size=6)
QUESTIONS = st.builds(
    Question,
    tenant=SHORT,
    version=SHORT,
    format=SHORT,
    model=SHORT,
    answerers=BYTES,
    headers=st.lists(st.tuples(BYTES, BYTES), max_size=3).map(tuple),
    members=st.lists(st.tuples(SHORT, BYTES), max_size=3).map(tuple),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SHORT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(SHORT, VALUES, max_size=5)
HOW = {"stream", "stream_options"}


@given(QUESTIONS, QUESTIONS)
def test_questions_that_differ_have_other_names(one: Question, other: Question) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


@given(QUESTIONS, st.sampled_from(Question.__struct_fields__), st.data())
def test_each_field_alone_makes_another_name(one: Question, name: str, data: st.DataObject) -> None:
    other = replace(one, **{name: getattr(data.draw(QUESTIONS), name)})
    assume(other != one)
    assert digest_of(other) != digest_of(one)


@given(QUESTIONS, BYTES, SHORT)
def test_nothing_that_a_caller_writes_passes_for_another_tenant(one: Question, value: bytes, text: str) -> None:
    """S5: bytes that move from one field to the next are not the same question."""
    tenant = one.tenant + text
    assume(text)
    moved = replace(one, tenant=one.tenant, version=text + one.version)
    assert digest_of(replace(one, tenant=tenant)) != digest_of(moved)
    assert digest_of(replace(one, headers=((b"a", value),), members=())) != digest_of(
        replace(one, headers=(), members=(("a", value),))
    )


@given(BODIES, st.randoms(use_true_random=False), st.sampled_from([None, 2, "\t"]))
def test_only_the_order_of_the_top_level_and_white_space_are_left_out(
    body: dict[str, Any], chance: Any, indent: int | str | None
) -> None:
    names = list(body)
    chance.shuffle(names)
    otherwise = json.dumps({name: body[name] for name in names}, indent=indent)
    assert members_of(parse_object(otherwise.encode())) == members_of(parse_object(json.dumps(body).encode()))


@given(BODIES, BODIES)
def test_bodies_that_say_something_else_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    said, also = ({name: body[name] for name in body if name not in HOW} for body in (one, other))
    assume(msgspec.json.encode(said, order="sorted") != msgspec.json.encode(also, order="sorted"))
    assert members_of(parse_object(json.dumps(one).encode())) != members_of(parse_object(json.dumps(other).encode()))


def test_the_order_inside_counts_and_how_it_is_sent_does_not() -> None:
    one = members_of(parse_object(b'{"model":"m","schema":{"a":1,"b":2},"stream":true,"stream_options":{}}'))
    assert one == members_of(parse_object(b'{"schema":{"a":1,"b":2},"model":"m"}'))
    assert one != members_of(parse_object(b'{"schema":{"b":2,"a":1},"model":"m"}'))
    assert members_of(parse_object(b'{"a":1.0}')) != members_of(parse_object(b'{"a":1}'))
    assert members_of(parse_object(b'{"a":" x"}')) != members_of(parse_object(b'{"a":"x"}'))


def test_headers_that_change_an_answer_count_and_no_others() -> None:
    sent = {b"anthropic-beta": b"a", b"openai-beta": b"b", b"user-agent": b"c", b"authorization": b"d"}
    assert headers_of(sent, ((b"x-of-the-format", b"e"),)) == (
        (b"anthropic-beta", b"a"),
        (b"openai-beta", b"b"),
        (b"x-of-the-format", b"e"),
    )
