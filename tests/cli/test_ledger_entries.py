"""`komeet ledger`: the ways out of orphans, uncertain leases and wrong bills, as an operator goes them."""

import os
import pwd
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from tests.cli.conftest import Komeet
from tests.store.spending import Spender

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.leases import Ask
from komeet.ledger.port import Share, State
from komeet.store.audit import audit
from komeet.store.database import Store
from komeet.store.drain import Work, work
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory
from komeet.store.transactions import writing

CENT = 10_000_000


@pytest.fixture
def ledger(komeet: Komeet) -> Iterator[Engine]:
    files = Store.open_for_cli(komeet.data_dir)
    yield files.ledger
    assert audit(files.ledger) == []
    files.close()


@pytest.fixture
def key(ledger: Engine) -> Key:
    return create_key(ledger, ManualClock(), name="app", budget=Nano(100 * CENT))[0]


@pytest.fixture
def spender(ledger: Engine) -> Spender:
    return Spender(ledger, ManualClock())


def test_an_orphan_is_shown_and_resolved(komeet: Komeet, spender: Spender, key: Key) -> None:
    assert komeet("ledger", "orphans").out == "No orphans.\n"
    hold = spender.orphan(key, 3 * CENT)
    (shown,) = komeet("ledger", "orphans", "--json").json
    assert (shown["attempt"], shown["held"], shown["model"]) == (hold.attempt_id, "0.03", "gpt-5.2")
    assert "$0.03" in komeet("ledger", "orphans").out
    done = komeet("ledger", "resolve", hold.attempt_id, "--cost", "0.02", "--reason", "invoice").out
    assert done == f"Entry 1 (resolution of {hold.attempt_id}): cost +$0.02, charge +$0.02\n"
    (entry,) = komeet("ledger", "entries", "--json").json
    assert entry["actor"] == pwd.getpwuid(os.getuid()).pw_name
    assert komeet("ledger", "orphans", "--json").json == []
    assert "invoice" in komeet("ledger", "entries").out


def test_what_never_was_billed_is_voided(komeet: Komeet, spender: Spender, key: Key) -> None:
    hold = spender.orphan(key, 3 * CENT)
    done = komeet("ledger", "resolve", hold.attempt_id, "--void", "--reason", "not on the invoice", "--json").json
    assert (done["cost"], done["charge"]) == ("0", "0")
    (budget,) = komeet("budget", "list", "--json").json
    assert (budget["held"], budget["spent"], budget["left"]) == ("0", "0", "1")


def test_a_call_that_is_charged_otherwise_needs_its_charge(komeet: Komeet, spender: Spender, key: Key) -> None:
    hold = spender.hold(key, 3 * CENT, charge=4 * CENT)
    spender.end(hold, State.ORPHAN)
    command = ("ledger", "resolve", hold.attempt_id, "--cost", "0.02", "--reason", "r")
    said = komeet(*command)
    assert (said.status, "say --charge" in said.err) == (1, True)
    done = komeet(*command, "--charge", "0.03", "--json").json
    assert (done["cost"], done["charge"]) == ("0.02", "0.03")
    corrected = komeet("ledger", "correct", hold.attempt_id, "--cost", "0.01", "--reason", "r", "--json").json
    assert (corrected["cost"], corrected["charge"]) == ("-0.01", "0")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("resolve", "att_none", "--cost", "1", "--reason", "r"), "no attempt 'att_none'"),
        (("resolve", "att_none", "--reason", "r"), "say what it cost"),
        (("resolve", "att_none", "--cost", "1", "--void", "--reason", "r"), "say what it cost"),
        (("resolve", "att_none", "--void", "--charge", "1", "--reason", "r"), "say what it cost"),
        (("resolve", "att_none", "--cost", "-1", "--reason", "r"), "not an amount"),
        (("resolve", "att_none", "--cost", "1", "--reason", " "), "printable text"),
        (("correct", "att_none", "--reason", "r"), "say what it comes to"),
        (("correct", "att_none", "--cost", "much", "--reason", "r"), "not an amount"),
        (("uncertain", "1"), "--spent"),
        (("uncertain", "1", "--spent", "0"), "no uncertain lease 1"),
        (("reprice", "--since", "yesterday"), "neither a span"),
    ],
)
def test_what_is_not_understood_is_said_and_nothing_is_entered(
    command: tuple[str, ...], said: str, komeet: Komeet, key: Key
) -> None:
    answer = komeet("ledger", *command)
    assert answer.status == 1
    assert said in answer.err
    assert komeet("ledger", "entries").out == "No entries.\n"
    del key


def test_a_correction_to_what_it_is_enters_nothing(komeet: Komeet, spender: Spender, key: Key) -> None:
    hold = spender.hold(key, 3 * CENT)
    spender.end(hold, State.SETTLED, 2 * CENT)
    command = ("ledger", "correct", hold.attempt_id, "--cost", "0.02", "--reason", "r")
    assert "Nothing to correct" in komeet(*command).out
    assert komeet("ledger", "entries", "--json").json == []


def test_what_is_uncertain_is_shown_and_resolved(komeet: Komeet, ledger: Engine, spender: Spender, key: Key) -> None:
    assert komeet("ledger", "uncertain").out == "Nothing is uncertain.\n"
    with writing(ledger) as connection:
        ask = Ask((Share(1, 0, Nano(3 * CENT), hard=True, charged=True),), {})
        leased = work(connection, Work(asks=[ask]), Memory(), spender.session)
        assert leased.grants is not None
        work(connection, Work(surplus=leased.grants.spare), Memory(), spender.session)
    assert spender.lose()
    (shown,) = komeet("ledger", "uncertain", "--json").json
    assert (shown["id"], shown["budget"], shown["held"]) == (1, 1, "0.03")
    assert "1 (key 'app')" in komeet("ledger", "uncertain").out
    done = komeet("ledger", "uncertain", "1", "--spent", "0.01")
    assert done.out == "Resolved: $0.01 is spent, $0.02 is free again\n"
    (budget,) = komeet("budget", "list", "--json").json
    assert (budget["held"], budget["spent"]) == ("0", "0.01")
    del key


def test_a_block_is_shown_and_lifted(komeet: Komeet, spender: Spender, key: Key) -> None:
    hold = spender.hold(key, 3 * CENT)
    spender.end(hold, State.SETTLED, 9 * CENT)
    (budget,) = komeet("budget", "list", "--json").json
    assert (budget["blocked"], budget["spent"]) == (True, "0.09")
    assert "blocked" in komeet("budget", "list").out
    assert komeet("budget", "change", "1").status == 0
    (budget,) = komeet("budget", "list", "--json").json
    assert (budget["blocked"], budget["limit"]) == (False, "1")
