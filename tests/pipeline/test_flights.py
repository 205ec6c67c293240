"""The same calls at the same time: those who wait get the answer of the one that is under way, or go on."""

import asyncio

from komeet.cache.entry import Entry
from komeet.cache.policy import Policy
from komeet.core.clock import ManualClock
from komeet.pipeline.flights import Cache

ENTRY = Entry(
    request_id="req_1",
    provider="maker",
    model_served="m",
    streamed=False,
    include_usage=False,
    body=b"{}",
    created_at=0,
    expires_at=1,
)


class Nothing:
    """A store that has nothing."""

    async def find(self, tenant: str, digest: bytes, *, since: int) -> Entry | None:
        return None

    async def keep(self, tenant: str, digest: bytes, entry: Entry) -> None:
        return None


def cache(clock: ManualClock, wait: float = 30.0) -> Cache:
    return Cache(Nothing(), Policy(everywhere=True, wait=wait), clock)


def test_all_who_wait_get_the_answer() -> None:
    async def main() -> None:
        its = cache(ManualClock())
        flight = its.begin(b"d")
        assert its.under_way(b"d") is flight
        assert its.under_way(b"e") is None
        waiting = [asyncio.create_task(flight.wait(30)) for _ in range(5)]
        await asyncio.sleep(0)
        flight.land(ENTRY)
        its.end(b"d", flight)
        assert await asyncio.gather(*waiting) == [ENTRY] * 5
        assert await flight.wait(0) == ENTRY
        assert its.under_way(b"d") is None

    asyncio.run(main())


def test_where_it_fails_they_go_on() -> None:
    async def main() -> None:
        its = cache(ManualClock())
        flight = its.begin(b"d")
        waiting = asyncio.create_task(flight.wait(30))
        await asyncio.sleep(0)
        its.end(b"d", flight)
        assert await waiting is None

    asyncio.run(main())


def test_one_who_leaves_takes_nobody_along() -> None:
    async def main() -> None:
        flight = cache(ManualClock()).begin(b"d")
        leaving, staying = (asyncio.create_task(flight.wait(30)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        flight.land(ENTRY)
        assert await staying == ENTRY

    asyncio.run(main())


def test_nobody_waits_for_one_that_takes_too_long() -> None:
    async def main() -> None:
        clock = ManualClock()
        its = cache(clock)
        slow = its.begin(b"d")
        assert await slow.wait(0) is None
        clock.advance(30.1)
        assert its.under_way(b"d") is None
        newer = its.begin(b"d")
        its.end(b"d", slow)
        assert its.under_way(b"d") is newer

    asyncio.run(main())
