"""Attempts as a process writes them, one transaction each: leased, held, ended; without threads and journals."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Engine

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import BudgetBook, hard_shares
from komeet.ledger.leases import Ask, rest
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.store.budgets import find_budgets
from komeet.store.drain import Done, Work, work
from komeet.store.ledger_rows import Memory
from komeet.store.session import begin_session, end_session
from komeet.store.sqlite import open_engine
from komeet.store.transactions import writing


@contextmanager
def calm(engine: Engine) -> Generator[Engine]:
    """The same database, for threads that wait for each other as long as it takes."""
    if engine.dialect.name != "sqlite":
        yield engine
        return
    waiting = open_engine(Path(str(engine.url.database)), "crash", busy_ms=60_000)
    try:
        yield waiting
    finally:
        waiting.dispose()


class Spender:
    """One process of the ledger."""

    def __init__(self, engine: Engine, clock: ManualClock, session: str = "ses_1") -> None:
        self.engine, self.clock, self.session = engine, clock, session
        self.numbers = count()
        with writing(engine) as connection:
            begin_session(connection, session, "node", "boot", clock.unix_ms())

    def hold(self, key: Key, amount: int, *, charge: int | None = None, model: str = "gpt-5.2") -> Hold:
        """Hold an attempt, whose leases are exactly what it holds."""
        hold = Hold(
            attempt_id=f"att_{self.session}_{next(self.numbers):06d}",
            request_id="req_1",
            key_id=key.id,
            accounts=(key.account, *key.above),
            provider="openai",
            model=model,
            model_asked=model,
            tags=key.tags,
            amount=Nano(amount),
            charge=None if charge is None else Nano(charge),
            held_at=self.clock.unix_ms(),
        )
        with writing(self.engine) as connection:
            subject = Subject(key.id, key.user, key.project, key.organisation)
            shares = BudgetBook(find_budgets(connection)).shares(hold, subject)
            asks = [Ask(tuple(hard_shares(shares)), {})]
            leased = work(connection, Work(asks=asks), Memory(), self.session)
            assert leased.grants is not None
            assert leased.grants.verdicts == [None], leased.grants.verdicts
            work(connection, Work(surplus=leased.grants.spare), Memory(), self.session)
        hold = replace(hold, shares=shares)
        self.apply(hold)
        return hold

    def end(self, hold: Hold, state: State, cost: int = 0, charge: int | None = None) -> Done:
        """End it; what it did not need goes back."""
        charged = cost if charge is None else charge
        outcome = Outcome(
            attempt_id=hold.attempt_id,
            state=state,
            cost=Nano(cost),
            charge=Nano(charged),
            ended_at=self.clock.unix_ms(),
        )
        done = self.apply(outcome)
        if state is not State.ORPHAN:
            with writing(self.engine) as connection:
                surplus = rest(hold.shares, cost, charged)
                work(connection, Work(surplus=surplus), Memory(), self.session)
        return done

    def spend(self, key: Key, amount: int) -> Done:
        """Hold and settle an attempt for this much."""
        return self.end(self.hold(key, amount), State.SETTLED, amount)

    def orphan(self, key: Key, amount: int) -> Hold:
        """Hold an attempt and lose sight of it."""
        hold = self.hold(key, amount)
        self.end(hold, State.ORPHAN)
        return hold

    def apply(self, record: Hold | Outcome) -> Done:
        """Write one record."""
        with writing(self.engine) as connection:
            return work(connection, Work(records=[record]), Memory(), self.session)

    def lose(self) -> bool:
        """End as after a loss of power: what is left of the leases stays held."""
        with writing(self.engine) as connection:
            return end_session(connection, self.session, self.clock.unix_ms(), keep=True)
