"""`komeet usage` says what the ledger says: in a table for people, in whole nano-dollars for programs."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.cli.conftest import Komeet

from komeet.canonical.usage import Usage
from komeet.core.clock import SystemClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.database import Store
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory, apply
from komeet.store.transactions import writing


def spend(data_dir: Path, markup: int = 1) -> None:
    """Four attempts of one key: settled, estimated and dear, refused, and one that nobody knows the cost of."""
    clock = SystemClock()

    files = Store.open_for_cli(data_dir)
    key, _ = create_key(files.ledger, clock, name="app", tags=["team=web"])
    now, settled = clock.unix_ms(), State.SETTLED
    cheap, dear = Usage(input=1200, output=80), Usage(input=7)
    outcomes = (
        Outcome(attempt_id="1", state=settled, cost=Nano(94_500), usage=cheap, ended_at=now),
        Outcome(attempt_id="2", state=settled, cost=Nano(12 * 10**9), usage=dear, estimated=True, ended_at=now),
        Outcome(attempt_id="3", state=State.VOIDED, reason="upstream_error", ended_at=now),
        Outcome(attempt_id="4", state=State.ORPHAN, reason="crash", ended_at=now),
    )
    for number, outcome in enumerate(outcomes):
        hold = Hold(
            attempt_id=outcome.attempt_id,
            request_id="req",
            key_id=key.id,
            accounts=(key.account,),
            provider="openai",
            model="gpt-5.2" if number else "gpt-5.2-mini",
            model_asked="gpt-5.2",
            tags=key.tags,
            amount=Nano(20 * 10**9),
            held_at=clock.unix_ms(),
        )
        sold = replace(outcome, charge=Nano(outcome.cost * markup)) if outcome.state is settled else outcome
        with writing(files.ledger) as connection:
            apply(connection, [hold, sold], Memory(), "wrk")
    files.close()


def test_rows_and_their_sum(komeet: Komeet) -> None:
    spend(komeet.data_dir)
    said = komeet("usage")
    assert said.status == 0
    assert [re.split(r" {2,}", line.strip()) for line in said.lines] == [
        ["model", "calls", "input", "cached", "output", "reasoning", "cost", "held", "notes"],
        ["openai/gpt-5.2", "2", "7", "0", "0", "0", "$12", "$20", "1 estimated, 1 orphan, 1 void"],
        ["openai/gpt-5.2-mini", "1", "1,200", "0", "80", "0", "$0.0000945", "$0"],
        ["total", "3", "1,207", "0", "80", "0", "$12.0000945", "$20", "1 estimated, 1 orphan, 1 void"],
    ]


def test_programs_get_strings_of_dollars_and_whole_nano_dollars(komeet: Komeet) -> None:
    spend(komeet.data_dir)
    dear, cheap = komeet("usage", "--json").json
    assert (dear["model"], dear["cost"], dear["cost_nano"], dear["held_nano"]) == (
        "openai/gpt-5.2",
        "12",
        12 * 10**9,
        20 * 10**9,
    )
    assert (dear["calls"], dear["estimated"], dear["orphans"], dear["voided"]) == (2, 1, 1, 1)
    assert (cheap["cost"], cheap["cost_nano"], cheap["input"], cheap["output"]) == ("0.0000945", 94_500, 1200, 80)


@pytest.mark.parametrize(
    ("by", "names"),
    [("key", ["app"]), ("tag", ["team=web"]), ("provider", ["openai"])],
)
def test_what_a_row_stands_for(komeet: Komeet, by: str, names: list[str]) -> None:
    spend(komeet.data_dir)
    rows = komeet("usage", "--by", by, "--json").json
    assert [row[by] for row in rows] == names
    assert komeet("usage", "--by", by).lines[0].startswith(by)
    assert ("key_id" in rows[0]) is (by == "key")


def test_time_is_cut_where_it_is_asked_to_be(komeet: Komeet) -> None:
    spend(komeet.data_dir)
    assert komeet("usage", "--since", "2099-01-01").out == "Nothing was used in that time.\n"
    assert komeet("usage", "--until", "2020-01-01", "--json").json == []


@pytest.mark.parametrize(
    ("options", "status", "named"),
    [
        (("--by", "colour"), 2, "colour"),
        (("--since", "yesterday"), 1, "'yesterday'"),
        (("--since", "1h", "--until", "2h"), 1, "--since 1h"),
    ],
)
def test_a_mistake_is_named(komeet: Komeet, options: tuple[str, ...], status: int, named: str) -> None:
    said = komeet("usage", *options)
    assert said.status == status
    assert named in said.err
    assert said.out == ""


def test_before_anything_was_used_nothing_is_made(komeet: Komeet) -> None:
    assert komeet("usage").out == "Nothing has been used yet.\n"
    assert komeet("usage", "--json").json == []
    assert not komeet.data_dir.exists()


def test_what_customers_are_charged_stands_beside_the_cost_where_it_differs(komeet: Komeet) -> None:
    spend(komeet.data_dir, markup=2)
    rows = [re.split(r" {2,}", line.strip()) for line in komeet("usage").lines]
    assert rows[0][6:8] == ["cost", "charge"]
    assert rows[1][6:8] == ["$12", "$24"]
    rows = [re.split(r" {2,}", line.strip()) for line in komeet("usage", "--margin").lines]
    assert rows[0][6:10] == ["cost", "charge", "margin", "%"]
    assert rows[1][6:10] == ["$12", "$24", "$12", "50.0"]
    dear, _ = komeet("usage", "--json").json
    assert (dear["charge_nano"], dear["charge"], dear["margin"]) == (24 * 10**9, "24", "12")


def test_days_are_those_of_the_zone(komeet: Komeet) -> None:
    spend(komeet.data_dir)
    utc = komeet("usage", "--by", "hour", "--json").json[0]["hour"]
    assert utc.endswith("+00:00")
    assert komeet("usage", "--by", "hour", "--zone", "Asia/Kathmandu", "--json").json[0]["hour"].endswith("+05:45")
    said = komeet("usage", "--zone", "Mars/Base")
    assert (said.status, said.out) == (1, "")
    assert "Mars/Base" in said.err
