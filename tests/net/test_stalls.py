"""What keeps the loop to itself is named; a loop that turns, and a busy machine, are not."""

import asyncio
import time

import pytest

from komeet.core.clock import SystemClock
from komeet.net.stalls import StallWatch


def keep_the_loop(watch: StallWatch) -> None:
    before, deadline = watch.count, time.monotonic() + 20
    while watch.count == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_stall_is_counted_once_and_logged_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int:
        watch = StallWatch(SystemClock(), 0.02)
        watch.start()
        await asyncio.sleep(0.05)
        keep_the_loop(watch)
        once = watch.count
        await asyncio.sleep(0.1)
        keep_the_loop(watch)
        watch.close()
        return once

    assert asyncio.run(main()) >= 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert "keep_the_loop(watch)" in line, "the stack says where"
    assert "stood still" in line


def test_a_watch_that_is_closed_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> StallWatch:
        watch = StallWatch(SystemClock(), 0.02)
        watch.start()
        watch.close()
        return watch

    watch = asyncio.run(main())
    time.sleep(0.1)
    assert watch.count == 0
    assert caplog.records == []
