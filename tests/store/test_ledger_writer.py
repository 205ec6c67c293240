"""The ledger on a real database: what is held, refused, kept and given back, whatever happens around it."""

import asyncio
import gc
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from random import Random

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event, select

from komeet.access.keys import Key
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.errors import BudgetExceeded, InternalError, Unavailable
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.audit import audit, read_books
from komeet.store.keys import change_budget
from komeet.store.ledger_writer import CANCELLED, UNAVAILABLE, UNWRITABLE, LedgerWriter
from komeet.store.sqlite import writer, writing
from komeet.store.tables import accounts, outcomes

NewHold = Callable[[Key, int], Hold]


@asynccontextmanager
async def running(engine: Engine, clock: ManualClock, most_waiting: int = 10_000) -> AsyncGenerator[LedgerWriter]:
    ledger = LedgerWriter(engine, clock, most_waiting=most_waiting)
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.close)


@contextmanager
def locked(engine: Engine) -> Generator[None]:
    """Another process is in the middle of a write."""
    with writing(engine):
        yield


def settled(hold: Hold, cost: int) -> Outcome:
    usage = Usage(input=11, cache_read=5, output=7, reasoning=3)
    return Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost), usage=usage, ended_at=5)


def ended(hold: Hold, state: State) -> Outcome:
    return Outcome(attempt_id=hold.attempt_id, state=state, ended_at=5)


def states(engine: Engine) -> dict[str, tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(outcomes.c.attempt_id, outcomes.c.state, outcomes.c.reason))
        return {row.attempt_id: (row.state, row.reason) for row in rows}


def balances(engine: Engine, key: Key) -> tuple[int, int]:
    with engine.connect() as connection:
        row = connection.execute(select(accounts).where(accounts.c.id == key.account)).one()
        return row.posted, row.held


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is another thread that changes it
            await asyncio.sleep(0.005)


def test_of_500_concurrent_holds_exactly_those_with_room_are_admitted(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> list[BaseException | None]:
        async with running(engine, clock) as ledger:
            holds = [ledger.hold(new_hold(key, 100)) for _ in range(500)]
            return await asyncio.gather(*holds, return_exceptions=True)

    results = asyncio.run(main())
    assert results.count(None) == 10
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 490
    assert balances(engine, key) == (0, 1_000)
    assert audit(engine) == []


def test_a_call_is_held_then_posted_with_all_that_is_known_of_it(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    hold = new_hold(key, 400)
    outcome = replace(
        settled(hold, 300),
        estimated=True,
        price_version="book 1",
        model_served="gpt-5.2-2026-01-01",
        latency_us=1_234,
        first_token_us=567,
    )

    async def main() -> None:
        async with running(engine, clock) as ledger:
            await ledger.hold(hold)
            assert balances(engine, key) == (0, 400)
            ledger.end(outcome)
            ledger.end(settled(hold, 1))

    asyncio.run(main())
    assert balances(engine, key) == (300, 0)
    with engine.connect() as connection:
        books = read_books(connection)
    assert books.holds == [hold]
    assert [end.outcome for end in books.ended] == [outcome]
    assert [account.posted for account in books.accounts if account.kind == "provider"] == [-300]
    assert audit(engine) == []


@pytest.mark.parametrize("seed", range(5))
def test_holds_that_are_cancelled_at_any_moment_hold_nothing(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, seed: int
) -> None:
    chance = Random(seed)

    async def call(ledger: LedgerWriter, hold: Hold) -> None:
        await ledger.hold(hold)  # if it is cancelled here, the void is the ledger's own
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            ledger.end(ended(hold, State.VOIDED))
            raise
        ledger.end(settled(hold, 1))

    async def main() -> None:
        async with running(engine, clock) as ledger, asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(call(ledger, new_hold(key, 2))) for _ in range(300)]
            while waiting := [task for task in started if not task.done()]:
                chance.choice(waiting).cancel()
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)

    asyncio.run(main())
    found = states(engine)
    posted = sum(state == "settled" for state, _ in found.values())
    assert balances(engine, key) == (posted, 0)
    assert CANCELLED in {reason for _, reason in found.values()}
    assert audit(engine) == []


