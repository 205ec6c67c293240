"""Answers are there for as long as they are good, for whose they are, within a bound, and never in anybody's way."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select, update
from tests.store.postgres import BOTH

from komeet.cache.entry import Entry
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.store.cache_table import cached_answers
from komeet.store.engine import Databases, open_cache
from komeet.store.response_cache import ResponseCache
from komeet.store.schema import CACHE_LINE, bring_to_head
from komeet.store.sqlite import open_engine
from komeet.store.transactions import writing

DATABASES = BOTH
DIGEST = b"d" * 32
ROOM = 1 << 20


@pytest.fixture
def database(tmp_path: Path, databases: Databases) -> Iterator[Engine]:
    engine = open_cache(tmp_path, databases)
    bring_to_head(engine, CACHE_LINE)
    yield engine
    engine.dispose()


def entry(clock: ManualClock, body: bytes = b"{}", seconds: int = 60) -> Entry:
    now = clock.unix_ms()
    return Entry(
        request_id="req_1",
        provider="openai",
        model_served="gpt-5.2",
        streamed=True,
        include_usage=True,
        body=body,
        losses=b"top_k",
        usage=Usage(input=3, output=4),
        cost=Nano(70),
        created_at=now,
        expires_at=now + seconds * 1000,
    )


def find(cache: ResponseCache, tenant: str = "key a", digest: bytes = DIGEST, since: int = 0) -> Entry | None:
    return asyncio.run(cache.find(tenant, digest, since=since))


def keep(cache: ResponseCache, answer: Entry, tenant: str = "key a", digest: bytes = DIGEST) -> None:
    asyncio.run(cache.keep(tenant, digest, answer))


def rows(database: Engine) -> int:
    with database.connect() as connection:
        return connection.execute(select(func.count()).select_from(cached_answers)).scalar_one()


def test_an_answer_comes_back_as_it_was_until_it_expires(database: Engine, clock: ManualClock) -> None:
    cache = ResponseCache(database, clock, most_bytes=ROOM)
    assert find(cache) is None
    kept = entry(clock, b"{\xff\0}")
    keep(cache, kept)
    clock.advance(59.9)
    assert find(cache) == kept
    assert find(cache, since=kept.created_at) is None
    clock.advance(0.1)
    assert find(cache) is None
    assert (cache.sweep(), rows(database)) == (1, 0)


def test_it_belongs_to_a_tenant(database: Engine, clock: ManualClock) -> None:
    """S5: even under the same digest."""
    cache = ResponseCache(database, clock, most_bytes=ROOM)
    keep(cache, entry(clock, b"of a"))
    assert find(cache, "key b") is None
    keep(cache, entry(clock, b"of b"), "key b")
    found, other = find(cache), find(cache, "key b")
    assert found is not None
    assert other is not None
    assert (found.body, other.body) == (b"of a", b"of b")


def test_a_newer_answer_takes_the_place_of_the_old_one(database: Engine, clock: ManualClock) -> None:
    cache = ResponseCache(database, clock, most_bytes=ROOM)
    keep(cache, entry(clock))
    newer = replace(entry(clock), request_id="req_2")
    keep(cache, newer)
    assert find(cache) == newer
    assert rows(database) == 1


def test_the_oldest_go_where_there_is_no_room(database: Engine, clock: ManualClock) -> None:
    cache = ResponseCache(database, clock, most_bytes=100_000)
    for number in range(300):
        clock.advance(0.001)
        keep(cache, entry(clock, bytes(1_000)), digest=b"%032d" % number)
    with database.connect() as connection:
        used = connection.execute(select(func.sum(cached_answers.c.size))).scalar_one()
    assert 80_000 < used <= 100_000 * 17 // 16
    there = [find(cache, digest=b"%032d" % number) is not None for number in range(300)]
    assert there == sorted(there)
    assert there[-1]


def test_what_is_larger_than_all_the_room_is_not_kept(database: Engine, clock: ManualClock) -> None:
    cache = ResponseCache(database, clock, most_bytes=1_000)
    keep(cache, entry(clock, bytes(1_000)))
    assert rows(database) == 0


def test_what_cannot_be_read_is_not_there(database: Engine, clock: ManualClock) -> None:
    cache = ResponseCache(database, clock, most_bytes=ROOM)
    keep(cache, entry(clock))
    with writing(database) as connection:
        connection.execute(update(cached_answers).values(answer=b"\xc1"))
    assert find(cache) is None


def test_many_who_keep_the_same_at_once_keep_one(database: Engine, clock: ManualClock) -> None:
    caches = [ResponseCache(database, clock, most_bytes=ROOM) for _ in range(4)]

    async def main() -> None:
        await asyncio.gather(*(caches[number % 4].keep("key a", DIGEST, entry(clock)) for number in range(16)))

    asyncio.run(main())
    assert rows(database) == 1
    assert find(caches[0]) is not None


def test_a_database_that_fails_is_left_alone_for_a_while(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(tmp_path / "empty.db", "crash", busy_ms=10)
    cache = ResponseCache(engine, clock, most_bytes=ROOM)
    with caplog.at_level(logging.WARNING):
        assert find(cache) is None
        keep(cache, entry(clock))
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["response cache"]
    bring_to_head(engine, CACHE_LINE)
    keep(cache, entry(clock))
    assert find(cache) is None
    clock.advance(5)
    keep(cache, entry(clock))
    assert find(cache) is not None
    engine.dispose()
