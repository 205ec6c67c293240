"""Writes `docs/pricing.md`: where prices come from, what calls cost and what customers are charged.

Every amount on the page is computed here, from the configuration that the page shows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Final

from tests.metering.exclusions import EQUAL, READ_ALIKE, READ_OTHERWISE, UNPRICED

from komeet.canonical.usage import Usage
from komeet.catalog.own import OwnPrices
from komeet.catalog.price import ModelPrice, price_from_dollars
from komeet.config.load import parse
from komeet.config.own import own_prices
from komeet.config.sales import sales_of
from komeet.core.money import dollars
from komeet.metering.charge import Buyer, Sales, terms_of
from komeet.metering.cost import cost

OWN: Final = """prices:
  - provider: openai
    model: gpt-5.2                  # or a pattern: gpt-5.2*
    input: 1.25                     # US dollars per million tokens
    cache_read: 0.125
    output: 10
    batch: {input: 0.625, output: 5} # what it leaves out is as above
  - provider: openai
    model: gpt-5.2
    from: 2026-12-01                # from the beginning of that day in UTC
    input: 1
    cache_read: 0.1
    output: 8
    long_context:
      - {above: 272000, input: 2, output: 12}
"""
SALES: Final = """sales:
  - for: {organisation: org_acme}
    models: ["gpt-5.2*"]
    list: 0.8                       # a fifth below the price book
  - for: {tag: partner}
    providers: [openai]
    cost: 1.2                       # a fifth above what the provider bills
  - for: {project: prj_flat}
    price: {input: 2, output: 20}   # whatever the provider bills
  - for: {tag: trial}
    cost: 1.0
    free: {dollars: 5, per: month, zone: Europe/Amsterdam} # or {tokens: 1000000}
"""
LISTED: Final = price_from_dollars(
    input=Decimal("1.75"), output=Decimal(14), cache_read=Decimal("0.175"), version="genai-prices"
)
"""GPT-5.2 in the price book."""
USED: Final = Usage(input=1_000, cache_read=900, output=50, reasoning=40)
LONG: Final = Usage(input=300_000, cache_read=100_000, output=1_000)

_HEAD: Final = """# Prices

<!-- Written by `make docs` from tests/metering/pricing_page.py. -->

Two amounts belong to every call: its **cost**, which is what the provider bills, and its **charge**, which is what the
customer is charged. Without a rule they are equal. Both are whole nano-dollars (10⁻⁹ US dollars), made from exact
products of tokens and prices and rounded once, half to even, when the call is settled. `x-komeet-cost` tells a caller
the charge, not the cost.

## Where prices come from

