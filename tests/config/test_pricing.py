"""Prices of the configuration file: exact, dated, and every mistake named by its path."""

import pytest

from komeet.canonical.usage import Usage
from komeet.config.load import ConfigError, parse, schema
from komeet.config.own import own_prices
from komeet.config.providers import find
from komeet.config.sales import sales_of
from komeet.core.money import Ratio
from komeet.metering.charge import Buyer
from komeet.metering.cost import cost

DECEMBER = 1_796_083_200_000
"""2026-12-01, in Unix milliseconds."""


def test_every_class_and_tier_and_step_is_taken() -> None:
    config = parse(
        """
prices:
  - provider: openai
    model: "gpt-5.2*"
    input: 1.75
    cache_read: 0.175
    cache_write: 2
    cache_write_1h: 3
    input_audio: 40
    cache_read_audio: 2.5
    input_image: 5
    cache_read_image: 1
    output: 14
    reasoning: 15
    output_audio: 80
    output_image: 30
    request: 0.001
    web_search: 0.01
    storage_search: 0.0025
    second: 0.0001
    long_context: [{above: 1000, input: 3.5}]
    batch: {input: 0.875, output: 7}
    flex: {output: 7, long_context: [{above: 1000, output: 8}]}
    priority: {input: "3.5"}
""",
        {},
    )
    price = own_prices(config).find("openai", "gpt-5.2-pro", at=0)
    assert price is not None
    every = Usage(
        input=1_000,
        cache_read=100,
        cache_write=60,
        cache_write_1h=20,
        input_audio=50,
        cache_read_audio=10,
        input_image=30,
        cache_read_image=5,
        output=500,
        reasoning=100,
        output_audio=40,
        output_image=20,
        web_searches=3,
        storage_searches=2,
        audio_ms=1_500,
    )
    # nano-dollars for a token: 775 text, 85 cached text, 40 + 20 written, 40 + 10 sound, 25 + 5 images; then the output
    tokens_in = 775 * 1_750 + 85 * 175 + 40 * 2_000 + 20 * 3_000 + 40 * 40_000 + 10 * 2_500 + 25 * 5_000 + 5 * 1_000
    tokens_out = 340 * 14_000 + 100 * 15_000 + 40 * 80_000 + 20 * 30_000
    apart = 1_000_000 + 3 * 10_000_000 + 2 * 2_500_000 + 150_000
    assert cost(every, price, tier=None) == tokens_in + tokens_out + apart
    assert cost(Usage(input=1_001), price, tier=None) == 1_001 * 3_500 + 1_000_000
    assert cost(Usage(input=10, output=10), price, tier="batch") == 10 * 875 + 10 * 7_000 + 1_000_000
    assert cost(Usage(input=2_000, output=10), price, tier="flex") == 2_000 * 1_750 + 10 * 8_000 + 1_000_000
    assert cost(Usage(input=2_000, output=10), price, tier="priority") == 2_000 * 3_500 + 10 * 14_000 + 1_000_000


def test_each_price_has_a_version_that_tells_what_it_was() -> None:
    def versions(first: str, second: str) -> list[str]:
        rows = f"[{{provider: openai, model: m, {first}}}, {{provider: openai, model: m, from: 2026-12-01, {second}}}]"
        prices = own_prices(parse(f"prices: {rows}", {}))
        found = [prices.find("openai", "m", at=at) for at in (0, DECEMBER - 1, DECEMBER)]
        assert found[0] == found[1]
        return [price.version for price in found[1:] if price is not None]

    one = versions("input: 1, output: 2", "input: 3, output: 4")
    other = versions("input: 1, output: 2", "input: 3, output: 5")
    assert one[0] == other[0]
    assert one[0].startswith("configuration ")
    assert one[1].startswith("configuration 2026-12-01 ")
    assert one[1] != other[1]


