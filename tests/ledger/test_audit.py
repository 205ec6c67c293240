"""The audit finds what is wrong with the books."""

import pytest
from msgspec.structs import replace

from komeet.core.money import Nano
from komeet.ledger.accounts import Balance, Ended, Leg, Posting
from komeet.ledger.audit import faults, rebuild
from komeet.ledger.port import Hold, Outcome, State

HOLD = Hold(
    attempt_id="a",
    request_id="r",
    key_id="k",
    accounts=(1, 2),
    provider="p",
    model="m",
    model_asked="m",
    amount=Nano(9),
    held_at=0,
)
END = Ended(Outcome(attempt_id="a", state=State.SETTLED, cost=Nano(7), ended_at=0))
POSTINGS = [
    Posting("a", 1, Leg.CHARGE, Nano(7), 0),
    Posting("a", 8, Leg.CONTRA, Nano(-7), 0),
    Posting("a", 2, Leg.ROLLUP, Nano(7), 0),
]


def test_right_books_have_no_faults() -> None:
    assert faults([HOLD], [END], POSTINGS) == []
    assert faults([HOLD], [], []) == []
    assert rebuild([HOLD], [END], POSTINGS) == {1: Balance(Nano(7)), 2: Balance(Nano(7)), 8: Balance(Nano(-7))}


def test_what_is_open_or_an_orphan_is_held() -> None:
    orphan = Ended(Outcome(attempt_id="a", state=State.ORPHAN, ended_at=0))
    voided = Ended(Outcome(attempt_id="a", state=State.VOIDED, ended_at=0))
    held = {1: Balance(Nano(0), Nano(9)), 2: Balance(Nano(0), Nano(9))}
    assert rebuild([HOLD], [], []) == held
    assert rebuild([HOLD], [orphan], []) == held
    assert rebuild([HOLD], [voided], []) == {}


@pytest.mark.parametrize("left_out", range(3))
def test_a_missing_posting_is_a_fault(left_out: int) -> None:
    assert faults([HOLD], [END], [p for i, p in enumerate(POSTINGS) if i != left_out]) == ["a"]


@pytest.mark.parametrize("changed", range(3))
def test_a_changed_or_doubled_posting_is_a_fault(changed: int) -> None:
    posting = POSTINGS[changed]
    assert faults([HOLD], [END], [*POSTINGS, posting]) == ["a"]
    altered = [Posting(p.attempt_id, p.account, p.leg, Nano(p.amount + (p is posting)), 0) for p in POSTINGS]
    assert faults([HOLD], [END], altered) == ["a"]


def test_outcomes_and_postings_without_their_cause_are_faults() -> None:
    assert faults([], [END], POSTINGS) == ["a"]
    assert faults([HOLD], [END, END], POSTINGS) == ["a"]
    assert faults([HOLD], [], POSTINGS) == ["a"]
    assert faults([replace(HOLD, accounts=(3, 2))], [END], POSTINGS) == ["a"]