1. `prices` of the configuration: your own, by provider and model, each from its day on.
2. The price book, which is the package [genai-prices](https://pypi.org/project/genai-prices/), compiled to integers.
3. Nowhere: the call is `unpriced`. That is never 0. It is counted (`komeet_unpriced_calls_total`), logged once an hour
   for each model, and marked on its row. Keys with a hard budget are refused such models, unless
   `ledger.unpriced_with_budget: allow`; `ledger.unpriced: refuse` refuses them to everybody.

The price that is in force when a call is admitted holds for all of it, however long it runs. Its version stands on the
row of the attempt: `genai-prices 0.2.3`, or `configuration 2026-12-01 1a2b3c4d`, where the last word is a digest of
what the file said, so that a price that was edited is told from what it was before.

## Classes

{classes}

A class without a price costs what the class costs that contains it. Tokens of a call with more input than a step of
`long_context` all cost what that step says. The tier that counts is the one that the provider says it served: `batch`,
`flex`, `priority`, or any other of the price book; one without prices of its own costs what the default does.

Searches are counted from what each provider tells: `server_tool_use` in Messages and Chat Completions, the items
`web_search_call` (of these only what searches, not what opens a page) and `file_search_call` in Responses, and the
queries of Gemini's grounding (of Gemini 3 each different one, of the models before one for the call).

Models that the price book prices by characters (`tts-1`) have characters where others have tokens of input; those that
it prices by the hour of what they hear alone (Whisper) have a price of `second` only. Searches of a reranker are
counted as searches ([Reranking, pictures, sound](media.md)).

## Your own prices

```yaml
{own}```

The latest `from` that has begun is in force; before the first of them the price book is. Names and patterns are tried
in the order of the file. Without `output` a price is for models that generate nothing. A price of 0 is a known one.

{own_table}

## What customers are charged

```yaml
{sales}```

The first rule that fits a call counts; put a rule that begins later (`from`) above the one that it replaces. `list` is
the price book's price, without your own; where the book lists nothing, it is what the provider bills. A ratio is exact:
the charge is the exact cost times the ratio, rounded once, and never made from a rounded cost. A hard budget holds the
upper bound of the charge, made from the same price and ratio. Its rule stands on the row, behind the price's version:
`genai-prices 0.2.3; 0.8 of list`. The difference of charge and cost is the margin.

{sales_table}

`free` is what each organisation (or key without one) is charged nothing for in each window: an amount of charges, or
tokens, input and output together; of a call that does not fit any more, a part. What is left is decided in the
transaction that settles the call, so no number of workers or machines gives it twice. The cost is posted as ever, the
charge without what is free; `komeet usage` and the exports show both. Where two rules give an organisation the same
kind in the same window, it is one allowance. How much was free is known only when the ledger settles the call: until
then a budget holds the whole charge, and `x-komeet-cost` tells the whole charge too.
"""

_FOOT: Final = """
## Compared with the library

{equal} recorded calls of real providers report usage and have a price; each costs what genai-prices computes from the
same usage in decimals, rounded once to a nano-dollar, half to even. {alike} whole answers also cost the same by the
library's own reading of them. Prices are those of 2026-11-22.

| recordings | format | equal |
| --- | --- | --- |
{counts}

Excluded, since neither here nor in the library there is a price:

{unpriced}

Of these whole answers the library reads another usage; by the usage that is read here they cost the same:

{otherwise}
"""

_CLASSES: Final[Mapping[str, str]] = {
    "input": "per million tokens",
    "cache_read": "of `input`",
    "cache_write": "of `input`; kept for minutes",
    "cache_write_1h": "of `cache_write`; kept for an hour",
    "input_audio": "of `input`",
    "cache_read_audio": "of `cache_read` and `input_audio`",
    "input_image": "of `input`",
    "cache_read_image": "of `cache_read` and `input_image`",
    "output": "per million tokens",
    "reasoning": "of `output`",
    "output_audio": "of `output`",
    "output_image": "of `output`",
    "request": "for each call",
    "web_search": "for each search that the provider runs",
    "storage_search": "for each search of files that are kept with it",
    "second": "for each second of sound, where that is charged",
}


def own() -> OwnPrices:
    """The prices that the page shows."""
    return own_prices(parse(OWN, {}))


def sales() -> Sales:
    """The rules that the page shows."""
    return sales_of(parse(SALES, {}).sales)


def charged(buyer: Buyer, price: ModelPrice) -> tuple[int, int, str]:
    """Return cost, charge and rule of a call of the page."""
    sale = sales().find(buyer, provider="openai", model="gpt-5.2", at=_ms(2026, 11, 22))
    terms = terms_of(sale, price=price, listed=LISTED)
    assert terms is not None
    return cost(USED, price, tier=None), terms.charge(USED, tier=None), terms.version or "none: the cost"


def page() -> str:
    """Return the page."""
    classes = [
        "| class | US dollars |",
        "| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in _CLASSES.items()),
    ]
    head = (
        _HEAD.replace("{classes}", "\n".join(classes))
        .replace("{own}", OWN)
        .replace("{own_table}", _own_table())
        .replace("{sales}", SALES)
        .replace("{sales_table}", _sales_table())
    )
    counts = [f"| {file} | {spoken} | {count} |" for (file, spoken), count in sorted(EQUAL.items())]
    return head + _FOOT.format(
        equal=f"{sum(EQUAL.values()):,}",
        alike=READ_ALIKE,
        counts="\n".join(counts),
        unpriced=_listed(UNPRICED),
        otherwise=_listed(READ_OTHERWISE),
    )


def _own_table() -> str:
    rows = ["| call | on | tier | cost |", "| --- | --- | --- | --- |"]
    for usage, day, tier in (
        (USED, (2026, 11, 30), None),
        (USED, (2026, 11, 30), "batch"),
        (USED, (2026, 12, 1), None),
        (LONG, (2026, 12, 1), None),
    ):
        price = own().find("openai", "gpt-5.2", at=_ms(*day))
        assert price is not None
        amount = dollars(cost(usage, price, tier=tier))
        rows.append(f"| {_call(usage)} | {datetime(*day, tzinfo=UTC):%Y-%m-%d} | {tier or 'default'} | {amount} |")
    return "\n".join(rows)


def _sales_table() -> str:
    mine = own().find("openai", "gpt-5.2", at=_ms(2026, 11, 22))
    assert mine is not None
    rows = [
        f"{_call(USED)}, at the own price above:",
        "",
        "| whose | rule | cost | charge | margin |",
        "| --- | --- | --- | --- | --- |",
    ]
    for whose, buyer in (
        ("organisation `org_acme`", Buyer(organisation="org_acme")),
        ("a key with the tag `partner`", Buyer(tags=("partner",))),
        ("project `prj_flat`", Buyer(project="prj_flat")),
        ("anybody else", Buyer()),
    ):
        billed, charge, rule = charged(buyer, mine)
        rows.append(f"| {whose} | {rule} | {dollars(billed)} | {dollars(charge)} | {dollars(charge - billed)} |")
    return "\n".join(rows)


def _call(usage: Usage) -> str:
    return f"{usage.input:,} tokens in, of them {usage.cache_read:,} cached, {usage.output:,} out"


def _ms(year: int, month: int, day: int) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


def _listed(reasons: Mapping[str, str]) -> str:
    return "\n".join(
        f"- {reason}: {', '.join(f'`{name}`' for name, _ in group)}"
        for reason, group in groupby(reasons.items(), key=lambda item: item[1])
    )


if __name__ == "__main__":
    print(page(), end="")
