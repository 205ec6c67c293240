"""A call that its caller named is claimed once, by one process, and what became of it is there for a day."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select
from tests.store.postgres import BOTH

from komeet.canonical.once import Claim, Kept
from komeet.core.clock import ManualClock
from komeet.core.errors import Unavailable
from komeet.core.money import Nano
from komeet.store.engine import Databases
from komeet.store.once import OnceStore, release_dead
from komeet.store.postgresql import open_postgresql
from komeet.store.schema import REQUESTS_LINE, bring_to_head
from komeet.store.sqlite import open_engine
from komeet.store.tables import idempotency

DATABASES = BOTH
ANSWER = Kept(
    request_id="req_1",
    body_digest=b"b" * 32,
    status=200,
    headers=((b"content-type", b"application/json"),),
    body=b"{\xff}",
    streamed=True,
    cost=Nano(7),
)


@pytest.fixture
def database(tmp_path: Path, databases: Databases) -> Iterator[Engine]:
    if databases.ledger is None:
        engine = open_engine(tmp_path / "requests.db", "crash", busy_ms=2_000)
    else:
        engine = open_postgresql(databases.ledger, "crash")
    bring_to_head(engine, REQUESTS_LINE)
    yield engine
    engine.dispose()


def store(database: Engine, clock: ManualClock, session: str = "wrk_a", node: str = "node_1") -> OnceStore:
    return OnceStore(database, clock, node=node, session=session)


def claim(clock: ManualClock, request_id: str = "req_1", key_id: str = "key_1", digest: bytes = b"d" * 32) -> Claim:
    return Claim(key_id=key_id, digest=digest, body_digest=b"b" * 32, request_id=request_id, at=clock.unix_ms())


def test_it_is_claimed_once_and_its_answer_is_there_for_a_day(database: Engine, clock: ManualClock) -> None:
    one, other = store(database, clock), store(database, clock, "wrk_b")

    async def main() -> None:
        mine = claim(clock)
        assert await one.claim(mine) is None
        running = await other.claim(claim(clock, "req_2"))
        assert running == Kept(request_id="req_1", body_digest=b"b" * 32, done=False)
        await one.keep(mine, ANSWER)
        assert await other.claim(claim(clock, "req_3")) == ANSWER
        clock.advance(86_399)
        assert await other.claim(claim(clock, "req_4")) == ANSWER
        clock.advance(1)
        assert await other.claim(claim(clock, "req_5")) is None

    asyncio.run(main())


def test_names_belong_to_a_key(database: Engine, clock: ManualClock) -> None:
    async def main() -> None:
        its = store(database, clock)
        assert await its.claim(claim(clock)) is None
        assert await its.claim(claim(clock, "req_2", key_id="key_2")) is None
        assert await its.claim(claim(clock, "req_3", digest=b"e" * 32)) is None

    asyncio.run(main())


def test_what_is_released_may_be_made_again_and_only_its_own_is(database: Engine, clock: ManualClock) -> None:
    async def main() -> None:
        its = store(database, clock)
        mine = claim(clock)
        assert await its.claim(mine) is None
        await its.release(replace(mine, request_id="req_forged"))
        await its.keep(replace(mine, request_id="req_forged"), ANSWER)
        assert (await its.claim(claim(clock, "req_2"))) == Kept(request_id="req_1", body_digest=b"b" * 32, done=False)
        await its.release(mine)
        assert await its.claim(claim(clock, "req_2")) is None

    asyncio.run(main())


def test_of_many_at_once_one_has_it(database: Engine, clock: ManualClock) -> None:
    async def main() -> list[Kept | None]:
        stores = [store(database, clock, f"wrk_{number}") for number in range(4)]
        return await asyncio.gather(*(stores[number % 4].claim(claim(clock, f"req_{number}")) for number in range(16)))

    assert asyncio.run(main()).count(None) == 1


def test_what_a_dead_process_had_under_way_is_released_and_its_answers_stay(
    database: Engine, clock: ManualClock
) -> None:
    async def main() -> None:
        dead, living, far = (
            store(database, clock),
            store(database, clock, "wrk_b"),
            store(database, clock, node="node_2"),
        )
        for number, its in enumerate((dead, living, far)):
            assert await its.claim(claim(clock, digest=bytes([number]) * 32)) is None
        done = claim(clock, digest=b"x" * 32)
        assert await dead.claim(done) is None
        await dead.keep(done, ANSWER)
        assert release_dead(database, node="node_1", session="wrk_a") == 1
        assert await living.claim(claim(clock, "req_9", digest=bytes([0]) * 32)) is None
        assert await living.claim(claim(clock, "req_9", digest=b"x" * 32)) == ANSWER
        assert release_dead(database, node="node_1") == 2
        assert release_dead(database, node="node_1") == 0
        held = await living.claim(claim(clock, "req_9", digest=bytes([2]) * 32))
        assert held is not None
        assert not held.done

    asyncio.run(main())


def test_nothing_stays_longer_than_a_day(database: Engine, clock: ManualClock) -> None:
    its = store(database, clock)

    async def main() -> None:
        mine = claim(clock)
        assert await its.claim(mine) is None
        await its.keep(mine, ANSWER)

    asyncio.run(main())
    clock.advance(86_399)
    assert its.sweep() == 0
    clock.advance(1)
    assert its.sweep() == 1
    with database.connect() as connection:
        assert connection.execute(select(func.count()).select_from(idempotency)).scalar_one() == 0


def test_who_leaves_while_it_is_claimed_leaves_nothing(database: Engine, clock: ManualClock) -> None:
    its = store(database, clock)

    async def main() -> None:
        begun, goes_on = threading.Event(), threading.Event()

        def slowly() -> None:
            begun.set()
            goes_on.wait(10)

        # Others have all threads, so that it is claimed after its caller has left.
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        loop.run_in_executor(None, slowly)
        task = asyncio.create_task(its.claim(claim(clock)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        goes_on.set()
        await asyncio.to_thread(int)  # behind the claim
        await asyncio.to_thread(int)  # and behind its release
        assert await its.claim(claim(clock, "req_2")) is None

    asyncio.run(main())


def test_the_store_out_of_reach_refuses(tmp_path: Path, clock: ManualClock) -> None:
    engine = open_engine(tmp_path / "empty.db", "crash", busy_ms=10)
    its = store(engine, clock)

    async def main() -> None:
        with pytest.raises(Unavailable, match="only once"):
            await its.claim(claim(clock))
        await its.keep(claim(clock), ANSWER)
        await its.release(claim(clock))

    asyncio.run(main())
    engine.dispose()
