"""Entries: their postings sum to zero, and the books are right after any sequence of them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from komeet.core.money import Nano
from komeet.ledger.accounts import Ended, Leg, Posting
from komeet.ledger.audit import Spent, Uncertain, faults, rebuild, rebuild_windows
from komeet.ledger.budget import Window
from komeet.ledger.decide import decide
from komeet.ledger.entries import (
    CREDITS,
    Attempt,
    Books,
    Effect,
    Entry,
    EntryError,
    EntryKind,
    Note,
    correct,
    credit,
    resolve,
)
from komeet.ledger.port import Hold, Outcome, Share, State

PROVIDER, MARGIN, ADJUSTMENTS, ORGANISATION = 8, 9, 10, 3
BOOKS = Books(PROVIDER, MARGIN)
NOTE = Note("because", "ann", 5)
HOLD = Hold(
    attempt_id="a",
    request_id="r",
    key_id="k",
    accounts=(1, 2, ORGANISATION),
    provider="p",
    model="m",
    model_asked="m",
    amount=Nano(100),
    charge=Nano(120),
    held_at=0,
    shares=(
        Share(1, 0, Nano(120), hard=True, charged=True),
        Share(2, 7, Nano(120), hard=False, charged=True),
        Share(3, 0, Nano(100), hard=True, charged=False),
    ),
)


def attempt(state: State, cost: int = 0, charge: int = 0, *entries: Entry) -> Attempt:
    outcome = Outcome(attempt_id="a", state=state, cost=Nano(cost), charge=Nano(charge), ended_at=1)
    return Attempt(hold=HOLD, ended=Ended(outcome), entries=entries)


def postings(effects: Sequence[Effect]) -> list[Posting]:
    return [
        Posting("", account, leg, Nano(amount), 5, effect.entry.id)
        for effect in effects
        for account, leg, amount in effect.legs
    ]


def numbered(effect: Effect, number: int) -> Effect:
    return replace(effect, entry=replace(effect.entry, id=number))


def test_a_resolution_releases_and_posts() -> None:
    effect = resolve(attempt(State.ORPHAN), BOOKS, Nano(70), Nano(80), NOTE)
    assert effect.legs == (
        (1, Leg.CHARGE, 80),
        (PROVIDER, Leg.CONTRA, -70),
        (MARGIN, Leg.MARGIN, -10),
        (2, Leg.ROLLUP, 80),
        (ORGANISATION, Leg.ROLLUP, 80),
    )
    assert {a: (c.posted, c.held) for a, c in effect.changes.items()} == {
        1: (80, -120),
        2: (80, -120),
        ORGANISATION: (80, -120),
        PROVIDER: (-70, 0),
        MARGIN: (-10, 0),
    }
    assert {w: (c.posted, c.held, c.leased) for w, c in effect.windows.items()} == {
        Window(1, 0): (80, -120, 0),
        Window(2, 7): (80, 0, 0),
        Window(3, 0): (70, -100, 0),
    }


def test_a_resolution_to_nothing_posts_nothing_and_releases_all() -> None:
    effect = resolve(attempt(State.ORPHAN), BOOKS, Nano(0), Nano(0), NOTE)
    assert effect.legs == ()
    assert [change.held for change in effect.changes.values()] == [-120, -120, -120]


@pytest.mark.parametrize("state", [State.SETTLED, State.VOIDED])
def test_only_orphans_are_resolved(state: State) -> None:
    with pytest.raises(EntryError, match="komeet ledger correct"):
        resolve(attempt(state), BOOKS, Nano(1), Nano(1), NOTE)


def test_an_orphan_is_resolved_once_and_corrected_afterwards_only() -> None:
    orphan = attempt(State.ORPHAN)
    with pytest.raises(EntryError, match="komeet ledger resolve"):
        correct(orphan, BOOKS, Nano(1), Nano(1), NOTE)
    done = resolve(orphan, BOOKS, Nano(70), Nano(80), NOTE)
    again = replace(orphan, entries=(done.entry,))
    with pytest.raises(EntryError, match="has been resolved"):
        resolve(again, BOOKS, Nano(1), Nano(1), NOTE)
    correction = correct(again, BOOKS, Nano(60), Nano(80), NOTE)
    assert correction is not None
    assert (correction.entry.cost, correction.entry.charge) == (-10, 0)


def test_a_correction_to_what_it_is_is_none() -> None:
    assert correct(attempt(State.SETTLED, 50, 60), BOOKS, Nano(50), Nano(60), NOTE) is None


@pytest.mark.parametrize("amounts", [(-1, 0), (0, -1)])
def test_nothing_costs_less_than_nothing(amounts: tuple[int, int]) -> None:
    with pytest.raises(EntryError, match="0 or more"):
        correct(attempt(State.SETTLED, 5, 5), BOOKS, Nano(amounts[0]), Nano(amounts[1]), NOTE)
    with pytest.raises(EntryError, match="0 or more"):
        resolve(attempt(State.ORPHAN), BOOKS, Nano(amounts[0]), Nano(amounts[1]), NOTE)


def test_a_credit_of_nothing_is_refused() -> None:
    with pytest.raises(EntryError):
        credit(EntryKind.GRANT, ORGANISATION, ADJUSTMENTS, Nano(0), "", NOTE)


AMOUNTS = st.integers(0, 300)
STEPS = st.lists(
    st.tuples(st.sampled_from([EntryKind.CORRECTION, EntryKind.REPRICING, EntryKind.GRANT]), AMOUNTS, AMOUNTS),
    max_size=8,
)


@given(st.sampled_from(list(State)), AMOUNTS, AMOUNTS, STEPS)
def test_the_books_are_right_after_any_sequence(
    state: State, cost: int, charge: int, steps: list[tuple[EntryKind, int, int]]
) -> None:
    settled = state is State.SETTLED
    outcome = Outcome(
        attempt_id="a",
        state=state,
        cost=Nano(cost if settled else 0),
        charge=Nano(charge if settled else 0),
        ended_at=1,
    )
    decision = decide([HOLD, outcome], {}, {"p": PROVIDER}, MARGIN)
    effects: list[Effect] = []
    known = Attempt(hold=HOLD, ended=decision.ended[0])
    if known.unresolved:
        effects.append(numbered(resolve(known, BOOKS, Nano(cost), Nano(charge), NOTE), 1))
        known = replace(known, entries=(effects[0].entry,))
    for kind, first, second in steps:
        if kind is EntryKind.GRANT:
            effect = credit(kind, ORGANISATION, ADJUSTMENTS, Nano(first + 1), "", NOTE)
        else:
            effect = correct(known, BOOKS, Nano(first), Nano(second), NOTE, kind)
        if effect is not None:
            effects.append(numbered(effect, len(effects) + 1))
            about = tuple(one.entry for one in effects if one.entry.kind not in CREDITS)
            known = replace(known, entries=about)
    for effect in effects:
        assert sum(amount for _, leg, amount in effect.legs if leg is not Leg.ROLLUP) == 0
    entries = [effect.entry for effect in effects]
    every = [*decision.postings, *postings(effects)]
    assert faults(decision.holds, decision.ended, every, entries) == []
    assert _balances(decision, effects) == {
        account: (balance.posted, balance.held)
        for account, balance in rebuild(decision.holds, decision.ended, every, entries).items()
    }
    rebuilt = rebuild_windows(decision.holds, decision.ended, entries)
    assert _moved(decision, effects) == {w: (s.posted, s.held) for w, s in rebuilt.items() if s.posted or s.held}


def _balances(decision: Any, effects: Sequence[Effect]) -> dict[int, tuple[int, int]]:
    sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for changes in (decision.changes, *(effect.changes for effect in effects)):
        for account, change in changes.items():
            sums[account][0] += change.posted
            sums[account][1] += change.held
    return {account: (posted, held) for account, (posted, held) in sorted(sums.items()) if posted or held}


def _moved(decision: Any, effects: Sequence[Effect]) -> dict[Window, tuple[int, int]]:
    sums: defaultdict[Window, list[int]] = defaultdict(lambda: [0, 0])
    for windows in (decision.windows, *(effect.windows for effect in effects)):
        for window, change in windows.items():
            sums[window][0] += change.posted
            sums[window][1] += change.held
    return {window: (posted, held) for window, (posted, held) in sums.items() if posted or held}


def test_what_is_uncertain_is_held_until_somebody_says_what_was_spent() -> None:
    window = Window(1, 0)
    assert rebuild_windows([], [], [], [Uncertain(window, Nano(9), None)]) == {window: Spent(Nano(0), Nano(9))}
    assert rebuild_windows([], [], [], [Uncertain(window, Nano(9), Nano(4))]) == {window: Spent(Nano(4))}


END = Ended(Outcome(attempt_id="a", state=State.ORPHAN, ended_at=1))


def faulty(effects: Sequence[Effect], changed: Sequence[Posting] | None = None) -> list[str]:
    return faults([HOLD], [END], postings(effects) if changed is None else changed, [one.entry for one in effects])


@pytest.mark.parametrize("place", range(5))
def test_a_posting_of_an_entry_that_is_missing_or_changed_is_a_fault(place: int) -> None:
    effect = numbered(resolve(attempt(State.ORPHAN), BOOKS, Nano(70), Nano(80), NOTE), 4)
    right = postings([effect])
    assert faulty([effect]) == []
    assert faulty([effect], right[:place] + right[place + 1 :]) == ["entry 4"]
    right[place] = replace(right[place], amount=Nano(right[place].amount + 1))
    assert faulty([effect], right) == ["entry 4"]


def test_a_second_resolution_and_one_of_nothing_are_faults() -> None:
    effect = resolve(attempt(State.ORPHAN), BOOKS, Nano(70), Nano(80), NOTE)
    assert faulty([numbered(effect, 1), numbered(effect, 2)]) == ["entry 2"]
    effects = [numbered(effect, 1)]
    assert faults([], [], postings(effects), [effects[0].entry]) == ["entry 1"]


@pytest.mark.parametrize("leg", [Leg.CHARGE, Leg.CONTRA])
def test_a_credit_that_does_not_sum_to_zero_is_a_fault(leg: Leg) -> None:
    effect = numbered(credit(EntryKind.PAYMENT, ORGANISATION, ADJUSTMENTS, Nano(50), "pay_1", NOTE), 1)
    right = postings([effect])
    assert faulty([effect]) == []
    wrong = [replace(p, amount=Nano(p.amount + 1)) if p.leg is leg else p for p in right]
    assert faulty([effect], wrong) == ["entry 1"]
    assert faulty([effect], []) == ["entry 1"]
    assert faulty([], right) == ["entry 1"]
