"""What is entered besides calls: balances, windows and sums move with it, and the audit finds the books right."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import Engine, func, select, update
from tests.store.postgres import BOTH
from tests.store.spending import Spender, calm

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.entries import Attempt, Entry, Note
from komeet.ledger.leases import Ask
from komeet.ledger.port import Hold, Share, State
from komeet.store.audit import audit
from komeet.store.budgets import create_budget, spending
from komeet.store.credits import create_voucher, give, redeem
from komeet.store.drain import Work, work
from komeet.store.entries import (
    Amounts,
    Deciding,
    correct_attempt,
    find_orphans,
    resolve_attempt,
    resolve_uncertain,
    uncertain_leases,
)
from komeet.store.errors import StoreError
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory
from komeet.store.people import Group, create, owner_of
from komeet.store.tables import accounts, budget_windows, budgets, entries, leases, postings, usage_hours
from komeet.store.transactions import writing

DATABASES = BOTH


@pytest.fixture
def spender(engine: Engine, clock: ManualClock) -> Spender:
    return Spender(engine, clock)


@pytest.fixture
def owned(engine: Engine, clock: ManualClock) -> Key:
    """A key of a project of an organisation, each with a budget: hard, by the month, soft, and by what is billed."""
    create(engine, clock, Group.ORGANISATION, "acme")
    project = create(engine, clock, Group.PROJECT, "web", "acme")
    key = create_key(engine, clock, name="app", budget=Nano(100_000), owner=owner_of(engine, None, "web", None))[0]
    organisation = project.organisation
    for budget in (
        Budget(id=0, scope=Scope.PROJECT, subject=project.id, span=Span.MONTH, amount=Nano(50_000)),
        Budget(id=0, scope=Scope.ORGANISATION, subject=organisation, hard=False, amount=Nano(10)),
        Budget(id=0, scope=Scope.PROVIDER, subject="openai", amount=Nano(90_000)),
    ):
        create_budget(engine, clock, budget)
    return key


def note(clock: ManualClock) -> Note:
    return Note("because", "ann", clock.unix_ms())


def resolve(engine: Engine, clock: ManualClock, attempt: str, cost: int, charge: int | None = None) -> Entry:
    return resolve_attempt(engine, attempt, _to(cost, charge), note(clock))


def correct(engine: Engine, clock: ManualClock, attempt: str, cost: int, charge: int | None = None) -> Entry | None:
    return correct_attempt(engine, attempt, _to(cost, charge), note(clock))


def _to(cost: int, charge: int | None) -> Deciding:
    def decide(_: Attempt) -> Amounts:
        return Amounts(Nano(cost), Nano(cost if charge is None else charge))

    return decide


def numbers(engine: Engine, clock: ManualClock) -> dict[Scope, tuple[int, int, int]]:
    """What is spent, held and leased of each budget now."""
    return {
        one.budget.scope: (one.posted, one.held, one.leased)
        for one in spending(engine, clock.unix_ms())
        if one.budget.scope is not Scope.MODEL
    }


def test_an_orphan_is_held_until_it_is_resolved(
    engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    hold = spender.orphan(owned, 700)
    assert [one.attempt_id for one in find_orphans(engine)] == [hold.attempt_id]
    assert numbers(engine, clock) == {
        Scope.KEY: (0, 700, 0),
        Scope.PROJECT: (0, 700, 0),
        Scope.ORGANISATION: (0, 0, 0),
        Scope.PROVIDER: (0, 700, 0),
    }
    entry = resolve(engine, clock, hold.attempt_id, 300, 400)
    assert (entry.cost, entry.charge, entry.reason, entry.actor) == (300, 400, "because", "ann")
    assert find_orphans(engine) == []
    assert numbers(engine, clock) == {
        Scope.KEY: (400, 0, 0),
        Scope.PROJECT: (400, 0, 0),
        Scope.ORGANISATION: (400, 0, 0),
        Scope.PROVIDER: (300, 0, 0),
    }
    with engine.connect() as connection:
        assert connection.execute(select(func.sum(usage_hours.c.cost), func.sum(usage_hours.c.charge))).one() == (
            300,
            400,
        )
        assert connection.execute(select(func.sum(accounts.c.held))).scalar_one() == 0
    assert audit(engine) == []
    with pytest.raises(StoreError, match="has been resolved"):
        resolve(engine, clock, hold.attempt_id, 300)


def test_a_correction_counts_from_when_it_is_entered_and_changes_no_row(
    engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    hold = spender.hold(owned, 500)
    spender.end(hold, State.SETTLED, 500)
    with engine.connect() as connection:
        before = connection.execute(select(postings).order_by(postings.c.id)).all()
    clock.advance(7200)
    entry = correct(engine, clock, hold.attempt_id, 200)
    assert entry is not None
    assert (entry.cost, entry.charge) == (-300, -300)
    assert correct(engine, clock, hold.attempt_id, 200) is None
    assert numbers(engine, clock)[Scope.KEY] == (200, 0, 0)
    with engine.connect() as connection:
        after = connection.execute(select(postings).order_by(postings.c.id)).all()
        hours = connection.execute(select(usage_hours.c.cost).order_by(usage_hours.c.hour)).scalars().all()
    assert after[: len(before)] == before
    assert hours == [500, -300]
    assert audit(engine) == []


def test_what_was_voided_can_be_billed_after_all(
    engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    hold = spender.hold(owned, 500)
    spender.end(hold, State.VOIDED)
    assert correct(engine, clock, hold.attempt_id, 20) is not None
    assert numbers(engine, clock)[Scope.PROVIDER] == (20, 0, 0)
    assert audit(engine) == []


def test_what_cannot_be_entered_says_why_and_changes_nothing(
    engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    with pytest.raises(StoreError, match="no attempt"):
        resolve(engine, clock, "att_none", 1)
    running = spender.hold(owned, 10)
    with pytest.raises(StoreError, match="under way"):
        correct(engine, clock, running.attempt_id, 1)
    spender.end(running, State.SETTLED, 10)
    with pytest.raises(StoreError, match="komeet ledger correct"):
        resolve(engine, clock, running.attempt_id, 1)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(entries)).scalar_one() == 0
    assert audit(engine) == []


def test_two_who_resolve_at_once_resolve_once(engine: Engine, clock: ManualClock, spender: Spender, owned: Key) -> None:
    hold = spender.orphan(owned, 700)

    def one(cost: int) -> bool:
        try:
            resolve(calmly, clock, hold.attempt_id, cost)
        except StoreError:
            return False
        return True

    with calm(engine) as calmly, ThreadPoolExecutor(4) as pool:
        done = list(pool.map(one, [10, 20, 30, 40]))
    assert done.count(True) == 1
    assert audit(engine) == []


def test_two_who_correct_at_once_come_to_what_one_of_them_said(
    engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    hold = spender.hold(owned, 700)
    spender.end(hold, State.SETTLED, 700)

    def one(cost: int) -> None:
        correct(calmly, clock, hold.attempt_id, cost)

    with calm(engine) as calmly, ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [10, 20, 30, 40]))
    assert numbers(engine, clock)[Scope.KEY][0] in {10, 20, 30, 40}
    assert audit(engine) == []


def test_an_uncertain_lease_is_held_until_somebody_says_what_was_spent(
    engine: Engine, clock: ManualClock, key: Key
) -> None:
    lost = Spender(engine, clock, "ses_lost")
    budget = spending(engine, clock.unix_ms())[0].budget
    with writing(engine) as connection:
        asks = [Ask((Share(budget.id, 0, Nano(400), hard=True, charged=True),), {})]
        work(connection, Work(asks=asks), Memory(), "ses_lost")
        leased = connection.execute(select(leases.c.amount)).scalar_one()
    assert lost.lose()
    assert numbers(engine, clock)[Scope.KEY] == (0, leased, 0)
    assert audit(engine) == []
    (one,) = uncertain_leases(engine)
    done = resolve_uncertain(engine, clock, one.id, Nano(150))
    assert (done.lease.spent, done.resolved_at) == (150, clock.unix_ms())
    assert uncertain_leases(engine) == []
    assert numbers(engine, clock)[Scope.KEY] == (150, 0, 0)
    assert audit(engine) == []
    with pytest.raises(StoreError, match="has been resolved"):
        resolve_uncertain(engine, clock, one.id, Nano(1))
    del key


@pytest.mark.parametrize("seed", range(6))
def test_the_audit_is_right_after_any_sequence(
    seed: int, engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    chance = Random(seed)
    running: list[Hold] = []
    ended: list[str] = []
    for _ in range(60):
        clock.advance(chance.choice([1, 4000]))
        match chance.randrange(7):
            case 0 | 1:
                running.append(spender.hold(owned, amount := chance.randrange(1, 400), charge=amount))
            case 2 | 3 if running:
                hold = running.pop(chance.randrange(len(running)))
                state = chance.choice(list(State))
                amount = chance.randrange(hold.amount + 50) if state is State.SETTLED else 0
                spender.end(hold, state, amount)
                ended.append(hold.attempt_id)
                with writing(engine) as connection:  # an overrun blocks: somebody lifts it
                    connection.execute(update(budgets).values(blocked=False))
            case 4 if ended:
                _try_entering(engine, clock, chance, chance.choice(ended))
            case 5:
                give(engine, clock, "acme", Nano(1_000_000 + chance.randrange(9)), reason="r", actor="a")
            case _:
                code = create_voucher(engine, clock, Nano(500))
                redeem(engine, clock, code.reveal(), "acme", "a")
        assert audit(engine) == []
    assert spender.lose() is not bool(running)
    assert audit(engine) == []


def _try_entering(engine: Engine, clock: ManualClock, chance: Random, attempt: str) -> None:
    how = chance.choice([resolve, correct])
    try:
        how(engine, clock, attempt, chance.randrange(300), chance.randrange(300))
    except StoreError:
        return


@pytest.mark.parametrize("column", ["posted", "held", "leased"])
def test_the_audit_finds_a_window_that_is_wrong(
    column: str, engine: Engine, clock: ManualClock, spender: Spender, owned: Key
) -> None:
    spender.spend(owned, 100)
    assert audit(engine) == []
    with writing(engine) as connection:
        wanted = update(budget_windows).where(budget_windows.c.budget_id == 1)
        connection.execute(wanted.values({column: budget_windows.c[column] + 1}))
    (said,) = audit(engine)
    assert said.startswith("budget 1 from 0: ")
    del clock


def test_the_audit_finds_a_prepaid_amount_that_was_not_paid_in(engine: Engine, clock: ManualClock, owned: Key) -> None:
    given = give(engine, clock, "acme", Nano(70), reason="r", actor="a")
    assert given.balance == 70
    assert audit(engine) == []
    with writing(engine) as connection:
        connection.execute(update(budgets).where(budgets.c.prepaid).values(amount=71))
    (said,) = audit(engine)
    assert "prepaid 71 n$, but its credits come to 70 n$" in said
    del owned
