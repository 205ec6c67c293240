"""Money is exact, and rounds once, half to even."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.money import ceil, dollars, parse_dollars, price, settle


@given(st.integers(min_value=0, max_value=10**30))
def test_settle_rounds_as_decimal_does(exact: int) -> None:
    assert settle(exact) == int((Decimal(exact) / 1_000_000).to_integral_value(ROUND_HALF_EVEN))


@given(st.integers(min_value=0, max_value=10**30))
def test_ceil_is_never_below(exact: int) -> None:
    assert ceil(exact) * 1_000_000 >= exact
    assert (ceil(exact) - 1) * 1_000_000 < exact


@given(st.integers(min_value=0, max_value=10**15))
def test_dollars_are_read_as_they_are_written(amount: int) -> None:
    assert parse_dollars(dollars(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (94_500, "0.0000945"), (12 * 10**9, "12"), (-500_000_000, "-0.5"), (10, "0.00000001")],
)
def test_dollars_without_trailing_zeros(amount: int, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize("text", ["", "ten", "-1", "1e999", "NaN", "Infinity"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_dollars(text)


def test_prices_are_integers_or_refused() -> None:
    assert price(Decimal("1.75")) == 1_750_000_000
    assert price(Decimal("0.0375")) == 37_500_000
    with pytest.raises(ValueError, match="finer"):
        price(Decimal("0.0000000001"))
