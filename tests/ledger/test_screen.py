"""What a provider sends never becomes a row that cannot be written, nor a cost that cannot be true."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.port import Outcome, State
from komeet.ledger.screen import LONGEST, UNBELIEVABLE, screen_outcome, screen_text

SETTLED = Outcome(attempt_id="a", state=State.SETTLED, cost=Nano(7), usage=Usage(input=3, output=4), ended_at=1)


@given(st.text(st.characters(exclude_categories=()), max_size=2 * LONGEST))
def test_any_text_becomes_one_that_a_database_takes(text: str) -> None:
    screened = screen_text(text)
    assert len(screened) <= LONGEST
    assert "\0" not in screened
    assert sqlite3.connect(":memory:").execute("select ?", (screened,)).fetchone() == (screened,)
    assert screen_text(screened) == screened


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=LONGEST))
def test_good_text_stays_as_it_is(text: str) -> None:
    assert screen_text(text) == text


@pytest.mark.parametrize("number", [-1, 2**61 + 1, 10**30])
@pytest.mark.parametrize("field", ["cost", "latency_us", "first_token_us"])
def test_a_number_that_cannot_be_true_makes_an_orphan(field: str, number: int) -> None:
    screened = screen_outcome(replace(SETTLED, **{field: number}))
    assert (screened.state, screened.cost, screened.usage) == (State.ORPHAN, 0, Usage())
    assert screened.reason == UNBELIEVABLE


@pytest.mark.parametrize("token_class", Usage.__struct_fields__)
def test_a_count_of_tokens_that_cannot_be_true_makes_an_orphan(token_class: str) -> None:
    for number in (-1, 10**30):
        assert screen_outcome(replace(SETTLED, usage=Usage(**{token_class: number}))).state is State.ORPHAN


def test_only_what_settles_has_a_cost() -> None:
    assert screen_outcome(SETTLED) == SETTLED
    for state in (State.VOIDED, State.ORPHAN):
        assert screen_outcome(replace(SETTLED, state=state)) == replace(SETTLED, state=state, cost=Nano(0))
