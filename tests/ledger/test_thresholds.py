"""A threshold is crossed once, however what is spent is cut into transactions."""

from hypothesis import given
from hypothesis import strategies as st

from komeet.ledger.thresholds import crossed


@given(st.sets(st.integers(1, 200), max_size=5), st.integers(0, 1000), st.lists(st.integers(0, 300), max_size=12))
def test_each_is_crossed_once_and_by_the_sum_alone(percents: set[int], amount: int, steps: list[int]) -> None:
    told: list[int] = []
    spent = 0
    for step in steps:
        told += crossed(percents, amount, spent, spent + step)
        spent += step
    assert sorted(told) == sorted(crossed(percents, amount, 0, spent))
    assert len(told) == len(set(told))
    assert set(told) == {percent for percent in percents if amount and 100 * spent >= percent * amount}


def test_it_is_crossed_when_it_is_reached() -> None:
    assert crossed((50, 80, 100), 10, 0, 4) == []
    assert crossed((50, 80, 100), 10, 4, 5) == [50]
    assert crossed((100, 80, 50), 10, 0, 10) == [50, 80, 100]


def test_what_falls_and_rises_again_is_crossed_again() -> None:
    assert crossed((50,), 10, 6, 3) == []
    assert crossed((50,), 10, 3, 6) == [50]
