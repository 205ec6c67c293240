"""`komeet usage export`: what is written is what the ledger says, to the nano-dollar, and safe to open."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from tests.cli.conftest import Komeet

from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.export import csv_cell, focus
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.database import Store
from komeet.store.export import export_hours
from komeet.store.hours import add_to_hour
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory, apply
from komeet.store.tables import entries, outcomes, postings
from komeet.store.transactions import writing
from komeet.store.usage import report_usage

HOUR = 3_600_000
START = 1_792_803_600_000  # 2026-10-24T01:00:00Z

FOCUS_COLUMNS = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
]


@pytest.fixture
def spent(komeet: Komeet) -> int:
    """Sixty calls of two keys with odd names, over five hours, one of them corrected; returns what they cost."""
    clock = ManualClock(START)
    files = Store.open_for_cli(Path(komeet.data_dir))
    names = [("=HYPERLINK(1)", ["team=web", "@risk"]), ('a,"b"\n', ["blue"])]
    made = [create_key(files.ledger, clock, name=name, tags=tags)[0] for name, tags in names]
    total = 0
    for number in range(60):
        key, at = made[number % 2], START + number * HOUR // 12
        hold = Hold(
            attempt_id=f"att_{number:02d}", request_id=f"req_{number}", key_id=key.id, accounts=(key.account,),
            provider="openai", model="-gpt", model_asked="m", tags=key.tags, amount=Nano(10**9), held_at=at,
        )  # fmt: skip
        cost = Nano(number**5 + 1)
        total += cost
        outcome = Outcome(
            attempt_id=hold.attempt_id, state=State.SETTLED, cost=cost, charge=Nano(cost * 2),
            usage=Usage(input=number, output=1), ended_at=at,
        )  # fmt: skip
        with writing(files.ledger) as connection:
            apply(connection, [hold, outcome], Memory(), "wrk")
    with writing(files.ledger) as connection:
        connection.execute(
            insert(entries).values(
                kind="correction", attempt_id="att_07", reference="", cost=-5, charge=-7, reason="wrong", actor="me",
                created_at=START + HOUR,
            )
        )  # fmt: skip
        add_to_hour(connection, "att_07", START + HOUR, cost=-5, charge=-7)
    files.close()
    return total - 5


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


READERS: dict[str, Callable[[str], Any]] = {
    "csv": read_csv,
    "json": json.loads,
    "jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
}


def nano(text: str) -> int:
    amount = Decimal(text) * 10**9
    assert amount == int(amount)
    return int(amount)


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("each", ["hour", "attempt"])
def test_what_is_read_back_sums_to_the_ledger(komeet: Komeet, spent: int, how: str, each: str) -> None:
    said = komeet("usage", "export", "--format", how, "--each", each)
    assert said.status == 0, said.err
    lines = READERS[how](said.out)
    assert sum(nano(line["cost"]) for line in lines) == spent
    files = Store.open_for_cli(Path(komeet.data_dir))
    total = report_usage(files.ledger, "model").total
    with files.ledger.connect() as connection:
        posted = sum(connection.execute(select(postings.c.amount).where(postings.c.leg == "charge")).scalars())
        assert posted - 7 == sum(nano(line["charge"]) for line in lines) == total.charge
        if each == "attempt":
            ids = connection.execute(select(outcomes.c.attempt_id).order_by(outcomes.c.ended_at)).scalars().all()
            assert [line["attempt_id"] for line in lines[:60]] == ids
            assert [line["kind"] for line in lines[60:]] == ["correction"]
    files.close()


def test_the_columns_of_focus(komeet: Komeet, spent: int) -> None:
    lines = read_csv(komeet("usage", "export", "--focus").out)
    assert [name for name in lines[0] if not name.startswith("x_")] == FOCUS_COLUMNS
    assert sum(nano(line["BilledCost"]) for line in lines) == spent
    first = lines[0]
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == ("2026-10-24T01:00:00Z", "2026-10-24T02:00:00Z")
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    assert (first["BillingCurrency"], first["ChargeCategory"], first["SkuId"]) == ("USD", "Usage", "openai/-gpt")
    assert {json.loads(line["Tags"]).get("team") for line in lines} == {"web", None}
    assert all(line["BilledCost"] == line["EffectiveCost"] == line["ListCost"] for line in lines)


def test_numbers_of_focus_are_exact_in_json_too(komeet: Komeet, spent: int) -> None:
    said = komeet("usage", "export", "--focus", "--format", "jsonl").out
    lines = [json.loads(line, parse_float=Decimal) for line in said.splitlines()]
    assert sum(int(line["BilledCost"] * 10**9) for line in lines) == spent
    assert {line["ChargeClass"] for line in lines} == {None}


def test_no_cell_is_a_formula(komeet: Komeet, spent: int) -> None:
    for options in ((), ("--focus",), ("--each", "attempt")):
        for line in read_csv(komeet("usage", "export", *options).out):
            for name, cell in line.items():
                assert not cell.startswith(("=", "+", "@", "\t", "\r")), name
                assert not cell.startswith("-") or name in {"cost", "charge"}, name


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\r", "\n=1", " =1", "＝1"])
def test_what_would_be_a_formula_is_a_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_numbers_stay_numbers() -> None:
    assert [csv_cell(cell) for cell in (-1, Decimal("-1E-9"), None, True, "a=b")] == [
        "-1",
        "-0.000000001",
        "",
        "true",
        "a=b",
    ]


def test_two_exports_are_the_same_and_bounds_move_to_the_hour(komeet: Komeet, spent: int) -> None:
    assert komeet("usage", "export").out == komeet("usage", "export").out
    cut = read_csv(komeet("usage", "export", "--since", "2026-10-24T02:10", "--until", "2026-10-24T03:10").out)
    assert {line["hour"] for line in cut} == {"2026-10-24T02:00:00Z", "2026-10-24T03:00:00Z"}


def test_an_export_of_nothing_still_has_its_columns(komeet: Komeet) -> None:
    assert komeet("usage", "export").lines[0].startswith("hour,provider,model")
    assert komeet("usage", "export", "--focus").lines[0].startswith("BilledCost,")
    assert komeet("usage", "export", "--format", "json").json == []
    assert komeet("usage", "export", "--format", "jsonl").out == ""
    assert not komeet.data_dir.exists()


def test_focus_is_of_hours(komeet: Komeet) -> None:
    said = komeet("usage", "export", "--focus", "--each", "attempt")
    assert (said.status, said.out) == (1, "")


def test_lines_are_read_as_they_are_asked_for(komeet: Komeet, spent: int) -> None:
    files = Store.open_for_cli(Path(komeet.data_dir))
    lines = export_hours(files.ledger)
    assert focus(next(lines))["ProviderName"] == "openai"
    lines.close()  # type: ignore[attr-defined]
    files.close()
