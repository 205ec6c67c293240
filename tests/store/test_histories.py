"""Any history of calls, crashes, losses of power and clocks, against an oracle that only adds up what was promised."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine, select

from komeet.core.clock import ManualClock
from komeet.core.errors import BudgetExceeded, Unavailable
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span, Window, window_of
from komeet.ledger.journal import Header
from komeet.ledger.port import Hold, Outcome, Share, State, Subject
from komeet.store.audit import audit
from komeet.store.budgets import add_budget, set_amount
from komeet.store.drain import Done, Work, work
from komeet.store.in_hand import InHand, Waiting
from komeet.store.journal_file import JournalFile
from komeet.store.keys import create_key
from komeet.store.leasing import leased_by
from komeet.store.ledger_rows import Memory, Outdated
from komeet.store.recovery import recover
from komeet.store.schema import LEDGER_LINE, bring_to_head
from komeet.store.session import begin_session, drained_until, end_session
from komeet.store.sqlite import open_engine
from komeet.store.tables import budget_windows, holds, leases, open_holds, outcomes
from komeet.store.transactions import writer, writing

NODE = "node_1"
START = datetime(2026, 10, 24, 21, 30, tzinfo=UTC)
"""Half an hour before a day begins in Amsterdam in which clocks change, and a week before a month."""
STEPS = [0.02, 0.06, 0.3, 1.1, 11.0, 1_800.0, 3_600.0, 7 * 86_400.0]
JUMPS = [-86_400_000, -3_600_000, 3_600_000, 30 * 86_400_000]


@cache
def empty_ledger() -> bytes:
    """A database with all tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "komeet.db"
        engine = open_engine(path, "crash")
        bring_to_head(engine, LEDGER_LINE)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        return path.read_bytes()


class Died(Exception):
    """The process is gone at this point of the history."""


@dataclass
class Promise:
    """A call that was allowed to be sent, and what it cost as far as its process told."""

    hold: Hold
    ended: Outcome | None = None

    def spent(self, share: Share) -> int:
        """The most that it may have spent of a share."""
        if self.ended is None or self.ended.state is State.ORPHAN:
            return share.amount
        return self.ended.charged if share.charged else self.ended.cost


@dataclass
class Process:
    session: str
    in_hand: InHand
    journal: JournalFile
    connection: Connection
    memory: Memory = field(default_factory=Memory)
    doubtful: bool = False
    asking: list[Waiting] = field(default_factory=list)
    open: dict[str, Hold] = field(default_factory=dict)


