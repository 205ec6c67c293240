"""The ledger of a process on a real database: what is held, refused, kept and brought back, whatever happens."""

import asyncio
import errno
import gc
import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event, select
from tests.store.ledgers import BOOT, NODE, open_ledger, running, subject_of

from komeet.access.keys import Key
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock, SystemClock
from komeet.core.errors import BudgetExceeded, InternalError, Unavailable
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store import journal_file
from komeet.store.audit import audit, read_books
from komeet.store.in_hand import CANCELLED
from komeet.store.keys import change_budget, create_key
from komeet.store.ledger_writer import UNWRITABLE, LedgerWriter
from komeet.store.recovery import CRASH, recover
from komeet.store.tables import accounts, budget_windows, leases, outcomes, usage_hours
from komeet.store.transactions import writer, writing

NewHold = Callable[[Key, int], Hold]


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    return tmp_path / "journal"


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


def window(engine: Engine) -> tuple[int, int, int]:
    """What is posted, held and leased of the one budget that there is."""
    with engine.connect() as connection:
        row = connection.execute(select(budget_windows)).one_or_none()
        return (0, 0, 0) if row is None else (row.posted, row.held, row.leased)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is another thread that changes it
            await asyncio.sleep(0.005)


def test_of_500_concurrent_holds_exactly_those_with_room_are_admitted(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> list[BaseException | None]:
        async with running(engine, clock, journals) as ledger:
            holds = [ledger.hold(new_hold(key, 100), subject_of(key)) for _ in range(500)]
            return await asyncio.gather(*holds, return_exceptions=True)

    results = asyncio.run(main())
    assert results.count(None) == 10
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 490
    assert balances(engine, key) == (0, 1_000)
    assert window(engine) == (0, 0, 1_000)
    assert audit(engine) == []


def test_a_call_is_held_then_posted_with_all_that_is_known_of_it(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    hold = new_hold(key, 400)
    outcome = replace(
        settled(hold, 300),
        charge=Nano(360),
        estimated=True,
        price_version="book 1",
        model_served="gpt-5.2-2026-01-01",
        latency_us=1_234,
        first_token_us=567,
    )

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(hold, subject_of(key))
            ledger.end(outcome)
            ledger.end(settled(hold, 1))

    asyncio.run(main())
    assert balances(engine, key) == (360, 0)
    assert window(engine) == (360, 0, 0)
    with engine.connect() as connection:
        books = read_books(connection)
        hour = connection.execute(select(usage_hours)).one()
    (kept,) = books.holds
    assert replace(kept, shares=(), charge=None) == hold
    assert [end.outcome for end in books.ended] == [outcome]
    assert {a.kind: a.posted for a in books.accounts} == {
        "key": 360,
        "provider": -300,
        "margin": -60,
        "adjustments": 0,
    }
    assert (hour.settled, hour.input_tokens, hour.cost, hour.charge, hour.tags) == (1, 11, 300, 360, '["blue","team"]')
    assert audit(engine) == []


def test_a_call_far_from_the_limit_waits_for_no_database(
    engine: Engine, patient: Engine, clock: ManualClock, new_hold: NewHold, journals: Path
) -> None:
    key = create_key(engine, clock, name="rich", budget=Nano(1_000_000))[0]

    async def main() -> None:
        async with running(patient, clock, journals) as ledger:
            await ledger.hold(first := new_hold(key, 10), subject_of(key))
            with locked(engine):
                for _ in range(100):
                    await ledger.hold(hold := new_hold(key, 10), subject_of(key))
                    ledger.end(settled(hold, 10))
            ledger.end(settled(first, 10))

    asyncio.run(main())
    assert window(engine) == (1_010, 0, 0)


def test_a_key_without_a_budget_waits_for_no_database(
    engine: Engine, patient: Engine, clock: ManualClock, new_hold: NewHold, journals: Path
) -> None:
    key = create_key(engine, clock, name="free")[0]

    async def main() -> None:
        async with running(patient, clock, journals) as ledger:
            with locked(engine):
                await ledger.hold(hold := new_hold(key, 10), subject_of(key))
                ledger.end(settled(hold, 9))

    asyncio.run(main())
    assert balances(engine, key) == (9, 0)


@pytest.mark.parametrize("seed", range(5))
def test_holds_that_are_cancelled_at_any_moment_hold_nothing(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path, seed: int
) -> None:
    chance = Random(seed)

    async def call(ledger: LedgerWriter, hold: Hold) -> None:
        await ledger.hold(hold, subject_of(key))  # if it is cancelled here, the void is the ledger's own
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            ledger.end(ended(hold, State.VOIDED))
            raise
        ledger.end(settled(hold, 1))

    async def main() -> None:
        async with running(engine, clock, journals) as ledger, asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(call(ledger, new_hold(key, 2))) for _ in range(300)]
            while waiting := [task for task in started if not task.done()]:
                chance.choice(waiting).cancel()
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)

    asyncio.run(main())
    posted = sum(state == "settled" for state, _ in states(engine).values())
    assert balances(engine, key) == (posted, 0)
    assert window(engine) == (posted, 0, 0)
    assert audit(engine) == []


