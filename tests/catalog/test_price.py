from decimal import Decimal

import pytest

from komeet.catalog.price import FREE, price_from_dollars


def test_a_price_is_made_from_dollars() -> None:
    price = price_from_dollars(
        input=Decimal("1.75"), output=Decimal(14), cache_read=Decimal("0.175"), request=Decimal("0.005")
    )
    rates = price.steps[0].rates
    assert (rates.input, rates.output, rates.cache_read) == (1_750_000_000, 14_000_000_000, 175_000_000)
    assert rates.cache_write is None
    assert rates.request == 5_000_000 * 1_000_000
    assert price.version == "configuration"


def test_zero_is_a_known_price() -> None:
    assert price_from_dollars(input=Decimal(0), output=Decimal(0)).steps == FREE.steps


@pytest.mark.parametrize("wrong", ["0.0000000001", "-1", "NaN", "Infinity"])
def test_a_price_that_cannot_be_kept_exactly_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"price|finer"):
        price_from_dollars(input=Decimal(wrong), output=Decimal(1))
