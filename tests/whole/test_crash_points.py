"""A process that ends at a named point of a call's life: at each there is one outcome, always the same."""

import contextlib
import http.client
import json
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.whole.gateway import Gateway
from tests.whole.mixed import COST, agree, answer, config
from tests.whole.processes import children, serving, until
from tests.whole.upstream import Answer, Close, Received, Step, Upstream

from komeet.ledger.port import State
from komeet.store import tables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc"),
]

NOTHING: list[tuple[str, str, int]] = []
LOST = [("orphan", "crash", 0)]
SETTLED = [("settled", "", COST["plain"])]
POINTS = {
    "before-reserve": (0, NOTHING),
    "after-reserve": (0, LOST),  # nobody notes what is about to be sent: what may have been sent is not free
    "after-dispatch": (1, LOST),
    "before-settle": (1, LOST),
    "after-settle": (1, SETTLED),
    "before-drain": (1, SETTLED),
    "before-commit": (1, SETTLED),
    "after-commit": (1, SETTLED),
}
"""By point: how often the provider was called, and what the ledger says."""
RECOVERY = ("recovery-replay", "recovery-orphans", "recovery-leases", "recovery-delete")


class Crashing:
    """A gateway that ends at the points which are armed."""

    def __init__(self, folder: Path, upstream: Upstream, ledger: dict[str, str]) -> None:
        self.armed = folder / "armed"
        self.armed.mkdir()
        environment = {"PYTHONPATH": str(Path(__file__).parent / "crash_points"), "KOMEET_CRASH": str(self.armed)}
        server = {"workers": 1, "drain_seconds": 5}
        self.upstream = upstream
        self.gateway = Gateway(folder / "data", config(upstream, server=server, ledger=ledger), environment)
        self.gateway.start()
        self.key = self.gateway.create_key("bounded", "--budget", "10")

    def arm(self, *points: str) -> None:
        for point in points:
            (self.armed / point).touch()

    def crashed(self) -> bool:
        return not any(self.armed.iterdir())

    def call(self, model: str) -> str:
        """Make a call; return what became of it."""
        try:
            answer = self.gateway.chat(self.key, model=f"openai/{model}", max_completion_tokens=10)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        return str(answer.status) if answer.status == 200 else f"{answer.status} {answer.body.decode()}"

    def ends(self, model: str) -> list[tuple[str, str, int]]:
        """Each outcome of the attempts at a model."""
        columns = tables.outcomes.c
        wanted = (
            select(columns.state, columns.reason, columns.cost)
            .join_from(tables.holds, tables.outcomes, tables.holds.c.attempt_id == columns.attempt_id)
            .where(tables.holds.c.model == model)
        )
        with self.gateway.files.ledger.connect() as connection:
            return [(row.state, row.reason, row.cost) for row in connection.execute(wanted)]

    def budget(self) -> tuple[int, int]:
        """What is posted and held of the key's budget, the newest."""
        with self.gateway.files.ledger.connect() as connection:
            newest = connection.execute(
                select(tables.budget_windows).order_by(tables.budget_windows.c.budget_id.desc()).limit(1)
            ).one()
            return newest.posted, newest.held

    def command(self, *words: str) -> str:
        done = self.gateway.command(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def accepted(self, model: str) -> int:
        return [request.json["model"] for request in self.upstream.received].count(model)


@pytest.fixture
def ledger(database: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the ledger is."""
    if database == "SQLite":
        return {}
    return {"database": request.getfixturevalue("address")}


@contextlib.contextmanager
def crashing(folder: Path, ledger: dict[str, str]) -> Generator[Crashing]:
    with Upstream(answer) as upstream:
        rig = Crashing(folder, upstream, ledger)
        try:
            yield rig
        finally:
            rig.gateway.stop()
        agree(rig.gateway, upstream)
        rig.gateway.files.close()
        assert "Traceback" not in rig.gateway.errors()


def ending(worker: int) -> Answer:
    """A provider whose answer never comes, since who asked is killed."""

    def answer(_: Received) -> Iterator[Step]:
        os.kill(worker, signal.SIGKILL)
        yield Close()

    return answer


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_a_worker_that_ends_at_any_point_leaves_the_outcome_of_that_point(
    tmp_path: Path, ledger: dict[str, str]
) -> None:
    with crashing(tmp_path, ledger) as rig:
        for point, (accepted, ends) in POINTS.items():
            (worker,) = serving(rig.gateway, 1)
            model = f"plain-call-{point}"
            if point == "after-dispatch":
                rig.upstream.answer = ending(worker)
            else:
                rig.arm(point)
            rig.call(model)
            until(rig.crashed)
            until(lambda: worker not in children(rig.gateway.process.pid))  # noqa: B023
            rig.upstream.answer = answer
            behind = rig.call(f"plain-call-behind-{point}")  # by another worker, which settles nothing: the server does
            assert behind == "200", point
            until(lambda: rig.ends(model) == ends)  # noqa: B023
            until(lambda: rig.ends(f"plain-call-behind-{point}") == SETTLED)  # noqa: B023
            assert rig.accepted(model) == accepted, point
            assert rig.ends(model) == ends, point
        resolve_orphans(rig)


def resolve_orphans(rig: Crashing) -> None:
    """Enter what the provider's log says of them, as an operator does: what they held is free again."""
    orphans = json.loads(rig.command("ledger", "orphans", "--json"))
    assert [f"plain-call-{point}" for point, (_, ends) in POINTS.items() if ends == LOST] == [
        orphan["model"] for orphan in orphans
    ]
    posted, held = rig.budget()
    assert held > 0
    cost = 0
    for orphan in orphans:
        was_sent = rig.accepted(orphan["model"]) == 1
        entered = ("--cost", f"0.{COST['plain']:09d}") if was_sent else ("--void",)
        rig.command("ledger", "resolve", orphan["attempt"], *entered, "--reason", "the provider's log")
        cost += COST["plain"] if was_sent else 0
    assert rig.budget() == (posted + cost, 0)
    assert cost == 2 * COST["plain"]
    assert rig.call("plain-call-afterwards") == "200"
    until(lambda: rig.ends("plain-call-afterwards") == SETTLED)
    until(lambda: rig.budget() == (COST["plain"] * len(rig.upstream.received), 0))


@pytest.mark.parametrize("database", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.long)])
def test_a_server_that_ends_while_it_settles_a_worker_is_followed_by_one_that_does(
    tmp_path: Path, ledger: dict[str, str]
) -> None:
    """The worker's journal has an outcome that the database has not: at each step of bringing it there."""
    with crashing(tmp_path, ledger) as rig:
        for point in RECOVERY:
            serving(rig.gateway, 1)
            rig.arm("before-drain", point)
            rig.call(f"plain-call-{point}")
            until(rig.crashed)
            rig.gateway.process.wait(20)
            rig.gateway.kill()
            (rig.gateway.data_dir / "test.log").unlink()
            rig.gateway.start()
            assert rig.ends(f"plain-call-{point}") == SETTLED, point
            assert rig.accepted(f"plain-call-{point}") == 1
            assert {state for _, state in rig.gateway.outcomes()} == {State.SETTLED}
