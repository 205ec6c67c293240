"""The ledger's decisions against an oracle that knows nothing but the list of attempts."""

from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from komeet.core.money import Nano
from komeet.ledger.accounts import MOST, Account, Balance, Ended, Kind, Leg, Posting
from komeet.ledger.audit import faults, rebuild
from komeet.ledger.decide import Command, after, decide
from komeet.ledger.denial import explain
from komeet.ledger.port import Hold, Outcome, State

OPENAI, GROQ = 8, 9
PROVIDERS = {"openai": OPENAI, "groq": GROQ}
ACCOUNTS = {
    1: Account(id=1, kind=Kind.KEY, name="small", limit=Nano(100)),
    2: Account(id=2, kind=Kind.KEY, name="free", limit=None),
    3: Account(id=3, kind=Kind.PROJECT, name="project", limit=Nano(150)),
    OPENAI: Account(id=OPENAI, kind=Kind.PROVIDER, name="openai"),
    GROQ: Account(id=GROQ, kind=Kind.PROVIDER, name="groq"),
}
CHAINS = [(1,), (2,), (1, 3), (2, 3)]


def a_hold(attempt: str, amount: int, chain: tuple[int, ...] = (1,), provider: str = "openai") -> Hold:
    return Hold(
        attempt_id=attempt,
        request_id="req",
        key_id="key",
        accounts=chain,
        provider=provider,
        model="m",
        model_asked="m",
        amount=Nano(amount),
        held_at=0,
    )


def an_end(attempt: str, state: State, cost: int = 0) -> Outcome:
    return Outcome(attempt_id=attempt, state=state, cost=Nano(cost), ended_at=1)


@dataclass
class Attempt:
    hold: Hold
    state: State | None = None
    cost: int = 0


class Oracle:
    """Admission by adding everything up, every time."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.blocked: set[int] = set()

    def posted(self, account: int) -> int:
        charged = sum(a.cost for a in self.attempts.values() if account in a.hold.accounts)
        return charged - sum(a.cost for a in self.attempts.values() if PROVIDERS[a.hold.provider] == account)

    def held(self, account: int) -> int:
        return sum(
            a.hold.amount
            for a in self.attempts.values()
            if account in a.hold.accounts and a.state in {None, State.ORPHAN}
        )

    def room(self, account: int) -> int:
        limit = ACCOUNTS[account].limit
        if account in self.blocked:
            return -1
        return (MOST if limit is None else limit) - self.posted(account) - self.held(account)

    def hold(self, hold: Hold) -> bool:
        if any(hold.amount > self.room(account) for account in hold.accounts):
            return False
        self.attempts[hold.attempt_id] = Attempt(hold)
        return True

    def end(self, outcome: Outcome) -> None:
        attempt = self.attempts.get(outcome.attempt_id)
        if attempt is None or attempt.state is not None:
            return
        attempt.state = outcome.state
        if outcome.state is State.SETTLED:
            attempt.cost = outcome.cost
            if outcome.cost > attempt.hold.amount:
                self.blocked |= {a for a in attempt.hold.accounts if ACCOUNTS[a].limit is not None}


class LedgerMachine(RuleBasedStateMachine):
    """Batches of commands: new holds, and outcomes of any attempt, known, denied, ended or never heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = count()
        self.oracle = Oracle()
        self.accounts = dict(ACCOUNTS)
        self.holds: list[Hold] = []
        self.ended: list[Ended] = []
        self.postings: list[Posting] = []

    def _commands(self, drawn: list[tuple[bool, int, int, int, State]]) -> list[Command]:
        made: list[Command] = []
        for is_hold, amount, pick, spare, state in drawn:
            if is_hold:
                provider = ("openai", "groq")[spare % 2]
                made.append(a_hold(f"a{next(self.ids)}", amount, CHAINS[pick % len(CHAINS)], provider))
            else:
                made.append(an_end(f"a{pick}", state, amount))
        return made

    @rule(
        drawn=st.lists(
            st.tuples(
                st.booleans(), st.integers(0, 60), st.integers(0, 30), st.integers(0, 1), st.sampled_from(list(State))
            ),
            max_size=12,
        )
    )
    def batch(self, drawn: list[tuple[bool, int, int, int, State]]) -> None:
        commands = self._commands(drawn)
        open_now = {a.hold.attempt_id: a.hold for a in self.oracle.attempts.values() if a.state is None}
        decision = decide(commands, self.accounts, open_now, PROVIDERS)
        for place, command in enumerate(commands):
            if isinstance(command, Outcome):
                self.oracle.end(command)
                continue
            room = min(map(self.oracle.room, command.accounts))
            admitted = self.oracle.hold(command)
            assert admitted == (place not in decision.denied)
            if not admitted:
                assert decision.denied[place].room == max(0, room)
                assert explain(decision.denied[place]).room == max(0, room)
        self.accounts = after(self.accounts, decision.changes)
        self.holds += decision.holds
        self.ended += decision.ended
        self.postings += decision.postings

    @invariant()
    def the_balances_are_the_oracles(self) -> None:
        for account in self.accounts.values():
            assert (account.posted, account.held) == (self.oracle.posted(account.id), self.oracle.held(account.id))
            assert account.blocked == (account.id in self.oracle.blocked)

    @invariant()
    def no_limit_is_passed_but_by_overruns(self) -> None:
        overrun = sum(end.overrun for end in self.ended)
        for account in self.accounts.values():
            if account.limit is not None:
                assert account.posted + account.held <= account.limit + overrun

    @invariant()
    def the_books_are_right(self) -> None:
        assert faults(self.holds, self.ended, self.postings) == []
        kept = {a.id: Balance(a.posted, a.held) for a in self.accounts.values() if a.posted or a.held}
        assert rebuild(self.holds, self.ended, self.postings) == kept
        for attempt in {p.attempt_id for p in self.postings}:
            pair = [p for p in self.postings if p.attempt_id == attempt and p.leg is not Leg.ROLLUP]
            assert len(pair) == 2
            assert sum(p.amount for p in pair) == 0


LedgerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
TestLedger = LedgerMachine.TestCase


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, *State]), st.integers(0, 40)), max_size=30), st.data()
)
def test_how_commands_are_cut_into_batches_changes_nothing(
    drawn: list[tuple[int, State | None, int]], data: st.DataObject
) -> None:
    ids = count()
    commands: list[Command] = [
        a_hold(f"a{next(ids)}", amount, CHAINS[pick % 4]) if state is None else an_end(f"a{pick}", state, amount)
        for pick, state, amount in drawn
    ]
    whole = decide(commands, ACCOUNTS, {}, PROVIDERS)
    accounts, open_now, denied = dict(ACCOUNTS), dict[str, Hold](), set[int]()
    ended: list[Ended] = []
    start = 0
    while start < len(commands):
        size = data.draw(st.integers(1, len(commands) - start))
        part = decide(commands[start : start + size], accounts, open_now, PROVIDERS)
        accounts = after(accounts, part.changes)
        open_now |= {hold.attempt_id: hold for hold in part.holds}
        for end in part.ended:
            del open_now[end.outcome.attempt_id]
        ended += part.ended
        denied |= {start + place for place in part.denied}
        start += size
    assert accounts == after(ACCOUNTS, whole.changes)
    assert ended == whole.ended
    assert denied == set(whole.denied)


def test_a_settlement_charges_each_account_of_the_chain_against_the_provider() -> None:
    decision = decide([a_hold("a", 50, (2, 3)), an_end("a", State.SETTLED, 30)], ACCOUNTS, {}, PROVIDERS)
    assert [(p.account, p.leg, p.amount) for p in decision.postings] == [
        (2, Leg.CHARGE, 30),
        (OPENAI, Leg.CONTRA, -30),
        (3, Leg.ROLLUP, 30),
    ]


def test_a_cost_above_the_hold_is_posted_in_full_raises_an_alarm_and_blocks() -> None:
    ended = decide([a_hold("a", 50, (1,)), an_end("a", State.SETTLED, 70)], ACCOUNTS, {}, PROVIDERS)
    assert [end.overrun for end in ended.ended] == [20]
    assert [(o.attempt_id, o.reserved, o.cost, o.blocked) for o in ended.overruns] == [("a", 50, 70, (1,))]
    accounts = after(ACCOUNTS, ended.changes)
    assert accounts[1].posted == 70
    refused = decide([a_hold("b", 0, (1,))], accounts, {}, PROVIDERS)
    assert refused.denied[0].account.blocked
    assert "blocked" in explain(refused.denied[0]).message


def test_an_overrun_blocks_no_account_that_has_no_limit() -> None:
    ended = decide([a_hold("a", 50, (2,)), an_end("a", State.SETTLED, 70)], ACCOUNTS, {}, PROVIDERS)
    assert ended.overruns[0].blocked == ()
    assert not decide([a_hold("b", 1, (2,))], after(ACCOUNTS, ended.changes), {}, PROVIDERS).denied


def test_an_orphan_keeps_its_reservation_and_a_late_outcome_changes_nothing() -> None:
    batch = [a_hold("a", 60), an_end("a", State.ORPHAN, 60), an_end("a", State.SETTLED, 10), a_hold("b", 60)]
    decision = decide(batch, ACCOUNTS, {}, PROVIDERS)
    assert [end.outcome.state for end in decision.ended] == [State.ORPHAN]
    assert decision.ended[0].outcome.cost == 0
    assert decision.changes[1].held == 60
    assert set(decision.denied) == {3}


def test_a_denial_names_the_account_its_limit_what_is_posted_and_held() -> None:
    batch = [a_hold("a", 30, (2, 3)), an_end("a", State.SETTLED, 25), a_hold("b", 40, (2, 3)), a_hold("c", 86, (1, 3))]
    message = explain(decide(batch, ACCOUNTS, {}, PROVIDERS).denied[3]).message
    for part in ("project 'project'", "$0.00000015", "$0.000000025", "$0.00000004", "$0.000000086", "max_tokens"):
        assert part in message, message


def test_a_hold_on_an_account_that_is_not_there_is_denied() -> None:
    assert decide([a_hold("a", 0, (77,))], ACCOUNTS, {}, PROVIDERS).denied[0].account.id == 77


@pytest.mark.parametrize("amount", [-1, MOST + 1])
def test_an_amount_that_cannot_be_is_denied(amount: int) -> None:
    assert decide([a_hold("a", amount, (2,))], ACCOUNTS, {}, PROVIDERS).denied


def test_an_account_that_is_named_twice_is_held_once() -> None:
    assert decide([a_hold("a", 60, (1, 1))], ACCOUNTS, {}, PROVIDERS).changes[1].held == 60
