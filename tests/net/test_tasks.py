"""Background tasks: failures are logged once, shutdown waits and then cancels, the sweep stops with its last member."""

import asyncio
import logging

import pytest
from tests.net.conftest import run, until

from komeet.core.clock import ManualClock
from komeet.net.sweep import Sweeper
from komeet.net.tasks import Tasks


def test_a_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    async def main() -> None:
        tasks = Tasks(logging.getLogger("tests.tasks"))
        tasks.spawn("settle", fail())
        assert await tasks.drain(1.0) == 0
        assert len(tasks) == 0

    run(main())
    (record,) = caplog.records
    assert record.getMessage() == "background task failed: settle"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_drain_waits_for_what_is_spawned_meanwhile() -> None:
    done: list[str] = []

    async def main() -> None:
        tasks = Tasks()

        async def second() -> None:
            await asyncio.sleep(0)
            done.append("second")

        async def first() -> None:
            await asyncio.sleep(0)
            tasks.spawn("second", second())
            done.append("first")

        tasks.spawn("first", first())
        assert await tasks.drain(5.0) == 0

    run(main())
    assert done == ["first", "second"]


def test_drain_cancels_what_is_late_and_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def main() -> None:
        tasks = Tasks(logging.getLogger("tests.tasks"))

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append("endless")

        tasks.spawn("endless", endless())
        await asyncio.sleep(0)
        assert await tasks.drain(0.0) == 1
        assert len(tasks) == 0

    run(main())
    assert ended == ["endless"]
    assert [record.getMessage() for record in caplog.records] == ["cancelled at shutdown: endless"]


class Member:
    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def sweep(self, now: float, since: float) -> None:
        self.seen.append((now, since))


class Broken(Member):
    def sweep(self, now: float, since: float) -> None:
        super().sweep(now, since)
        raise ValueError("broken")


def test_the_sweep_tells_when_it_swept_before() -> None:
    async def main() -> None:
        clock = ManualClock()
        sweeper, member = Sweeper(clock, 3600.0), Member()
        clock.advance(5.0)
        sweeper.add(member)
        clock.advance(1.0)
        sweeper.sweep()
        clock.advance(2.0)
        sweeper.sweep()
        assert member.seen == [(6.0, 5.0), (8.0, 6.0)]
        sweeper.remove(member)
        sweeper.sweep()
        assert len(member.seen) == 2

    run(main())


def test_the_sweep_starts_with_the_first_member_and_stops_with_the_last() -> None:
    async def main() -> None:
        sweeper, member = Sweeper(ManualClock(), 0.001), Member()
        assert not sweeper.running
        sweeper.add(member)
        await until(lambda: len(member.seen) > 3)
        sweeper.remove(member)
        assert not sweeper.running
        sweeper.add(member)
        before = len(member.seen)
        await until(lambda: len(member.seen) > before)

    run(main())


def test_a_member_that_fails_does_not_stop_the_sweep() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(str(context["exception"])))
        sweeper, member = Sweeper(ManualClock(), 0.001), Broken()
        sweeper.add(member)
        await until(lambda: len(member.seen) > 3)
        sweeper.remove(member)

    reports: list[str] = []
    run(main())
    assert "broken" in reports


def test_what_was_spawned_just_now_can_clean_up_after_itself() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    async def main() -> None:
        tasks = Tasks()
        tasks.spawn("work", work())
        assert await tasks.drain(0.0) == 1

    run(main())
    assert ended == ["cleaned up"]
