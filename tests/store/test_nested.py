"""Budgets within budgets: a call is held on all of them or on none, in any order; no two writers wait in a circle."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, select, text
from tests.store.ledgers import running, subject_of
from tests.store.lifecycles import Lifecycles
from tests.store.postgres import BOTH, Cluster
from tests.store.spending import calm
from tests.store.worker import nodes

from komeet.access.keys import Key
from komeet.core.clock import ManualClock, SystemClock
from komeet.core.errors import BudgetExceeded
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.entries import Note
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.audit import audit
from komeet.store.budgets import change_budget_by_id, create_budget, find_budgets
from komeet.store.database import Store
from komeet.store.engine import Databases
from komeet.store.entries import Amounts, find_orphans, resolve_attempt
from komeet.store.keys import Owner, create_key
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.people import Group, create
from komeet.store.tables import budget_windows, holds, leases

DATABASES = BOTH
NESTED = (
    (Scope.KEY, Span.TOTAL, "UTC"),
    (Scope.PROJECT, Span.WEEK, "Asia/Kolkata"),
    (Scope.ORGANISATION, Span.MONTH, "Europe/Amsterdam"),
    (Scope.PROVIDER, Span.DAY, "America/New_York"),
)


def a_tree(engine: Engine, clock: SystemClock | ManualClock, amounts: dict[Scope, int], name: str = "a") -> Key:
    """A key in a project in an organisation, each with a budget, as the provider."""
    organisation = create(engine, clock, Group.ORGANISATION, name)
    project = create(engine, clock, Group.PROJECT, "p", organisation.id)
    user = create(engine, clock, Group.USER, "u", organisation.id)
    owner = Owner(organisation.id, project.id, user.id)
    key = create_key(engine, clock, name=f"key of {name}", owner=owner)[0]
    subjects = {
        Scope.KEY: key.id,
        Scope.PROJECT: project.id,
        Scope.ORGANISATION: organisation.id,
        Scope.PROVIDER: "openai",
    }
    for scope, span, zone in NESTED:
        if scope in amounts:
            amount = Nano(amounts[scope])
            create_budget(
                engine, clock, Budget(id=0, scope=scope, subject=subjects[scope], span=span, zone=zone, amount=amount)
            )
    return key


def budgets_of(engine: Engine) -> list[Budget]:
    with engine.connect() as connection:
        return find_budgets(connection)


def windows(engine: Engine) -> dict[int, tuple[int, int, int]]:
    with engine.connect() as connection:
        return {row.budget_id: (row.posted, row.held, row.leased) for row in connection.execute(select(budget_windows))}


def settled(hold: Hold, cost: int) -> Outcome:
    return Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost), ended_at=hold.held_at)


@pytest.mark.parametrize("scope", [scope for scope, *_ in NESTED], ids=str)
def test_where_one_of_four_is_exhausted_nothing_is_reserved_anywhere(
    scope: Scope, engine: Engine, clock: ManualClock, new_hold: Callable[[Key, int], Hold], tmp_path: Path
) -> None:
    key = a_tree(engine, clock, {each: 99 if each is scope else 1_000_000 for each, *_ in NESTED})

    async def ask(ledger: LedgerWriter) -> None:
        with pytest.raises(BudgetExceeded, match=f"{scope} ") as refused:
            await ledger.hold(new_hold(key, 100), subject_of(key))
        assert refused.value.room == 99

    async def main() -> None:
        async with running(engine, clock, tmp_path / "journal") as ledger:
            await asyncio.gather(*(ask(ledger) for _ in range(50)))
            assert set(windows(engine).values()) == {(0, 0, 0)}
            with engine.connect() as connection:
                assert connection.execute(select(holds)).all() == connection.execute(select(leases)).all() == []
            await ledger.hold(last := new_hold(key, 99), subject_of(key))
            ledger.end(settled(last, 98))

    asyncio.run(main())
    assert list(windows(engine).values()) == [(98, 0, 0)] * 4
    assert audit(engine) == []


def forest(engine: Engine, clock: SystemClock | ManualClock, chance: Random) -> list[Key]:
    """Organisations whose keys have some of the four budgets; the provider's is everybody's."""
    keys = [a_tree(engine, clock, {Scope.PROVIDER: 400_000, Scope.ORGANISATION: 60_000, Scope.KEY: 5_000}, "all")]
    for number in range(5):
        wanted = {scope: chance.choice([2_000, 20_000]) for scope, *_ in NESTED[:3] if chance.random() < 0.7}
        keys.append(a_tree(engine, clock, wanted, str(number)))
    for _ in range(6):
        other = chance.choice(keys)
        assert other.organisation is not None
        keys.append(create_key(engine, clock, name="more", owner=Owner(other.organisation, other.project))[0])
    return keys


@pytest.mark.parametrize("writers", [3])
def test_after_any_lives_of_calls_nothing_is_held_or_leased(writers: int, engine: Engine, tmp_path: Path) -> None:
    """Through real ledgers, side by side; each leaves all that it had."""
    clock, chance = SystemClock(), Random(6)
    keys = forest(engine, clock, chance)
    calls = 1_500 if engine.dialect.name == "sqlite" else 500

    async def one(number: int) -> None:
        async with running(waiting, clock, tmp_path / "journal") as ledger:
            lives = Lifecycles(ledger, clock, keys, Random(number), str(number))
            fates = await lives.run(calls)
            assert set(fates) <= {"left", "refused", "voided", "settled"}, fates
            assert fates["settled"] > calls / 10 < calls - fates["refused"], fates

    async def main() -> None:
        await asyncio.gather(*map(one, range(writers)))

    with calm(engine) as waiting:
        asyncio.run(main())
    assert {(held, leased) for _, held, leased in windows(engine).values()} == {(0, 0)}
    with engine.connect() as connection:
        assert connection.execute(select(leases)).all() == []
        assert connection.execute(text("SELECT sum(held) FROM accounts")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM open_holds")).scalar_one() == 0
    assert audit(engine) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_many_orders_from_several_nodes_never_wait_in_a_circle(
    databases: Databases, postgresql: Cluster, tmp_path: Path
) -> None:
    """Ten thousand calls on random budgets, some lost, some above what they held; an operator changes budgets."""
    clock, chance = SystemClock(), Random(7)
    sessions = {tmp_path / name: [f"{name}{number}" for number in range(2)] for name in ("a", "b")}
    before = (postgresql.folder / "log").read_text().count("deadlock detected")
    with ExitStack() as stack:
        prepared = [
            stack.enter_context(closing(Store.prepare(data_dir, clock, durability="crash", databases=databases)))
            for data_dir in sessions
        ]
        engine = stack.enter_context(closing(Store.open_for_cli(tmp_path / "a", databases))).ledger
        forest(engine, clock, chance)
        note = Note("found in the provider's log", "test", clock.unix_ms())
        ids = sorted(budget.id for budget in budgets_of(engine))
        with nodes(sessions, databases) as workers:
            for worker in workers:
                worker.tell("live", 2_500)
            answers: list[dict[str, int]] = []
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(lambda: answers.extend([worker.answer() for worker in workers]))
                while not waiting.done():
                    change_budget_by_id(
                        engine, chance.choice(ids), amount=Nano(chance.choice([3_000, 50_000, 500_000]))
                    )
                    change_budget_by_id(engine, chance.choice(ids), thresholds=[chance.randint(1, 100)])
                    for orphan in find_orphans(engine):
                        resolve_attempt(engine, orphan.attempt_id, lambda _: Amounts(Nano(1), Nano(1)), note)
                    time.sleep(0.01)
                waiting.result()
        fates = sum(map(Counter, answers), Counter[str]())
        assert fates.total() == 10_000
        assert min(fates[fate] for fate in ("settled", "voided", "refused", "left", "orphan", "overrun")) > 0, fates
        assert "unavailable" not in fates
        assert {leased for _, _, leased in windows(engine).values()} == {0}
        for orphan in find_orphans(engine):
            resolve_attempt(engine, orphan.attempt_id, lambda _: Amounts(Nano(0), Nano(0)), note)
        assert sum(held for _, held, _ in windows(engine).values()) == 0
        assert audit(engine) == []
        for one, names in zip(prepared, sessions.values(), strict=True):
            assert [one.settle_session(name) for name in names] == [0, 0]
    assert (postgresql.folder / "log").read_text().count("deadlock detected") == before
