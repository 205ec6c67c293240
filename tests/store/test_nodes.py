"""Nodes: each says that it is there, knows how many are, and does not count those that have gone."""

import asyncio
import logging
import stat
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from tests.store.postgres import BOTH
from tests.store.reach import out_of_reach

from komeet.core.clock import ManualClock
from komeet.store.nodes import Heartbeat, living, node_of
from komeet.store.tables import nodes
from komeet.store.transactions import writing

DATABASES = BOTH
POSTGRESQL = pytest.mark.parametrize("database_kind", ["postgresql"])


def test_a_data_directory_names_its_node_once(tmp_path: Path, clock: ManualClock) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(node_of(tmp_path, clock))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) == {node_of(tmp_path, clock)}
    assert len(names) == 8
    assert names[0].startswith("node_")
    assert [file.name for file in tmp_path.iterdir()] == ["node"]
    assert stat.S_IMODE((tmp_path / "node").stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert node_of(other, clock) != names[0]


def test_one_node_alone(engine: Engine, clock: ManualClock) -> None:
    beat = Heartbeat(engine, clock, "node_1")
    assert beat.count == 1
    assert beat.beat()
    assert beat.count == 1
    with engine.connect() as connection:
        rows = connection.execute(select(nodes.c.node)).scalars().all()
    assert rows == ([] if engine.dialect.name == "sqlite" else ["node_1"]), "a file has one node by its lock"


@POSTGRESQL
def test_those_that_speak_count_and_those_that_are_silent_do_not(
    engine: Engine, clock: ManualClock, another: Callable[[], Engine]
) -> None:
    beats = [Heartbeat(another(), clock, f"node_{number}") for number in range(3)]
    second_worker = Heartbeat(another(), clock, "node_0")
    for beat in (*beats, second_worker, beats[0]):
        assert beat.beat()
    assert beats[0].count == 3
    with writing(engine) as connection:  # it fell silent six seconds ago
        connection.execute(update(nodes).where(nodes.c.node == "node_1").values(seen_at=nodes.c.seen_at - 6_000))
    assert beats[0].beat()
    assert beats[0].count == 2
    beats[2].leave()
    assert beats[0].beat()
    assert beats[0].count == 1
    assert beats[2].beat()
    assert beats[2].count == 2
    with engine.connect() as connection:
        assert len(living(connection)) == 2
        times = select(nodes.c.started_at, nodes.c.seen_at).where(nodes.c.node == "node_0")
        started, seen = connection.execute(times).one()
        assert 0 < started < seen


@POSTGRESQL
def test_out_of_reach_the_last_count_stays(
    engine: Engine, clock: ManualClock, another: Callable[[], Engine], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (Heartbeat(another(), clock, name) for name in ("a", "b"))
    assert first.beat()
    assert second.beat()
    with out_of_reach(engine):
        assert not second.beat()
        assert not second.beat()
        second.leave()
    assert second.count == 2
    assert [record.levelno for record in caplog.records if "nodes:" in record.message] == [logging.ERROR]
    assert second.beat()


@POSTGRESQL
def test_the_watch_says_it_by_itself(engine: Engine, clock: ManualClock) -> None:
    async def main() -> None:
        beat = Heartbeat(engine, clock, "node_1", every=0.01)
        tasks: list[asyncio.Task[None]] = []

        def spawn(name: str, work: Coroutine[Any, Any, None]) -> None:
            tasks.append(asyncio.create_task(work, name=name))

        await beat.start(spawn)
        seen: set[int] = set()
        async with asyncio.timeout(30):
            while len(seen) < 3:
                seen.update(await asyncio.to_thread(self_seen, engine))
                await asyncio.sleep(0.005)
        await beat.stop()
        await asyncio.gather(*tasks)

    def self_seen(engine: Engine) -> list[int]:
        with engine.connect() as connection:
            return list(connection.execute(select(nodes.c.seen_at)).scalars())

    asyncio.run(main())
