"""The ledger's decisions against an oracle that knows nothing but the list of attempts."""

from dataclasses import dataclass
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from komeet.core.money import Nano
from komeet.ledger.accounts import Balance, Ended, Leg, Posting
from komeet.ledger.audit import Spent, faults, rebuild, rebuild_windows
from komeet.ledger.budget import Window
from komeet.ledger.decide import Command, Decision, WindowChange, decide
from komeet.ledger.port import Hold, Outcome, Share, State

OPENAI, GROQ, MARGIN = 8, 9, 10
PROVIDERS = {"openai": OPENAI, "groq": GROQ}
CHAINS: list[tuple[int, ...]] = [(1,), (2,), (1, 3), (2, 3)]
SHARES = [(), ((5, True),), ((5, True), (6, False)), ((5, True), (7, True))]
"""By chain: the budgets, and whether each is hard. 7 counts what providers bill."""


def a_hold(
    attempt: str, amount: int, chain: tuple[int, ...] = (1,), provider: str = "openai", charge: int | None = None
) -> Hold:
    most = amount if charge is None else charge
    return Hold(
        attempt_id=attempt,
        request_id="req",
        key_id="key",
        accounts=chain,
        provider=provider,
        model="m",
        model_asked="m",
        amount=Nano(amount),
        charge=None if charge is None else Nano(charge),
        held_at=0,
        shares=tuple(
            Share(budget, 0, Nano(amount if budget == 7 else most), hard, charged=budget != 7)
            for budget, hard in SHARES[CHAINS.index(chain)]
        ),
    )


def an_end(attempt: str, state: State, cost: int = 0, charge: int | None = None) -> Outcome:
    settled = state is State.SETTLED
    return Outcome(
        attempt_id=attempt,
        state=state,
        cost=Nano(cost if settled else 0),
        charge=None if charge is None or not settled else Nano(charge),
        ended_at=1,
    )


def decided(*commands: Command) -> Decision:
    return decide(commands, {}, PROVIDERS, MARGIN)


@dataclass
class Attempt:
    hold: Hold
    end: Outcome | None = None

    @property
    def cost(self) -> int:
        return 0 if self.end is None else self.end.cost

    @property
    def charge(self) -> int:
        return 0 if self.end is None else self.end.charged

    @property
    def is_held(self) -> bool:
        return self.end is None or self.end.state is State.ORPHAN


class Oracle:
    """Everything by adding up, every time."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}

    def balance(self, account: int) -> tuple[int, int]:
        mine = [a for a in self.attempts.values() if account in a.hold.accounts]
        billed = sum(a.cost for a in self.attempts.values() if PROVIDERS[a.hold.provider] == account)
        earned = sum(a.charge - a.cost for a in self.attempts.values()) if account == MARGIN else 0
        posted = sum(a.charge for a in mine) - billed - earned
        return posted, sum(a.hold.most_charged for a in mine if a.is_held)

    def window(self, budget: int) -> tuple[int, int, int]:
        """What is posted, what orphans hold, and what was taken from leases: by orphans, and of what was spent."""
        posted = held = taken = 0
        for attempt in self.attempts.values():
            for share in attempt.hold.shares:
                if share.budget != budget or attempt.end is None:
                    continue
                spent = attempt.charge if share.charged else attempt.cost
                posted += spent
                orphan = attempt.end.state is State.ORPHAN and share.hard
                held += share.amount if orphan else 0
                taken += share.amount if orphan else min(spent, share.amount) if share.hard else 0
        return posted, held, taken


class LedgerMachine(RuleBasedStateMachine):
    """Batches of records: new holds, and outcomes of any attempt, known, ended or never heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = count()
        self.oracle = Oracle()
        self.balances: dict[int, list[int]] = {}
        self.windows: dict[int, list[int]] = {}
        self.holds: list[Hold] = []
        self.ended: list[Ended] = []
        self.postings: list[Posting] = []

    @rule(
        drawn=st.lists(
            st.tuples(
                st.booleans(),
                st.integers(0, 60),
                st.integers(0, 30),
                st.none() | st.integers(0, 90),
                st.sampled_from(list(State)),
            ),
            max_size=12,
        )
    )
    def batch(self, drawn: list[tuple[bool, int, int, int | None, State]]) -> None:
        commands: list[Command] = []
        open_now = {a.hold.attempt_id: a.hold for a in self.oracle.attempts.values() if a.end is None}
        for is_hold, amount, pick, charge, state in drawn:
            if is_hold:
                provider = ("openai", "groq")[pick % 2]
                hold = a_hold(f"a{next(self.ids)}", amount, CHAINS[pick % len(CHAINS)], provider, charge)
                commands.append(hold)
                self.oracle.attempts[hold.attempt_id] = Attempt(hold)
            else:
                outcome = an_end(f"a{pick}", state, amount, charge)
                commands.append(outcome)
                attempt = self.oracle.attempts.get(outcome.attempt_id)
                if attempt is not None and attempt.end is None:
                    attempt.end = outcome
        decision = decide(commands, open_now, PROVIDERS, MARGIN)
        for account, change in decision.changes.items():
            balance = self.balances.setdefault(account, [0, 0])
            balance[0] += change.posted
            balance[1] += change.held
        for window, moved in decision.windows.items():
            numbers = self.windows.setdefault(window.budget, [0, 0, 0])
            numbers[0] += moved.posted
            numbers[1] += moved.held
            numbers[2] -= moved.leased
        self.holds += decision.holds
        self.ended += decision.ended
        self.postings += decision.postings
        assert [hold.attempt_id for hold in decision.ended_holds] == [e.outcome.attempt_id for e in decision.ended]

    @invariant()
    def the_balances_are_the_oracles(self) -> None:
        for account in (1, 2, 3, OPENAI, GROQ, MARGIN):
            assert tuple(self.balances.get(account, [0, 0])) == self.oracle.balance(account)

    @invariant()
    def the_windows_are_the_oracles(self) -> None:
        for budget in (5, 6, 7):
            assert tuple(self.windows.get(budget, [0, 0, 0])) == self.oracle.window(budget)
        derived = rebuild_windows(self.holds, self.ended)
        for budget in (5, 6, 7):
            posted, held, _ = self.oracle.window(budget)
            spent = derived.get(Window(budget, 0), Spent())
            assert (spent.posted, spent.held) == (posted, held)

    @invariant()
    def the_books_are_right(self) -> None:
        assert faults(self.holds, self.ended, self.postings) == []
        kept = {a: Balance(Nano(posted), Nano(held)) for a, (posted, held) in self.balances.items() if posted or held}
        assert rebuild(self.holds, self.ended, self.postings) == kept
        for attempt in {p.attempt_id for p in self.postings}:
            sides = [p.amount for p in self.postings if p.attempt_id == attempt and p.leg is not Leg.ROLLUP]
            assert sum(sides) == 0


LedgerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
TestLedger = LedgerMachine.TestCase


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, *State]), st.integers(0, 40)), max_size=30), st.data()
)
def test_how_records_are_cut_into_batches_changes_nothing(
    drawn: list[tuple[int, State | None, int]], data: st.DataObject
) -> None:
    ids = count()
    commands: list[Command] = [
        a_hold(f"a{next(ids)}", amount, CHAINS[pick % 4]) if state is None else an_end(f"a{pick}", state, amount)
        for pick, state, amount in drawn
    ]
    whole = decided(*commands)
    open_now: dict[str, Hold] = {}
    ended: list[Ended] = []
    totals: dict[Window, list[int]] = {}
    start = 0
    while start < len(commands):
        size = data.draw(st.integers(1, len(commands) - start))
        part = decide(commands[start : start + size], open_now, PROVIDERS, MARGIN)
        open_now |= {hold.attempt_id: hold for hold in part.holds}
        for end in part.ended:
            del open_now[end.outcome.attempt_id]
        ended += part.ended
        for window, change in part.windows.items():
            total = totals.setdefault(window, [0, 0, 0])
            for place, more in enumerate((change.posted, change.held, change.leased)):
                total[place] += more
        start += size
    assert ended == whole.ended
    assert {window: total for window, total in totals.items() if any(total)} == {
        window: [change.posted, change.held, change.leased] for window, change in whole.windows.items()
    }


def test_a_settlement_charges_each_account_of_the_chain_against_the_provider_and_the_margin() -> None:
    decision = decided(a_hold("a", 50, (2, 3), charge=90), an_end("a", State.SETTLED, 30, 54))
    assert [(p.account, p.leg, p.amount) for p in decision.postings] == [
        (2, Leg.CHARGE, 54),
        (OPENAI, Leg.CONTRA, -30),
        (MARGIN, Leg.MARGIN, -24),
        (3, Leg.ROLLUP, 54),
    ]


def test_what_is_sold_at_cost_posts_no_margin_and_what_is_given_away_no_charge() -> None:
    at_cost = decided(a_hold("a", 50), an_end("a", State.SETTLED, 30)).postings
    assert [(p.leg, p.amount) for p in at_cost] == [(Leg.CHARGE, 30), (Leg.CONTRA, -30)]
    free = decided(a_hold("a", 50, charge=0), an_end("a", State.SETTLED, 30, 0)).postings
    assert [(p.leg, p.amount) for p in free] == [(Leg.CONTRA, -30), (Leg.MARGIN, 30)]


def test_what_is_not_needed_stays_leased_and_what_is_spent_does_not() -> None:
    decision = decided(a_hold("a", 50, (1, 3), charge=80), an_end("a", State.SETTLED, 30, 45))
    assert decision.windows == {
        Window(5, 0): WindowChange(Nano(45), Nano(0), Nano(-45)),
        Window(6, 0): WindowChange(Nano(45), Nano(0), Nano(0)),
    }
    assert decided(a_hold("a", 50, (2,)), an_end("a", State.VOIDED)).windows == {}


def test_a_cost_above_the_hold_is_posted_in_full_raises_an_alarm_and_blocks_hard_budgets() -> None:
    decision = decided(a_hold("a", 50, (1, 3)), an_end("a", State.SETTLED, 70))
    assert [end.overrun for end in decision.ended] == [20]
    assert [(o.attempt_id, o.reserved, o.cost, o.blocked) for o in decision.overruns] == [("a", 50, 70, (5,))]
    assert decision.windows[Window(5, 0)] == WindowChange(Nano(70), Nano(0), Nano(-50))


def test_without_a_hard_budget_nothing_is_an_overrun() -> None:
    decision = decided(a_hold("a", 50, (1,)), an_end("a", State.SETTLED, 70))
    assert decision.overruns == []
    assert [end.overrun for end in decision.ended] == [0]


def test_an_orphan_keeps_its_reservation_and_a_late_outcome_changes_nothing() -> None:
    decision = decided(a_hold("a", 60, (2,)), an_end("a", State.ORPHAN), an_end("a", State.SETTLED, 10))
    assert [end.outcome.state for end in decision.ended] == [State.ORPHAN]
    assert decision.changes[2].held == 60
    assert decision.windows == {Window(5, 0): WindowChange(Nano(0), Nano(60), Nano(-60))}


def test_what_has_no_hold_ends_nothing() -> None:
    decision = decided(an_end("a", State.SETTLED, 10))
    assert (decision.ended, decision.postings, decision.changes, decision.windows) == ([], [], {}, {})
