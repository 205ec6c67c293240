"""One process seals and audits; it says when the books are wrong, and ends cleanly."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from tests.store.postgres import BOTH
from tests.store.spending import Spender

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.net.tasks import Tasks
from komeet.store.bookkeeper import Bookkeeper
from komeet.store.seal import verify
from komeet.store.tables import accounts
from komeet.store.transactions import writing

DATABASES = BOTH


@pytest.fixture
def spent(engine: Engine, clock: ManualClock, key: Key) -> Engine:
    spender = Spender(engine, clock)
    for _ in range(10):
        spender.spend(key, 5)
    return engine


def work_off(keeper: Bookkeeper) -> None:
    for _ in range(3):  # on PostgreSQL it is behind by one look
        while keeper.step():
            pass


async def ended(keeper: Bookkeeper) -> None:
    await keeper.stop()


def test_all_is_sealed_and_found_right(spent: Engine, clock: ManualClock, tmp_path: Path) -> None:
    keeper = Bookkeeper(spent, clock, tmp_path / "books", portion=7)
    assert not keeper.right
    work_off(keeper)
    assert keeper.right
    assert keeper.differences == 0
    assert (verify(spent).unsealed, verify(spent).broken) == (0, None)
    asyncio.run(ended(keeper))


def test_a_wrong_balance_is_an_alarm(
    spent: Engine, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Bookkeeper(spent, clock, tmp_path / "books")
    work_off(keeper)
    with writing(spent) as connection:
        connection.execute(update(accounts).values(posted=accounts.c.posted + 1))
    with caplog.at_level(logging.ERROR):
        work_off(keeper)
    assert not keeper.right
    assert keeper.differences > 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the books are wrong" in line
    assert "account 1 " in line
    asyncio.run(ended(keeper))


def test_one_of_a_machine_works_and_another_goes_on_when_it_ends(
    spent: Engine, clock: ManualClock, tmp_path: Path
) -> None:
    one = Bookkeeper(spent, clock, tmp_path / "books")
    other = Bookkeeper(spent, clock, tmp_path / "books")
    work_off(one)
    work_off(other)
    assert (one.right, other.right) == (True, False)
    asyncio.run(ended(one))
    work_off(other)
    assert other.right
    asyncio.run(ended(other))


def test_it_works_in_the_background_until_it_is_stopped(
    spent: Engine, another: Callable[[], Engine], clock: ManualClock, tmp_path: Path
) -> None:
    keeper = Bookkeeper(another(), clock, tmp_path / "books", every=0.01, pause=0.0)

    async def main() -> None:
        tasks = Tasks()
        await keeper.start(tasks.spawn)
        async with asyncio.timeout(30):
            while not keeper.right or verify(spent).unsealed:  # noqa: ASYNC110 - it is another thread that works
                await asyncio.sleep(0.01)
        await keeper.stop()
        await tasks.drain(5.0)

    asyncio.run(main())
