"""`komeet ledger verify`, `audit` and `show`: what they say, and how they end."""

from pathlib import Path

import pytest
from sqlalchemy import update
from tests.cli.conftest import Komeet
from tests.store.spending import Spender
from tests.store.test_seal import seal_all, tampering

from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.entries import Note
from komeet.ledger.port import Hold, State
from komeet.store.database import Store
from komeet.store.entries import Amounts, correct_attempt
from komeet.store.keys import create_key
from komeet.store.tables import accounts, postings


@pytest.fixture
def spent(komeet: Komeet) -> Hold:
    """Some calls, sealed; returns one that was corrected."""
    clock = ManualClock()
    files = Store.open_for_cli(Path(komeet.data_dir))
    key, _ = create_key(files.ledger, clock, name="app", budget=Nano(10**9), tags=["a"])
    spender = Spender(files.ledger, clock)
    hold = spender.hold(key, 10**6, charge=2 * 10**6)
    spender.end(hold, State.SETTLED, 500_000, charge=700_000)
    for number in range(5):
        spender.spend(key, 10 + number)
    correct_attempt(
        files.ledger, hold.attempt_id, lambda _: Amounts(Nano(400_000), Nano(600_000)), Note("wrong", "me", 9)
    )
    seal_all(files.ledger, clock, most=6)
    files.close()
    return hold


def change(komeet: Komeet, statement: object) -> None:
    files = Store.open_for_cli(Path(komeet.data_dir))
    tampering(files.ledger, lambda c: c.execute(statement))  # type: ignore[call-overload]
    files.close()


def test_a_chain_that_is_whole(komeet: Komeet, spent: Hold) -> None:
    said = komeet("ledger", "verify")
    assert said.status == 0
    assert "seals are whole" in said.lines[0]
    head = said.lines[1].removeprefix("head: ")
    assert komeet("ledger", "verify", "--head", head).status == 0
    assert komeet("ledger", "verify", "--json").json["head"] == head


def test_a_change_breaks_it(komeet: Komeet, spent: Hold) -> None:
    change(komeet, update(postings).where(postings.c.id == 8).values(amount=1))
    said = komeet("ledger", "verify")
    assert said.status == 1
    assert "seal 2 (postings 7 to 12)" in said.err
    assert komeet("ledger", "verify", "--json").json["broken"].startswith("seal 2")


def test_another_head_is_not_in_the_chain(komeet: Komeet, spent: Hold) -> None:
    said = komeet("ledger", "verify", "--head", "ab" * 32)
    assert said.status == 1
    assert "--head" in said.err
    for wrong in ("xyz", "abcd"):
        assert "64 hexadecimal digits" in komeet("ledger", "verify", "--head", wrong).err


def test_the_books(komeet: Komeet, spent: Hold) -> None:
    assert komeet("ledger", "audit").out == "The books are right.\n"
    change(komeet, update(accounts).values(posted=accounts.c.posted + 1))
    said = komeet("ledger", "audit")
    assert (said.status, said.out) == (1, "")
    assert "account 1" in said.err.splitlines()[0]
    few = komeet("ledger", "audit", "--most", "1", "--json")
    assert (few.status, few.json["right"], len(few.json["differences"])) == (1, False, 1)


def test_an_attempt_is_shown_whole(komeet: Komeet, spent: Hold) -> None:
    said = komeet("ledger", "show", spent.attempt_id)
    assert said.status == 0, said.err
    for part in (
        spent.attempt_id,
        "app",
        "openai/gpt-5.2",
        "at most $0.001",
        "$0.002 of budget",
        "settled",
        "wrong (me)",
    ):
        assert part in said.out
    assert "charge $0.0007 on key app" in said.out
    assert "contra $0.0001 on provider openai by entry 1" in said.out
    (one,) = komeet("ledger", "show", spent.attempt_id, "--json").json
    assert (one["outcome"]["cost"], one["outcome"]["charge"]) == ("0.0005", "0.0007")
    assert sum(float(posting["amount"]) for posting in one["postings"]) == pytest.approx(0)
    assert [entry["kind"] for entry in one["entries"]] == ["correction"]


def test_a_request_shows_its_attempts(komeet: Komeet, spent: Hold) -> None:
    assert len(komeet("ledger", "show", "req_1", "--json").json) == 6


def test_what_is_not_there(komeet: Komeet, spent: Hold) -> None:
    said = komeet("ledger", "show", "att_none")
    assert (said.status, said.out) == (1, "")
    assert "att_none" in said.err


def test_before_anything_was_used(komeet: Komeet) -> None:
    for command in ("verify", "audit"):
        assert komeet("ledger", command).status == 1
    assert not komeet.data_dir.exists()