def test_a_caller_that_leaves_between_the_commit_and_its_answer_holds_nothing(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            task = asyncio.create_task(ledger.hold(new_hold(key, 10), subject_of(key)))
            await asyncio.sleep(0)
            while window(engine)[2] == 0:  # the loop does not turn: the answer cannot have arrived
                pass
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert balances(engine, key) == (0, 0)
    assert window(engine) == (0, 0, 0)
    assert set(states(engine).values()) <= {("voided", CANCELLED)}


def test_a_loop_that_is_closed_while_a_hold_waits_holds_nothing(
    engine: Engine,
    patient: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = open_ledger(patient, clock, journals)
    loop = asyncio.new_event_loop()
    with locked(engine):
        task = loop.create_task(ledger.hold(new_hold(key, 10), subject_of(key)))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    ledger.close()
    assert not task.done()
    assert balances(engine, key) == (0, 0)
    assert window(engine) == (0, 0, 0)
    caplog.clear()
    del task, loop
    gc.collect()  # the task is in a cycle: asyncio's complaint belongs here, not into whichever test comes later
    assert [record.message.split("!")[0] for record in caplog.records] == ["Task was destroyed but it is pending"]


def test_a_denied_attempt_may_ask_for_less(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    hold = new_hold(key, 1_001)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            with pytest.raises(BudgetExceeded, match="'app'") as denied:
                await ledger.hold(hold, subject_of(key))
            await ledger.hold(replace(hold, amount=Nano(denied.value.room)), subject_of(key))
            await until(lambda: balances(engine, key) == (0, 1_000))

    asyncio.run(main())


def test_what_has_no_hold_or_was_denied_cannot_be_ended(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    denied = new_hold(key, 2_000)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            ledger.end(settled(new_hold(key, 10), 10))
            with pytest.raises(BudgetExceeded):
                await ledger.hold(denied, subject_of(key))
            ledger.end(ended(denied, State.VOIDED))

    asyncio.run(main())
    assert states(engine) == {}
    assert balances(engine, key) == (0, 0)


def test_a_limit_that_another_process_changes_counts_at_once_for_what_asks_and_soon_for_what_is_leased(
    engine: Engine, key: Key, new_hold: NewHold, journals: Path
) -> None:
    clock = SystemClock()

    async def refused(ledger: LedgerWriter, amount: int) -> bool:
        try:
            await ledger.hold(new_hold(key, amount), subject_of(key))
        except BudgetExceeded:
            return True
        return False

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(new_hold(key, 600), subject_of(key))
            change_budget(engine, clock, key.id, Nano(700))
            assert await refused(ledger, 101)
            change_budget(engine, clock, key.id, Nano(1_000_000))
            assert not await refused(ledger, 10)  # and there is a slice now
            change_budget(engine, clock, key.id, Nano(600))
            async with asyncio.timeout(1):
                while not await refused(ledger, 1):  # noqa: ASYNC110 - it is another thread that changes it
                    await asyncio.sleep(0.01)
            change_budget(engine, clock, key.id, None)
            async with asyncio.timeout(1):
                while await refused(ledger, 10_000):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_key_is_bound_by_a_budget_that_was_made_with_it_from_its_first_call_on(
    engine: Engine, clock: ManualClock, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            key = create_key(engine, clock, name="new", budget=Nano(50))[0]
            assert not ledger.knows(key.books)
            await asyncio.gather(*(ledger.learn() for _ in range(20)))
            assert ledger.knows(key.books)
            assert ledger.is_bounded(subject_of(key), "openai", "gpt-5.2")
            with pytest.raises(BudgetExceeded):
                await ledger.hold(new_hold(key, 51), subject_of(key))

    asyncio.run(main())


def test_whoever_waits_for_budgets_is_told_when_there_will_be_none(
    engine: Engine, clock: ManualClock, journals: Path
) -> None:
    async def main() -> None:
        ledger = open_ledger(engine, clock, journals)
        with locked(engine):
            waiting = asyncio.create_task(ledger.learn())
            await asyncio.sleep(0)
            await asyncio.to_thread(ledger.close, 0.2)
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await ledger.learn()

    asyncio.run(main())


def test_an_overrun_is_posted_logged_and_blocks_until_an_operator_lifts_it(
    engine: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(hold := new_hold(key, 200), subject_of(key))
            ledger.end(settled(hold, 230))
            await until(lambda: ledger.overruns == 1)
            with pytest.raises(BudgetExceeded, match="blocked"):
                await ledger.hold(new_hold(key, 200), subject_of(key))
            change_budget(engine, clock, key.id, Nano(1_000))
            await ledger.hold(new_hold(key, 200), subject_of(key))
            await until(lambda: balances(engine, key) == (230, 200))

    asyncio.run(main())
    assert [r.message for r in caplog.records if "overrun" in r.message and "230" in r.message]
    assert audit(engine) == []


def test_a_full_disk_of_the_database_refuses_leases_and_loses_no_record(
    engine: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 12
    room = [pages]

    def on_connect(connection: object, _entry: object) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count={room[0]}")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    engine.dispose()
    event.listen(engine, "connect", on_connect)
    free = create_key(engine, clock, name="free")[0]
    admitted: list[Hold] = []

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            while not ledger.failing:
                hold = new_hold(free, 5)
                await ledger.hold(hold, subject_of(free))
                admitted.append(hold)
                ledger.end(settled(hold, 3))
                await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await ledger.hold(new_hold(key, 100), subject_of(key))
            clock.advance(31)
            with pytest.raises(Unavailable):  # what needs no lease goes on for half a minute, and no longer
                await ledger.hold(new_hold(free, 5), subject_of(free))
            room[0] = 1 << 20
            await until(lambda: ledger.waiting == 0)
            await until(lambda: not ledger.failing)
            await ledger.hold(new_hold(key, 100), subject_of(key))

    asyncio.run(main())
    assert set(states(engine)) == {hold.attempt_id for hold in admitted}
    assert balances(engine, free) == (3 * len(admitted), 0)
    assert audit(engine) == []
    lines = [record for record in caplog.records if "out of reach" in record.message]
    assert len(lines) <= 2, "at most one a second of a clock that moved once"
    assert lines[0].levelno == logging.ERROR
    assert "full" in lines[0].message


def test_a_full_disk_of_the_journal_refuses_every_hold_and_keeps_what_was_promised(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [10**9]

    def write(file: int, data: bytes) -> int:
        if len(data) > room[0]:
            written = os.write(file, data[: room[0]])  # as a disk does: a part of it, or nothing
            room[0] = 0
            if not written:
                raise OSError(errno.ENOSPC, "No space left on device")
            return written
        return os.write(file, data)

    monkeypatch.setattr(journal_file, "_write", write)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(before := new_hold(key, 200), subject_of(key))
            room[0] = 20
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await ledger.hold(new_hold(key, 200), subject_of(key))
            ledger.end(settled(before, 150))  # not in the journal, and in the database nevertheless
            await until(lambda: balances(engine, key) == (150, 0))
            room[0] = 10**9
            await ledger.hold(after := new_hold(key, 200), subject_of(key))
            ledger.end(settled(after, 10))

    asyncio.run(main())
    assert balances(engine, key) == (160, 0)
    assert window(engine) == (160, 0, 0)
    assert audit(engine) == []


def test_a_locked_database_refuses_leases_and_takes_records_later(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(before := new_hold(key, 200), subject_of(key))
            await until(lambda: ledger.waiting == 0)
            with locked(engine):
                ledger.end(settled(before, 190))
                results = await asyncio.gather(
                    *(ledger.hold(new_hold(key, 200), subject_of(key)) for _ in range(20)), return_exceptions=True
                )
                assert {type(result) for result in results} == {Unavailable}
                with pytest.raises(Unavailable):
                    await ledger.hold(new_hold(key, 200), subject_of(key))
            await until(lambda: not ledger.failing)

    asyncio.run(main())
    assert balances(engine, key) == (190, 0)
    assert window(engine) == (190, 0, 0)
    assert set(states(engine).values()) == {("settled", "")}


@pytest.mark.parametrize("done", [True, False], ids=["was done", "was not done"])
def test_a_commit_of_which_nobody_heard_is_believed_if_it_was_done(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path, *, done: bool
) -> None:
    """The connection breaks before anybody hears whether the commit was done."""
    broken = [True]

    def commit_then_break(connection: object) -> None:
        if not broken[0]:
            broken[0] = True
            if done:
                connection.connection.commit()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            connection.exec_driver_sql("SELECT * FROM nowhere")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            event.listen(engine, "commit", commit_then_break)
            await ledger.hold(first := new_hold(key, 200), subject_of(key))
            await until(lambda: ledger.waiting == 0)
            broken[0] = False
            ledger.end(settled(first, 130))
            await until(lambda: broken[0] and ledger.waiting == 0 and not ledger.failing)
            broken[0] = False
            with pytest.raises(Unavailable):  # it may have been leased: it goes back with all else
                await ledger.hold(new_hold(key, 500), subject_of(key))
            await until(lambda: broken[0] and not ledger.failing)
            await ledger.hold(new_hold(key, 870), subject_of(key))

    asyncio.run(main())
    assert balances(engine, key) == (130, 870)
    assert window(engine) == (130, 0, 870)
    assert audit(engine) == []


def test_one_record_that_cannot_be_written_does_not_stop_the_others(
    engine: Engine, patient: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    unwritable = new_hold(key, 100)

    async def main() -> None:
        async with running(patient, clock, journals) as ledger:
            await ledger.hold(unwritable, subject_of(key))
            free = create_key(engine, clock, name="free")[0]
            with locked(engine):  # so that all of these become one batch
                ledger.end(replace(settled(unwritable, 5), ended_at=2**62, latency_us=2**40, model_served="m"))
                good = [new_hold(free, 10) for _ in range(4)]
                bad = replace(new_hold(free, 10), key_id="key_of_nobody")
                for hold in (*good[:2], bad, *good[2:]):
                    await ledger.hold(hold, subject_of(free))
                for hold in good:
                    ledger.end(settled(hold, 2))
            await until(lambda: ledger.waiting == 0)
        assert balances(engine, free) == (8, 0)

    asyncio.run(main())
    assert audit(engine) == []


def test_an_outcome_that_cannot_be_written_leaves_an_orphan(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    hold = new_hold(key, 100)

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO outcomes" in statement and not refused:
            refused.append(statement)
            raise ValueError("the database does not take it")

    refused: list[str] = []
    event.listen(engine, "before_cursor_execute", refuse)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(hold, subject_of(key))
            await until(lambda: ledger.waiting == 0)
            ledger.end(settled(hold, 50))
            await until(lambda: ledger.waiting == 0)

    asyncio.run(main())
    assert states(engine) == {hold.attempt_id: ("orphan", UNWRITABLE)}
    assert window(engine)[1] == 100
    assert audit(engine) == []


def test_a_full_queue_refuses_holds_and_takes_outcomes(
    engine: Engine, patient: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> None:
        async with running(patient, clock, journals, most_waiting=3) as ledger:
            await ledger.hold(first := new_hold(key, 10), subject_of(key))
            await until(lambda: ledger.waiting == 0)
            with locked(engine):
                ledger.end(settled(first, 10))
                await until(lambda: ledger.waiting == 0)  # it is being written, and waits for the lock
                for _ in range(3):
                    ledger.end(settled(first, 10))
                with pytest.raises(Unavailable, match="keep up"):
                    await ledger.hold(new_hold(key, 10), subject_of(key))
                ledger.end(settled(first, 10))

    asyncio.run(main())
    assert balances(engine, key) == (10, 0)


def test_closing_writes_all_brings_back_all_and_refuses_what_comes_after(
    engine: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = new_hold(key, 10)

    async def main() -> None:
        ledger = open_ledger(engine, clock, journals)
        holds = [new_hold(key, 1) for _ in range(800)]
        await asyncio.gather(*(ledger.hold(hold, subject_of(key)) for hold in holds))
        for hold in holds:
            ledger.end(settled(hold, 1))
        ledger.close()
        ledger.close()
        with pytest.raises(Unavailable, match="shutting down"):
            await ledger.hold(late, subject_of(key))
        ledger.end(settled(late, 1))

    asyncio.run(main())
    assert balances(engine, key) == (800, 0)
    assert window(engine) == (800, 0, 0)
    assert late.attempt_id in caplog.text
    assert list(journals.iterdir()) == []
    with engine.connect() as connection:
        assert connection.execute(select(leases)).all() == []


def test_what_a_database_that_does_not_come_back_has_not_taken_is_taken_at_the_next_start(
    engine: Engine,
    clock: ManualClock,
    key: Key,
    new_hold: NewHold,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        ledger = open_ledger(engine, clock, journals)
        await ledger.hold(hold := new_hold(key, 200), subject_of(key))
        await until(lambda: ledger.waiting == 0)
        with locked(engine):
            ledger.end(settled(hold, 10))
            waiting = asyncio.create_task(ledger.hold(new_hold(key, 200), subject_of(key)))
            await asyncio.sleep(0)
            await asyncio.to_thread(ledger.close, 0.3)
            with pytest.raises(Unavailable):
                await waiting

    asyncio.run(main())
    assert "the next start takes them there" in caplog.text
    assert balances(engine, key) == (0, 200)
    found = recover(engine, journals, node=NODE, boot=BOOT, now_ms=7)
    assert (found.orphans, found.records, found.uncertain) == (0, 1, 0)
    assert balances(engine, key) == (10, 0)
    assert window(engine) == (10, 0, 0)
    assert recover(engine, journals, node=NODE, boot=BOOT, now_ms=7).records == 0
    assert audit(engine) == []


def test_a_process_that_ends_with_calls_in_flight_leaves_orphans_to_the_next_start(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    hold = new_hold(key, 200)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(hold, subject_of(key))

    asyncio.run(main())
    assert window(engine) == (0, 0, 200)
    assert recover(engine, journals, node=NODE, boot=BOOT, now_ms=7).orphans == 1
    assert states(engine) == {hold.attempt_id: ("orphan", CRASH)}
    assert window(engine) == (0, 200, 0)
    assert audit(engine) == []


def test_after_a_loss_of_power_what_was_leased_stays_held_as_uncertain(
    engine: Engine, clock: ManualClock, new_hold: NewHold, journals: Path
) -> None:
    key = create_key(engine, clock, name="rich", budget=Nano(8_000))[0]

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(new_hold(key, 100), subject_of(key))

    asyncio.run(main())
    leased = window(engine)[2]
    assert leased > 1_000
    assert recover(engine, journals, node=NODE, boot="another boot", now_ms=7).uncertain == 1
    assert window(engine) == (0, leased, 0)
    assert recover(engine, journals, node=NODE, boot="another boot", now_ms=7).uncertain == 0
    assert window(engine) == (0, leased, 0)


def test_a_hold_without_accounts_is_a_mistake_of_ours(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            with pytest.raises(InternalError):
                await ledger.hold(replace(new_hold(key, 1), accounts=()), subject_of(key))

    asyncio.run(main())


def test_the_database_itself_allows_one_outcome_for_each_attempt(
    engine: Engine, clock: ManualClock, key: Key, new_hold: NewHold, journals: Path
) -> None:
    hold = new_hold(key, 10)

    async def main() -> None:
        async with running(engine, clock, journals) as ledger:
            await ledger.hold(hold, subject_of(key))
            ledger.end(settled(hold, 1))

    asyncio.run(main())
    with (
        writer(engine) as connection,
        pytest.raises(Exception, match=r"UNIQUE constraint failed: outcomes\.attempt_id"),
    ):
        connection.execute(outcomes.insert().from_select(outcomes.columns.keys(), select(outcomes)))
