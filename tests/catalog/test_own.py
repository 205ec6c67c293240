"""Own prices: each from its day on, by name or pattern, in the order of the file."""

from decimal import Decimal

import pytest

from komeet.catalog.own import OwnPrice, OwnPrices
from komeet.catalog.price import ModelPrice, price_from_dollars, rates_from_dollars


def price(dollars: int) -> ModelPrice:
    return price_from_dollars(input=Decimal(dollars), output=Decimal(dollars), version=str(dollars))


def own(model: str, dollars: int, since: int = 0, *, answers: bool = True) -> OwnPrice:
    return OwnPrice(provider="p", model=model, since=since, price=price(dollars), answers=answers)


PRICES = OwnPrices([own("m", 2, 200), own("m", 1, 100), own("m*", 3, 50), own("e", 4, answers=False)])


@pytest.mark.parametrize(
    ("model", "at", "version"),
    [
        ("m", 49, None),
        ("m", 50, "3"),
        ("m", 99, "3"),
        ("m", 100, "1"),
        ("m", 199, "1"),
        ("m", 200, "2"),
        ("m2", 200, "3"),
        ("x", 200, None),
        ("e", 200, None),
    ],
)
def test_the_latest_that_has_begun_is_in_force(model: str, at: int, version: str | None) -> None:
    found = PRICES.find("p", model, at=at)
    assert (None if found is None else found.version) == version
    assert PRICES.find("q", model, at=at) is None


def test_a_price_without_output_is_for_what_generates_nothing() -> None:
    found = PRICES.find("p", "e", at=0, answers=False)
    assert found is not None
    assert found.version == "4"
    assert PRICES.find("p", "m", at=300, answers=False) == price(2)


def test_names_are_listed_and_patterns_are_not() -> None:
    assert PRICES.models("p", at=99) == [("e", False)]
    assert PRICES.models("p", at=100) == [("m", True), ("e", False)]
    assert PRICES.models("q", at=100) == []


def test_the_next_change_is_the_next_beginning() -> None:
    assert [PRICES.next_change(at=at) for at in (0, 50, 100, 200)] == [50, 100, 200, None]
    assert OwnPrices().next_change(at=0) is None


def test_two_prices_cannot_begin_at_once() -> None:
    with pytest.raises(ValueError, match="two prices of m at p begin at once"):
        OwnPrices([own("m", 1, 5), own("m", 2, 5)])


def test_dollars_become_integers_by_class() -> None:
    rates = rates_from_dollars(
        {
            "input": Decimal("1.75"),
            "output": Decimal(14),
            "cache_write_1h": Decimal("3.5"),
            "request": Decimal("0.01"),
            "web_search": Decimal("0.01"),
            "storage_search": Decimal("0.0025"),
            "second": Decimal("0.0001"),
        }
    )
    assert (rates.input, rates.output, rates.cache_write_1h) == (1_750_000_000, 14_000_000_000, 3_500_000_000)
    assert (rates.request, rates.web_search, rates.storage_search) == (10**13, 10**13, 2_500 * 10**9)
    assert rates.audio_ms * 1_000 // 10**6 == 100_000  # nano-dollars of a second
    with pytest.raises(ValueError, match=r"second: .*finer"):
        rates_from_dollars({"input": Decimal(0), "second": Decimal("1e-13")})
