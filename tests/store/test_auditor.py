"""The audit of a ledger of any size: it agrees with the one that holds all in memory, and names what is wrong."""

from collections.abc import Callable
from random import Random

import pytest
from bench.ledger_rows import build
from sqlalchemy import Connection, Engine, Update, delete, insert, literal, select, true, update
from tests.store.postgres import BOTH
from tests.store.spending import Spender
from tests.store.test_seal import tampering

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.entries import Note
from komeet.ledger.port import Hold, State
from komeet.store.audit import audit
from komeet.store.auditor import OnlineAuditor, audit_all
from komeet.store.budgets import create_budget
from komeet.store.credits import give
from komeet.store.entries import Amounts, correct_attempt, find_uncertain, resolve_attempt, resolve_uncertain
from komeet.store.keys import create_key
from komeet.store.people import Group, create
from komeet.store.tables import (
    accounts,
    budget_windows,
    budgets,
    entries,
    holds,
    open_holds,
    outcomes,
    postings,
    usage_hours,
)
from komeet.store.transactions import writing

DATABASES = BOTH
NOTE = Note("r", "me", 9)


@pytest.fixture
def keys(engine: Engine, clock: ManualClock) -> list[Key]:
    made = [create_key(engine, clock, name=f"key {n}", budget=Nano(10**6) if n else None)[0] for n in range(3)]
    for scope, subject, span, hard in (
        (Scope.PROVIDER, "openai", Span.DAY, True),
        (Scope.MODEL, "*/gpt*", Span.HOUR, False),
        (Scope.KEY, made[2].id, Span.MONTH, True),
    ):
        create_budget(
            engine, clock, Budget(id=0, scope=scope, subject=subject, span=span, amount=Nano(10**7), hard=hard)
        )
    return made


def history(engine: Engine, clock: ManualClock, keys: list[Key], seed: int, session: str = "ses_1") -> list[Hold]:
    """Random calls, corrections and credits; returns the orphans that are left."""
    chance, spender = Random(seed), Spender(engine, clock, session)
    orphans: list[Hold] = []
    ended: list[Hold] = []
    for _ in range(40):
        hold = spender.hold(chance.choice(keys), chance.randrange(500), charge=chance.randrange(900))
        match chance.randrange(12):
            case 0:
                spender.end(hold, State.ORPHAN)
                orphans.append(hold)
            case 1:
                spender.end(hold, State.VOIDED)
            case 2:
                pass
            case 3:
                spender.end(hold, State.SETTLED, hold.amount + 3, charge=hold.most_charged)  # an overrun
                with writing(engine) as connection:  # which an operator lifts
                    connection.execute(update(budgets).values(blocked=False))
                ended.append(hold)
            case _:
                cost, charge = chance.randrange(hold.amount + 1), chance.randrange(hold.most_charged + 1)
                spender.end(hold, State.SETTLED, cost, charge=charge)
                ended.append(hold)
        clock.advance(chance.choice([0.1, 600.0, 3_600.0]))
        if ended and chance.random() < 0.2:
            amounts = Amounts(Nano(chance.randrange(9)), Nano(chance.randrange(9)))
            correct_attempt(engine, chance.choice(ended).attempt_id, lambda _, a=amounts: a, NOTE)
        if orphans and chance.random() < 0.2:
            amounts = Amounts(Nano(chance.randrange(2)), Nano(chance.randrange(2)))
            resolve_attempt(engine, orphans.pop().attempt_id, lambda _, a=amounts: a, NOTE)
    spender.hold(keys[1], 5)
    return [*orphans, spender.orphan(keys[2], 6)]


@pytest.mark.parametrize("seed", range(4))
def test_books_that_are_right_are_found_right(engine: Engine, clock: ManualClock, keys: list[Key], seed: int) -> None:
    history(engine, clock, keys, seed)
    name = create(engine, clock, Group.ORGANISATION, "acme").name
    give(engine, clock, name, Nano(500), reason="r", actor="me")
    lost = Spender(engine, clock, "ses_2")
    for _ in range(3):
        lost.hold(keys[1], 100)
    with engine.connect() as connection:
        noted = find_uncertain(connection)
    for one in noted[:1]:
        resolve_uncertain(engine, clock, one.id, Nano(7))
    assert audit(engine) == []
    assert list(audit_all(engine)) == []
    auditor = OnlineAuditor(engine, clock, portion=7)
    finish(auditor)
    assert auditor.found is not None
    assert auditor.found.differences == ()


def finish(auditor: OnlineAuditor) -> None:
    """Let it count all that there is; on PostgreSQL a look is behind by one."""
    for _ in range(3):
        while auditor.step():
            pass


