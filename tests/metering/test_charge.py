"""A charge is made exactly from the cost, the price book or a fixed price, and is never above its bound."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.test_bound import consistent_usage, extents, flat, prices, profiles

from komeet.canonical.extent import Extent
from komeet.canonical.usage import Usage
from komeet.catalog.price import ModelPrice
from komeet.catalog.profile import Profile
from komeet.core.money import Nano, Ratio
from komeet.metering.bound import most_input
from komeet.metering.charge import Buyer, Sale, Sales, Terms, terms_of
from komeet.metering.cost import cost, exact_cost

DOLLAR = 10**9
PRICE, LISTED, FIXED = (flat(input=rate * DOLLAR, output=10 * rate * DOLLAR) for rate in (1, 2, 5))
USED = Usage(input=1_000, output=50)

ratios = st.decimals(0, 10, allow_nan=False, allow_infinity=False, places=4).map(Ratio.of)
usages = st.builds(Usage, input=st.integers(0, 10**7), output=st.integers(0, 10**7))


def charge(sale: Sale | None, *, price: ModelPrice | None = PRICE, listed: ModelPrice | None = LISTED) -> Nano | None:
    terms = terms_of(sale, price=price, listed=listed)
    return None if terms is None else terms.charge(USED, tier=None)


def test_a_charge_is_made_from_what_the_rule_says() -> None:
    billed = cost(USED, PRICE, tier=None)
    assert billed == 1_500_000
    assert charge(None) == billed
    assert charge(Sale(basis="cost", ratio=Ratio(6, 5), version="")) == 1_800_000
    assert charge(Sale(basis="list", ratio=Ratio(4, 5), version="")) == 2_400_000
    assert charge(Sale(basis="price", price=FIXED, version="")) == 7_500_000
    assert charge(Sale(basis="cost", ratio=Ratio(0, 1), version="")) == 0


def test_where_the_book_lists_nothing_the_list_is_what_the_provider_bills() -> None:
    assert charge(Sale(basis="list", ratio=Ratio(4, 5), version=""), listed=None) == 1_200_000


def test_what_is_not_known_is_not_charged_as_nothing() -> None:
    assert charge(None, price=None, listed=None) is None
    assert charge(Sale(basis="list", version=""), price=None, listed=None) is None
    assert charge(Sale(basis="cost", version=""), price=None) is None
    assert charge(Sale(basis="price", price=FIXED, version=""), price=None, listed=None) == 7_500_000


@given(usages, prices, ratios, st.sampled_from([None, "flex", "priority"]))
def test_a_ratio_is_applied_to_the_exact_cost_and_rounded_once(
    usage: Usage, price: ModelPrice, ratio: Ratio, tier: str | None
) -> None:
    exact = Decimal(exact_cost(usage, price, tier=tier)) * ratio.parts / (ratio.whole * 10**6)
    assert Terms(price, ratio).charge(usage, tier=tier) == int(exact.to_integral_value(ROUND_HALF_EVEN))
    assert Terms(price).charge(usage, tier=tier) == cost(usage, price, tier=tier)


@given(extents, profiles, prices, ratios, st.integers(0, 50_000), st.data())
def test_no_charge_is_above_its_bound(
    extent: Extent, profile: Profile, price: ModelPrice, ratio: Ratio, limit: int, data: st.DataObject
) -> None:
    terms = Terms(price, ratio)
    bound = terms.bound(extent, profile, limit)
    if bound is None:
        return
    most = most_input(extent, profile, price)
    media = extent.media > 0 or extent.external
    usage = consistent_usage(data, 10**6 if most is None else most, limit * extent.candidates, media=media)
    for tier in {None, "default", extent.service_tier}:
        assert terms.charge(usage, tier=tier) <= bound


@given(extents, profiles, prices, ratios, st.integers(0, 10**13))
def test_an_affordable_output_is_within_the_amount(
    extent: Extent, profile: Profile, price: ModelPrice, ratio: Ratio, amount: int
) -> None:
    terms = Terms(price, ratio)
    most = terms.affordable(extent, profile, Nano(amount))
    if most:
        bound = terms.bound(extent, profile, most)
        assert bound is not None
        assert bound <= amount
        if most < 1 << 40 and most != profile.output_limit:
            beyond = terms.bound(extent, profile, most + 1)
            assert beyond is not None
            assert beyond > amount


# ------------------------------------------------------------------ which rule


ACME = Sale(organisation="acme", models=("gpt-*",), basis="list", version="acme")
LATER = Sale(since=1_000, basis="cost", ratio=Ratio(2, 1), version="later")
REST = Sale(basis="cost", version="rest")


@pytest.mark.parametrize(
    ("buyer", "provider", "model", "at", "rule"),
    [
        (Buyer(organisation="acme"), "openai", "gpt-5.2", 0, "acme"),
        (Buyer(organisation="acme"), "openai", "o4", 0, "rest"),
        (Buyer(organisation="other"), "openai", "gpt-5.2", 999, "rest"),
        (Buyer(organisation="other"), "openai", "gpt-5.2", 1_000, "later"),
        (Buyer(), "openai", "gpt-5.2", 1_000, "later"),
    ],
)
def test_the_first_rule_that_fits_and_has_begun_counts(
    buyer: Buyer, provider: str, model: str, at: int, rule: str
) -> None:
    sale = Sales([ACME, LATER, REST]).find(buyer, provider=provider, model=model, at=at)
    assert sale is not None
    assert sale.version == rule


def test_everything_that_a_rule_names_must_fit() -> None:
    sale = Sale(
        organisation="o", project="p", key="k", tag="t", providers=("x",), models=("m",), basis="cost", version=""
    )
    fitting = Buyer(organisation="o", project="p", key="k", tags=("s", "t"))
    assert sale.fits(fitting, "x", "m", 0)
    for other in (
        Buyer(organisation="o2", project="p", key="k", tags=("t",)),
        Buyer(organisation="o", project=None, key="k", tags=("t",)),
        Buyer(organisation="o", project="p", key="k2", tags=("t",)),
        Buyer(organisation="o", project="p", key="k", tags=()),
    ):
        assert not sale.fits(other, "x", "m", 0)
    assert not sale.fits(fitting, "y", "m", 0)
    assert not sale.fits(fitting, "x", "n", 0)
    assert Sales().find(fitting, provider="x", model="m", at=0) is None
