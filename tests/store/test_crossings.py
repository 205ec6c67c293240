"""The transaction that brings a budget to a threshold says so; no other does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from tests.store.postgres import BOTH
from tests.store.spending import Spender, calm

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.port import State
from komeet.store.budgets import change_budget_by_id, create_budget, end_budget_by_id
from komeet.store.keys import create_key

DATABASES = BOTH


@pytest.fixture
def free(engine: Engine, clock: ManualClock) -> Key:
    return create_key(engine, clock, name="free")[0]


def watch(engine: Engine, clock: ManualClock, key: Key, *, hard: bool, span: Span = Span.TOTAL) -> Budget:
    budget = Budget(
        id=0, scope=Scope.KEY, subject=key.id, amount=Nano(1000), hard=hard, span=span, thresholds=(50, 80, 100)
    )
    return create_budget(engine, clock, budget)


@pytest.mark.parametrize("hard", [True, False])
def test_each_threshold_is_told_by_the_transaction_that_crosses_it(
    hard: bool, engine: Engine, clock: ManualClock, free: Key
) -> None:
    watch(engine, clock, free, hard=hard)
    spender = Spender(engine, clock)
    told = [[(c.percent, c.posted) for c in spender.spend(free, 100).crossings] for _ in range(10)]
    assert told == [[], [], [], [], [(50, 500)], [], [], [(80, 800)], [], [(100, 1000)]]
    if not hard:
        assert not spender.spend(free, 2000).crossings


def test_one_transaction_may_cross_several(engine: Engine, clock: ManualClock, free: Key) -> None:
    watch(engine, clock, free, hard=False)
    crossings = Spender(engine, clock).spend(free, 900).crossings
    assert [(c.percent, c.budget.title, c.starts_at, c.at) for c in crossings] == [
        (50, "key 'free'", 0, clock.unix_ms()),
        (80, "key 'free'", 0, clock.unix_ms()),
    ]


def test_each_window_is_told_of_anew(engine: Engine, clock: ManualClock, free: Key) -> None:
    watch(engine, clock, free, hard=True, span=Span.DAY)
    spender = Spender(engine, clock)
    for _ in range(3):
        crossings = spender.spend(free, 600).crossings
        assert [c.percent for c in crossings] == [50]
        assert crossings[0].starts_at <= clock.unix_ms() < crossings[0].starts_at + 86_400_000
        clock.advance(86_400)


def test_what_costs_nothing_and_what_is_not_watched_crosses_nothing(
    engine: Engine, clock: ManualClock, free: Key, key: Key
) -> None:
    budget = watch(engine, clock, free, hard=True)
    spender = Spender(engine, clock)
    assert not spender.end(spender.hold(free, 600), State.VOIDED).crossings
    assert not spender.end(spender.hold(free, 400), State.ORPHAN).crossings
    assert not spender.spend(key, 900).crossings
    change_budget_by_id(engine, budget.id, thresholds=())
    assert not spender.spend(free, 600).crossings
    change_budget_by_id(engine, budget.id, thresholds=(10,), amount=Nano(5000))
    end_budget_by_id(engine, clock, budget.id)
    assert not spender.spend(free, 600).crossings


def test_of_many_processes_exactly_one_tells(engine: Engine, clock: ManualClock, free: Key) -> None:
    watch(engine, clock, free, hard=False)

    def run(spender: Spender) -> list[int]:
        return [crossing.percent for _ in range(10) for crossing in spender.spend(free, 30).crossings]

    with calm(engine) as calmly, ThreadPoolExecutor(4) as pool:
        spenders = [Spender(calmly, clock, f"ses_{number}") for number in range(4)]
        told = [percent for part in pool.map(run, spenders) for percent in part]
    assert sorted(told) == [50, 80, 100]