@pytest.mark.parametrize(
    "moment", ["2026-12-01", "'2026-12-01'", "2026-12-01T00:00:00Z", "'2026-12-01T01:00+01:00'", "2026-12-01T00:00:00"]
)
def test_a_moment_is_a_day_or_a_time_of_one(moment: str) -> None:
    [price] = parse(f"prices: [{{provider: openai, model: m, from: {moment}}}]", {}).prices
    assert price.since == DECEMBER


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "prices: [{provider: opneai, model: m, input: 1}]",
            "prices[0].provider: there is no provider `opneai`; did you",
        ),
        ("prices: [{provider: openai, model: m, output: 1}]", "prices[0].input: needed"),
        ("prices: [{provider: openai, model: m, input: -1}]", "prices[0].input: expected a number of zero or more"),
        ("prices: [{provider: openai, model: m, input: cheap}]", "prices[0].input: expected a number"),
        ("prices: [{provider: openai, model: m, input: .nan}]", "prices[0].input: expected a number"),
        ("prices: [{provider: openai, model: m, input: true}]", "prices[0].input: expected a number"),
        (
            "prices: [{provider: openai, model: m, input: 0.0000000001}]",
            "prices[0].input: 1E-10 $ per million is finer",
        ),
        ("prices: [{provider: openai, model: m, input: 1, batch: {output: 1e-12}}]", "prices[0].batch.output: 1E-12 $"),
        ("prices: [{provider: openai, model: m, input: 1, from: soon}]", "prices[0].from: expected a day"),
        ("prices: [{provider: openai, model: m, input: 1, ouput: 2}]", "prices[0].ouput: there is no such option"),
        ("prices: [{provider: openai, input: 1}]", "prices[0]: object missing required field model"),
        (
            "prices: [{provider: openai, model: m, input: 1}, {provider: openai, model: m, input: 2}]",
            "prices: two prices of m at openai begin at once: give each a `from` of its own",
        ),
        (
            "prices: [{provider: openai, model: m, input: 1, long_context: [{above: 9}, {above: 9, input: 2}]}]",
            "prices[0].long_context[1].above: 9 is given twice",
        ),
        ("sales: [{models: ['*']}]", "sales[0]: give one of list, cost, price"),
        ("sales: [{list: 0.8, cost: 1.2}]", "sales[0]: give one of list, cost, price"),
        ("sales: [{cost: -1}]", "sales[0].cost: expected a number of zero or more"),
        ("sales: [{price: {output: 1}}]", "sales[0].price.input: needed"),
        ("sales: [{cost: 1, for: {organization: x}}]", "there is no such option; did you mean `organisation`?"),
    ],
)
def test_mistakes_are_named_by_their_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(parse(text, {}), {})
    assert message in str(caught.value)


def test_a_provider_of_the_file_may_have_prices() -> None:
    config = parse(
        "providers: [{name: mine, base_url: 'https://mine.example/v1'}]\n"
        "prices: [{provider: mine, model: m, input: 0, output: 0}]",
        {},
    )
    assert own_prices(config).find("mine", "m", at=0) is not None


def test_rules_are_taken_with_exact_ratios() -> None:
    sales = sales_of(
        parse(
            "sales: [{for: {tag: t}, models: ['a*'], providers: [openai], list: 0.8, from: 2026-12-01},"
            " {for: {key: key_1}, cost: 1.2}, {price: {input: 1, output: 2}}]",
            {},
        ).sales
    )

    def rule(buyer: Buyer, at: int = DECEMBER) -> tuple[str, Ratio, str]:
        sale = sales.find(buyer, provider="openai", model="abc", at=at)
        assert sale is not None
        return sale.basis, sale.ratio, sale.version

    assert rule(Buyer(tags=("t",))) == ("list", Ratio(4, 5), "0.8 of list")
    assert rule(Buyer(tags=("t",)), DECEMBER - 1)[0] == "price"
    assert rule(Buyer(key="key_1")) == ("cost", Ratio(6, 5), "1.2 of cost")
    assert rule(Buyer())[2].startswith("sale ")


def test_editors_are_told_of_amounts_and_days() -> None:
    definitions = schema()["$defs"]
    assert definitions["Price"]["properties"]["input"]["anyOf"][0] == {"type": "number", "minimum": 0}
    assert {"type": "string", "format": "date"} in definitions["Price"]["properties"]["from"]["anyOf"]