def test_a_caller_that_leaves_between_the_commit_and_its_answer_holds_nothing(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> None:
        async with running(engine, clock) as ledger:
            task = asyncio.create_task(ledger.hold(new_hold(key, 10)))
            await asyncio.sleep(0)
            while balances(engine, key)[1] == 0:  # the loop does not turn: the answer cannot have arrived
                pass
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert balances(engine, key) == (0, 0)
    assert list(states(engine).values()) == [("voided", CANCELLED)]


def test_a_loop_that_is_closed_while_a_hold_waits_holds_nothing(
    engine: Engine,
    patient: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = LedgerWriter(patient, clock)
    loop = asyncio.new_event_loop()
    with locked(engine):
        task = loop.create_task(ledger.hold(new_hold(key, 10)))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    ledger.close()
    assert not task.done()
    assert balances(engine, key) == (0, 0)
    assert list(states(engine).values()) == [("voided", CANCELLED)]
    caplog.clear()
    del task, loop
    gc.collect()  # the task is in a cycle: asyncio's complaint belongs here, not into whichever test comes later
    assert [record.message.split("!")[0] for record in caplog.records] == ["Task was destroyed but it is pending"]


def test_a_denied_attempt_may_ask_for_less(engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold) -> None:
    hold = new_hold(key, 1_001)

    async def main() -> None:
        async with running(engine, clock) as ledger:
            with pytest.raises(BudgetExceeded, match="'app'") as denied:
                await ledger.hold(hold)
            await ledger.hold(replace(hold, amount=Nano(denied.value.room)))

    asyncio.run(main())
    assert balances(engine, key) == (0, 1_000)


def test_what_has_no_hold_or_was_denied_cannot_be_ended(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    denied = new_hold(key, 2_000)

    async def main() -> None:
        async with running(engine, clock) as ledger:
            ledger.end(settled(new_hold(key, 10), 10))
            with pytest.raises(BudgetExceeded):
                await ledger.hold(denied)
            ledger.end(ended(denied, State.VOIDED))

    asyncio.run(main())
    assert states(engine) == {}
    assert balances(engine, key) == (0, 0)


def test_a_limit_that_another_connection_changes_counts_from_the_next_hold_on(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> None:
        async with running(engine, clock) as ledger:
            await ledger.hold(new_hold(key, 600))
            change_budget(engine, key.id, Nano(700))
            with pytest.raises(BudgetExceeded):
                await ledger.hold(new_hold(key, 101))
            change_budget(engine, key.id, None)
            await ledger.hold(new_hold(key, 10_000))

    asyncio.run(main())


def test_an_overrun_is_posted_logged_and_blocks_until_an_operator_lifts_it(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with running(engine, clock) as ledger:
            await ledger.hold(hold := new_hold(key, 100))
            ledger.end(settled(hold, 130))
            with pytest.raises(BudgetExceeded, match="blocked"):
                await ledger.hold(new_hold(key, 1))
            assert ledger.overruns == 1
            change_budget(engine, key.id, Nano(1_000))
            await ledger.hold(new_hold(key, 1))

    asyncio.run(main())
    assert balances(engine, key) == (130, 1)
    assert [r.message for r in caplog.records if "overrun" in r.message and "130" in r.message]
    assert audit(engine) == []


def test_a_full_disk_refuses_holds_and_loses_no_outcome(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 12
    room = [pages]

    def on_connect(connection: object, _entry: object) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count={room[0]}")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    engine.dispose()
    event.listen(engine, "connect", on_connect)
    change_budget(engine, key.id, None)
    admitted: list[Hold] = []

    async def main() -> None:
        async with running(engine, clock) as ledger:
            with pytest.raises(Unavailable):
                for _ in range(5_000):
                    hold = new_hold(key, 5)
                    await ledger.hold(hold)
                    admitted.append(hold)
            assert admitted
            assert ledger.failing
            for hold in admitted:
                ledger.end(settled(hold, 3))
                ledger.end(ended(hold, State.VOIDED))
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await ledger.hold(new_hold(key, 5))
            room[0] = 1 << 20
            await until(lambda: ledger.waiting == 0)
            await until(lambda: not ledger.failing)
            await ledger.hold(new_hold(key, 5))

    asyncio.run(main())
    assert {a for a, (state, _) in states(engine).items() if state == "settled"} == {h.attempt_id for h in admitted}
    assert balances(engine, key) == (3 * len(admitted), 5)
    assert audit(engine) == []
    lines = [record for record in caplog.records if "out of reach" in record.message]
    assert len(lines) == 1, "at most one a second, and the clock stood still"
    assert lines[0].levelno == logging.ERROR
    assert "full" in lines[0].message


def test_a_locked_database_refuses_holds_and_takes_outcomes_later(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> None:
        async with running(engine, clock) as ledger:
            await ledger.hold(before := new_hold(key, 100))
            with locked(engine):
                ledger.end(settled(before, 90))
                results = await asyncio.gather(
                    *(ledger.hold(new_hold(key, 100)) for _ in range(20)), return_exceptions=True
                )
                assert {type(result) for result in results} == {Unavailable}
                with pytest.raises(Unavailable):
                    await ledger.hold(new_hold(key, 100))
            await until(lambda: not ledger.failing)

    asyncio.run(main())
    assert balances(engine, key) == (90, 0)
    assert set(states(engine).values()) == {("settled", "")}


def test_a_database_that_nobody_can_reach_is_waited_for(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    """Another process has the file for itself: neither the open connection nor a new one can read it."""
    thief = sqlite3.connect(str(engine.url.database), isolation_level=None)
    thief.execute("PRAGMA locking_mode=EXCLUSIVE")

    async def main() -> None:
        async with running(engine, clock) as ledger:
            before = new_hold(key, 100)
            with closing(thief):
                engine.dispose()
                thief.execute("BEGIN EXCLUSIVE")
                with pytest.raises(Unavailable):
                    await ledger.hold(before)
                ledger.end(settled(before, 90))
                with pytest.raises(Unavailable):
                    await ledger.hold(new_hold(key, 100))
            await until(lambda: not ledger.failing)
            await ledger.hold(new_hold(key, 100))

    asyncio.run(main())
    assert balances(engine, key) == (0, 100)


def test_a_hold_whose_commit_may_have_been_done_is_voided(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    """The commit succeeds, and the connection breaks before anybody hears of it."""
    broken = [False]

    async def main() -> None:
        async with running(engine, clock) as ledger:
            event.listen(engine, "commit", commit_then_break)
            with pytest.raises(Unavailable):
                await ledger.hold(new_hold(key, 100))
            await until(lambda: ledger.waiting == 0 and not ledger.failing)

    def commit_then_break(connection: object) -> None:
        if not broken[0]:
            broken[0] = True
            connection.connection.commit()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            connection.exec_driver_sql("SELECT * FROM nowhere")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    asyncio.run(main())
    assert broken == [True]
    assert balances(engine, key) == (0, 0)
    assert list(states(engine).values()) == [("voided", UNAVAILABLE)]
    assert audit(engine) == []


def test_one_command_that_cannot_be_written_does_not_stop_the_others(
    engine: Engine, patient: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    unwritable = new_hold(key, 10)

    async def main() -> None:
        async with running(patient, clock) as ledger:
            await ledger.hold(unwritable)
            with locked(engine):  # so that all of these become one batch
                ledger.end(replace(settled(unwritable, 5), ended_at=10**30))
                good = [new_hold(key, 10) for _ in range(4)]
                bad = replace(new_hold(key, 10), key_id="key_of_nobody")
                waiting = asyncio.gather(
                    *(ledger.hold(hold) for hold in (*good[:2], bad, *good[2:])), return_exceptions=True
                )
                await asyncio.sleep(0)
            results = await waiting
            assert [type(result) for result in results] == [type(None), type(None), Unavailable, *[type(None)] * 2]

    asyncio.run(main())
    assert balances(engine, key) == (0, 50)
    assert states(engine) == {unwritable.attempt_id: ("orphan", UNWRITABLE)}
    assert audit(engine) == []


def test_a_full_queue_refuses_holds_and_takes_outcomes(
    engine: Engine, patient: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> None:
        async with running(patient, clock, most_waiting=3) as ledger:
            await ledger.hold(first := new_hold(key, 10))
            with locked(engine):
                ledger.end(settled(first, 10))
                await until(lambda: ledger.waiting == 0)  # it is being written, and waits for the lock
                for _ in range(3):
                    ledger.end(settled(first, 10))
                with pytest.raises(Unavailable, match="keep up"):
                    await ledger.hold(new_hold(key, 10))
                ledger.end(settled(first, 10))

    asyncio.run(main())
    assert balances(engine, key) == (10, 0)


def test_closing_writes_all_that_waits_and_refuses_what_comes_after(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, caplog: pytest.LogCaptureFixture
) -> None:
    late = new_hold(key, 10)

    async def main() -> None:
        ledger = LedgerWriter(engine, clock)
        holds = [new_hold(key, 1) for _ in range(800)]
        await asyncio.gather(*map(ledger.hold, holds))
        for hold in holds:
            ledger.end(settled(hold, 1))
        ledger.close()
        ledger.close()
        with pytest.raises(Unavailable, match="shutting down"):
            await ledger.hold(late)
        ledger.end(settled(late, 1))

    asyncio.run(main())
    assert balances(engine, key) == (800, 0)
    assert late.attempt_id in caplog.text


def test_closing_gives_a_database_up_that_does_not_come_back(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        ledger = LedgerWriter(engine, clock)
        await ledger.hold(hold := new_hold(key, 10))
        with locked(engine):
            ledger.end(settled(hold, 10))
            waiting = asyncio.create_task(ledger.hold(new_hold(key, 10)))
            await asyncio.sleep(0)
            await asyncio.to_thread(ledger.close, 0.3)
            with pytest.raises(Unavailable):
                await waiting

    asyncio.run(main())
    assert "gave up" in caplog.text
    assert balances(engine, key) == (0, 10)


def test_a_hold_without_accounts_is_a_mistake_of_ours(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    async def main() -> None:
        async with running(engine, clock) as ledger:
            with pytest.raises(InternalError):
                await ledger.hold(replace(new_hold(key, 1), accounts=()))

    asyncio.run(main())


def test_the_database_itself_allows_one_outcome_for_each_attempt(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold
) -> None:
    hold = new_hold(key, 10)

    async def main() -> None:
        async with running(engine, clock) as ledger:
            await ledger.hold(hold)
            ledger.end(settled(hold, 1))

    asyncio.run(main())
    with (
        writer(engine) as connection,
        pytest.raises(Exception, match=r"UNIQUE constraint failed: outcomes\.attempt_id"),
    ):
        connection.execute(outcomes.insert().from_select(outcomes.columns.keys(), select(outcomes)))