Change = Callable[[Connection], object]
WRONG: dict[str, tuple[Change, str]] = {
    "a balance": (lambda c: c.execute(update(accounts).values(posted=accounts.c.posted + 1)), "account 1 ("),
    "what is held": (lambda c: c.execute(update(accounts).values(held=accounts.c.held + 1)), "account 1 ("),
    "a window": (
        lambda c: c.execute(update(budget_windows).values(posted=budget_windows.c.posted + 1)),
        "budget 1 from 0",
    ),
    "a window's orphans": (
        lambda c: c.execute(update(budget_windows).values(held=budget_windows.c.held + 1)),
        "budget 1",
    ),
    "leases": (lambda c: c.execute(update(budget_windows).values(leased=budget_windows.c.leased + 1)), "budget 1"),
    "a posting's amount": (lambda c: c.execute(_raised()), "att_"),
    "a posting's account": (
        lambda c: c.execute(update(postings).where(postings.c.leg == "contra").values(account_id=1)),
        "att_",
    ),
    "a posting gone": (lambda c: c.execute(delete(postings).where(postings.c.id == 3)), "att_"),
    "a posting twice": (lambda c: c.execute(insert(postings).from_select(_NAMES, _ONE)), "att_"),
    "an outcome": (
        lambda c: c.execute(update(outcomes).where(outcomes.c.cost > 0).values(cost=outcomes.c.cost + 1)),
        "att_",
    ),
    "an entry": (lambda c: c.execute(update(entries).values(cost=entries.c.cost + 1)), "entry 1"),
}
FULL: dict[str, tuple[Change, str]] = {
    "an hour": (lambda c: c.execute(update(usage_hours).values(cost=usage_hours.c.cost + 1)), "usage_hours at"),
    "a count": (lambda c: c.execute(update(usage_hours).values(settled=usage_hours.c.settled + 1)), "usage_hours at"),
    "open and listed as not": (lambda c: c.execute(delete(open_holds)), "not listed as open"),
    "an orphan as in flight": (
        lambda c: c.execute(update(open_holds).where(open_holds.c.orphan).values(orphan=False)),
        "listed as in flight",
    ),
    "ended and listed as open": (
        lambda c: c.execute(
            insert(open_holds).from_select(
                ["attempt_id", "orphan", "session"],
                select(outcomes.c.attempt_id, true(), literal("x")).where(outcomes.c.state == "settled").limit(1),
            )
        ),
        "holds nothing",
    ),
    "all postings of an attempt gone": (
        lambda c: c.execute(delete(postings).where(postings.c.attempt_id == _THIRD)),
        "has no postings",
    ),
}  # fmt: skip
_THIRD = select(postings.c.attempt_id).where(postings.c.id == 3).scalar_subquery()
_NAMES = ["attempt_id", "account_id", "leg", "amount", "posted_at", "entry_id"]
_ONE = select(*(postings.c[name] for name in _NAMES)).where(postings.c.id == 3)


def _raised() -> Update:
    return update(postings).where(postings.c.id == 2).values(amount=postings.c.amount + 1)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_balances_is_named_by_both(
    engine: Engine, clock: ManualClock, keys: list[Key], what: str
) -> None:
    history(engine, clock, keys, 1)
    auditor = OnlineAuditor(engine, clock, portion=5)
    finish(auditor)
    change, named = WRONG[what]
    tampering(engine, change)
    found = list(audit_all(engine))
    assert found, what
    assert named in found[0]
    assert audit(engine) != []
    clock.advance(100_000.0)  # after a day it looks at what it has counted, too
    finish(auditor)
    assert auditor.found is not None
    assert any(named in line for line in auditor.found.differences), auditor.found


@pytest.mark.parametrize("what", FULL)
def test_what_is_wrong_with_rows_is_named(engine: Engine, clock: ManualClock, keys: list[Key], what: str) -> None:
    history(engine, clock, keys, 1)
    change, named = FULL[what]
    tampering(engine, change)
    found = list(audit_all(engine))
    assert any(named in line for line in found), found


def test_a_difference_of_new_rows_is_found_at_the_next_step(
    engine: Engine, clock: ManualClock, keys: list[Key]
) -> None:
    history(engine, clock, keys, 2)
    auditor = OnlineAuditor(engine, clock)
    finish(auditor)
    tampering(engine, lambda c: c.execute(update(accounts).where(accounts.c.id == 1).values(posted=0)))
    finish(auditor)
    assert auditor.found is not None
    assert "account 1" in auditor.found.differences[0]


def test_it_counts_in_small_steps_while_others_write(engine: Engine, clock: ManualClock, keys: list[Key]) -> None:
    auditor = OnlineAuditor(engine, clock, portion=3)
    for seed in range(3):
        history(engine, clock, keys, seed, f"ses_{seed}")
        for _ in range(20):
            auditor.step()
            assert auditor.found is None or auditor.found.differences == ()
    finish(auditor)
    assert auditor.found is not None
    assert auditor.found.differences == ()


def test_the_ledger_of_the_bench_is_right(engine: Engine) -> None:
    build(engine, 3_000, callers=10)
    assert list(audit_all(engine)) == []
    assert audit(engine) == []
    with engine.connect() as connection:
        assert connection.execute(select(holds.c.attempt_id)).first() is not None