class Histories(RuleBasedStateMachine):
    """Up to three processes on one database, stepped by hand: what is between two steps is where they can die."""

    def __init__(self) -> None:
        super().__init__()
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.dir = Path(tempfile.mkdtemp(dir=base))
        self.clock = ManualClock(round(START.timestamp() * 1000))
        (self.dir / "komeet.db").write_bytes(empty_ledger())
        self.engine: Engine = open_engine(self.dir / "komeet.db", "crash")
        self.ids = count(1)
        self.boot = 1
        self.processes: list[Process] = []
        self.promises: dict[str, Promise] = {}
        self.most: dict[int, int] = {}
        """The highest limit that a budget ever had."""
        self.unrecovered = False

    @initialize(amounts=st.lists(st.integers(20, 200), min_size=4, max_size=4), slices=st.booleans())
    def prepare(self, amounts: list[int], slices: bool) -> None:
        factor = 20 if slices else 1
        self.keys = [create_key(self.engine, self.clock, name=f"key {n}")[0] for n in range(2)]
        wanted = [
            Budget(id=0, scope=Scope.KEY, subject=self.keys[0].id, amount=Nano(amounts[0] * factor)),
            Budget(
                id=0,
                scope=Scope.ORGANISATION,
                subject="org",
                span=Span.MONTH,
                zone="Europe/Amsterdam",
                amount=Nano(amounts[1] * factor),
            ),
            Budget(
                id=0,
                scope=Scope.PROVIDER,
                subject="openai",
                span=Span.DAY,
                zone="America/New_York",
                amount=Nano(amounts[2] * factor),
            ),
            Budget(
                id=0,
                scope=Scope.MODEL,
                subject="*/m*",
                span=Span.HOUR,
                zone="Europe/Amsterdam",
                amount=Nano(amounts[3]),
                hard=False,
            ),
        ]
        with writing(self.engine) as connection:
            made = [add_budget(connection, self.clock, budget) for budget in wanted]
        self.most = {budget.id: budget.amount for budget in made if budget.hard}
        self.start()

    # The processes.

    @precondition(lambda self: len(self.processes) < 3)
    @rule()
    def another_starts(self) -> None:
        self.start()

    def somebody(self, pick: int) -> Process:
        """One of the processes; there is always one that serves."""
        if not self.processes:
            self.start()
        return self.processes[pick % len(self.processes)]

    def start(self) -> None:
        session = f"wrk_{next(self.ids):04d}"
        header = Header(session, NODE, f"boot {self.boot}", 1)
        with writing(self.engine) as connection:
            begin_session(connection, session, NODE, header.boot, self.clock.unix_ms())
        journal = JournalFile(self.dir / "journal", header)
        in_hand = InHand(journal, self.clock, grace=30.0, most_waiting=1_000, batch=4)
        process = Process(session, in_hand, journal, writer(self.engine))
        self.processes.append(process)
        self.turn(process, "")

    @rule(
        calls=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 7)), min_size=1, max_size=6),
        steps=st.booleans(),
    )
    def calls_come(self, calls: list[tuple[int, int, int]], steps: bool) -> None:
        for pick, amount, what in calls:
            self.call(self.somebody(pick), amount, what)
        if steps:
            self.everybody_works(0.02)

    def call(self, process: Process, amount: int, what: int) -> None:
        key = self.keys[what % 2]
        hold = Hold(
            attempt_id=f"att_{next(self.ids):05d}",
            request_id="req",
            key_id=key.id,
            accounts=(key.account,),
            provider=("openai", "groq")[what // 2 % 2],
            model="m1",
            model_asked="m1",
            amount=Nano(amount),
            charge=Nano(amount * 2) if what // 4 else None,
            held_at=self.clock.unix_ms(),
        )
        try:
            waiting = process.in_hand.hold(hold, Subject(key.id, organisation="org" if what % 2 else None))
        except Unavailable:
            return
        if waiting is None:
            self.promise(process, hold)
        else:
            process.asking.append(waiting)

    def promise(self, process: Process, hold: Hold) -> None:
        process.open[hold.attempt_id] = hold
        shares = process.in_hand.book.shares(
            hold, Subject(hold.key_id, organisation="org" if hold.key_id == self.keys[1].id else None)
        )
        whole = Hold(
            **{name: getattr(hold, name) for name in hold.__struct_fields__ if name != "shares"}, shares=shares
        )
        self.promises[hold.attempt_id] = Promise(whole)

    @precondition(lambda self: any(process.open for process in self.processes))
    @rule(
        ends=st.lists(
            st.tuples(st.integers(0, 20), st.integers(0, 11), st.sampled_from([State.SETTLED] * 4 + list(State))),
            min_size=1,
            max_size=5,
        )
    )
    def calls_end(self, ends: list[tuple[int, int, State]]) -> None:
        for pick, part, state in ends:
            if any(process.open for process in self.processes):
                self.end(pick, part, state)

    def end(self, pick: int, part: int, state: State) -> None:
        """End a call: for all that was held, for nothing, for a part, and once in a while for more."""
        choices = [(process, hold) for process in self.processes for hold in process.open.values()]
        process, hold = choices[pick % len(choices)]
        cost = hold.amount * part // 10
        charge = None if hold.charge is None else Nano(hold.most_charged * part // 10)
        outcome = Outcome(
            attempt_id=hold.attempt_id,
            state=state,
            cost=Nano(cost if state is State.SETTLED else 0),
            charge=charge if state is State.SETTLED else None,
            ended_at=self.clock.unix_ms(),
        )
        assert process.in_hand.end(outcome)
        del process.open[hold.attempt_id]
        self.promises[hold.attempt_id].ended = outcome

    @precondition(lambda self: any(process.asking for process in self.processes))
    @rule(pick=st.integers(0, 5))
    def caller_leaves(self, pick: int) -> None:
        choices = [(process, waiting) for process in self.processes for waiting in process.asking]
        process, waiting = choices[pick % len(choices)]
        process.asking.remove(waiting)
        process.in_hand.leave(waiting)

    @rule(seconds=st.sampled_from(STEPS[:4]), turns=st.integers(1, 4))
    def all_work(self, seconds: float, turns: int) -> None:
        for _ in range(turns):
            self.everybody_works(seconds)

    def everybody_works(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for process in self.processes:
            self.turn(process, "")

    @precondition(lambda self: self.processes)
    @rule(
        pick=st.integers(0, 2),
        seconds=st.sampled_from(STEPS[:4]),
        fault=st.sampled_from(["", "", "", "", "dies before", "dies after", "fails before", "fails after"]),
    )
    def step(self, pick: int, seconds: float, fault: str) -> None:
        self.clock.advance(seconds)
        process = self.processes[pick % len(self.processes)]
        try:
            self.turn(process, fault)
        except Died:
            self.kill(process)

    def turn(self, process: Process, fault: str) -> None:
        """One turn of the process's thread."""
        turn = process.in_hand.begin()
        if turn is None:
            return
        if process.doubtful:
            with process.connection.begin():
                known = drained_until(process.connection, process.session)
                leased = leased_by(process.connection, process.session)
            turn = process.in_hand.agree(turn, None if known is None else known[0], leased)
            process.doubtful = False
        if fault == "dies before":
            raise Died
        done = None if fault == "fails before" else self.transact(process, turn.todo)
        if fault == "dies after":
            raise Died
        if done is None or fault == "fails after":
            process.memory.forget()
            process.doubtful = True
            told, _ = process.in_hand.fail(turn, outage=True)
        else:
            told = process.in_hand.finish(turn, done)
        for waiting, error in told:
            if waiting not in process.asking:
                continue
            process.asking.remove(waiting)
            assert error is None or isinstance(error, BudgetExceeded | Unavailable), error
            if error is None:
                self.promise(process, waiting.hold)

    def transact(self, process: Process, todo: Work) -> Done:
        try:
            with process.connection.begin():
                done = work(process.connection, todo, process.memory, process.session)
        except Outdated:
            process.memory.forget()
            with process.connection.begin():
                done = work(process.connection, todo, process.memory, process.session)
        if done.applied is not None:
            process.memory.learn(done.applied)
        return done

    def kill(self, process: Process) -> None:
        process.journal.close(delete=False)
        process.connection.close()
        self.processes.remove(process)
        self.unrecovered = True

    # What happens to them.

    @precondition(lambda self: self.processes)
    @rule(pick=st.integers(0, 2), chance=st.integers(0, 1))
    def kill_one(self, pick: int, chance: int) -> None:
        if chance:
            return
        self.kill(self.processes[pick % len(self.processes)])

    @rule(cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3), chance=st.integers(0, 5))
    def power_is_lost(self, cuts: list[float], chance: int) -> None:
        """What the database has it keeps; of the journals an end of any length is gone."""
        if chance:
            return
        for process in list(self.processes):
            self.kill(process)
        for path, cut in zip(sorted((self.dir / "journal").glob("*")), cuts, strict=False):
            os.truncate(path, int(path.stat().st_size * cut))
        self.boot += 1

    @precondition(lambda self: self.unrecovered and not self.processes)
    @rule(crash_at=st.integers(0, 9))
    def next_start(self, crash_at: int) -> None:
        self.recover(crash_at, None)

    @precondition(lambda self: self.unrecovered)
    @rule(pick=st.integers(0, 9), crash_at=st.integers(0, 9))
    def supervisor_settles(self, pick: int, crash_at: int) -> None:
        sessions = sorted(path.name.split(".")[0] for path in (self.dir / "journal").glob("*"))
        living = {process.session for process in self.processes}
        dead = [session for session in sessions if session not in living]
        if dead:
            self.recover(crash_at, dead[pick % len(dead)])

    def recover(self, crash_at: int, session: str | None) -> None:
        steps = iter(range(10))

        def step(_: str) -> None:
            if next(steps, 99) == crash_at:
                raise Died

        def once(each: Callable[[str], None]) -> None:
            recover(
                self.engine,
                self.dir / "journal",
                node=NODE,
                boot=f"boot {self.boot}",
                now_ms=self.clock.unix_ms(),
                session=session,
                step=each,
            )

        try:
            once(step)
        except Died:
            once(lambda _: None)
        if session is None:
            self.unrecovered = False

    @precondition(lambda self: self.processes)
    @rule(pick=st.integers(0, 2), chance=st.integers(0, 2))
    def stop(self, pick: int, chance: int) -> None:
        """A clean end: everything is written, and brought back."""
        if chance:
            return
        process = self.processes[pick % len(self.processes)]
        process.in_hand.close()
        for _ in range(50):
            if process.in_hand.stop(now=False):
                break
            self.clock.advance(0.3)
            self.turn(process, "")
        assert process.in_hand.waiting == 0
        with process.connection.begin():
            ended = end_session(process.connection, process.session, self.clock.unix_ms())
        assert ended == (not process.open)
        process.journal.close(delete=ended)
        process.connection.close()
        self.processes.remove(process)
        self.unrecovered = self.unrecovered or not ended

    @rule(seconds=st.sampled_from(STEPS[4:]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(jump=st.sampled_from(JUMPS), chance=st.integers(0, 2))
    def the_clock_jumps(self, jump: int, chance: int) -> None:
        if chance:
            return
        self.clock.unix += jump

    @rule(pick=st.integers(0, 2), amount=st.integers(0, 400), chance=st.integers(0, 2))
    def the_limit_changes(self, pick: int, amount: int, chance: int) -> None:
        if chance:
            return
        budget = sorted(self.most)[pick]
        with writing(self.engine) as connection:
            set_amount(connection, budget, Nano(amount))
        self.most[budget] = max(self.most[budget], amount)

    # What must be so.

    @invariant()
    def nothing_is_overspent_but_by_overruns(self) -> None:
        spent: dict[Window, int] = {}
        for promise in self.promises.values():
            for share in promise.hold.shares:
                if share.hard:
                    within = min(promise.spent(share), share.amount)  # what is above it is an overrun, and alarmed
                    spent[window_of(share)] = spent.get(window_of(share), 0) + within
        beyond = self.overruns()
        for window, amount in spent.items():
            assert amount <= self.most[window.budget], (window, amount, beyond)

    def overruns(self) -> int:
        return sum(
            max(0, promise.ended.cost - promise.hold.amount) for promise in self.promises.values() if promise.ended
        )

    @invariant()
    def the_database_covers_what_was_promised(self) -> None:
        with self.engine.connect() as connection:
            rows = {Window(r.budget_id, r.starts_at): r for r in connection.execute(select(budget_windows))}
        needed: dict[Window, int] = {}
        for promise in self.promises.values():
            for share in promise.hold.shares:
                if share.hard:
                    window = window_of(share)
                    needed[window] = needed.get(window, 0) + min(promise.spent(share), share.amount)
        for window, amount in needed.items():
            row = rows[window]
            assert row.posted + row.held + row.leased >= amount, window

    @invariant()
    def leases_add_up(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(select(budget_windows)).all()
            taken: dict[Window, int] = {}
            for row in connection.execute(select(leases)):
                window = Window(row.budget_id, row.starts_at)
                taken[window] = taken.get(window, 0) + row.amount
        assert {Window(r.budget_id, r.starts_at): r.leased for r in rows if r.leased} == {
            window: amount for window, amount in taken.items() if amount
        }

    def teardown(self) -> None:
        """When all have ended and been settled, every promise has its outcome, once, as it was told."""
        try:
            for process in list(self.processes):
                self.kill(process)
            self.recover(99, None)
            with self.engine.connect() as connection:
                assert connection.execute(select(open_holds).where(open_holds.c.orphan.is_(False))).all() == []
                assert connection.execute(select(leases).where(leases.c.amount > 0)).all() == []
                kept = set(connection.execute(select(holds.c.attempt_id)).scalars())
                ended = {row.attempt_id: row for row in connection.execute(select(outcomes))}
            assert kept == ended.keys()
            if self.boot == 1:
                assert self.promises.keys() <= kept
            for attempt, promise in self.promises.items():
                row = ended.get(attempt)
                if row is None or promise.ended is None:
                    assert row is None or row.state == "orphan"
                elif row.state != "orphan" or self.boot == 1:
                    assert (row.state, row.cost) == (promise.ended.state, promise.ended.cost)
            for attempt in kept - self.promises.keys():
                assert ended[attempt].state in {"voided", "orphan"}  # its caller had left, or its process died first
            assert audit(self.engine) == []
            self.the_database_covers_what_was_promised()
        finally:
            self.engine.dispose()
            shutil.rmtree(self.dir)


EXAMPLES = int(os.environ.get("KOMEET_HISTORIES", "150"))
Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


TestHistories = pytest.mark.timeout(900)(pytest.mark.slow(Histories.TestCase))
