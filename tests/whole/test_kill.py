"""`kill -9` of workers, of the supervisor, of all at once, in the middle of calls of every kind, with budgets.

The provider's own log and the ledger agree, call by call; what was held is free again, or named as an orphan's; nothing
is there twice.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.whole.gateway import Gateway
from tests.whole.mixed import Mixed, agree, answer, config
from tests.whole.processes import alive, children, serving, until
from tests.whole.upstream import Upstream

from komeet.core.errors import BudgetExceeded

CALLERS = 30
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc"),
]


def budgets(gateway: Gateway) -> list[str]:
    """Three keys: one in an organisation, one that is exhausted time and again, one without a budget of its own."""
    for words in (
        ("org", "create", "acme"),
        ("budget", "create", "20", "--org", "acme", "--per", "month", "--zone", "Europe/Amsterdam"),
        ("budget", "create", "50", "--provider", "openai", "--per", "day", "--zone", "America/New_York"),
        ("budget", "create", "30", "--model", "openai/*", "--per", "hour"),
    ):
        done = gateway.command(*words)
        assert done.returncode == 0, done.stderr
    return [
        gateway.key,
        gateway.create_key("acme's", "--org", "acme"),
        gateway.create_key("tight", "--budget", "0.002"),
    ]


class Kills:
    """A gateway whose processes are killed under load, one after the other."""

    def __init__(self, gateway: Gateway, upstream: Upstream, seed: int) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.chance = random.Random(seed)
        self.keys = budgets(gateway)
        self.counted: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def run(self, kills: int) -> None:
        """Kill, and compare the books after each end of the server."""
        while kills > 0:
            there = serving(self.gateway, 2)
            with Mixed(self.gateway, self.keys, CALLERS, self.chance.randrange(1 << 30)) as load:
                while (whom := self.chance.choice(("a worker", "the supervisor", "all"))) == "a worker" and kills > 1:
                    time.sleep(self.chance.uniform(0.05, 0.6))
                    victim = self.chance.choice(serving(self.gateway, 2))
                    os.kill(victim, signal.SIGKILL)
                    self._count(whom)
                    kills -= 1
                    before = load.done
                    until(lambda: load.done > before + CALLERS)  # noqa: B023
                    there = serving(self.gateway, 2)
                time.sleep(self.chance.uniform(0.05, 0.6))
                self._kill_server(whom, there)
                kills -= 1
            self.statuses += load.statuses
            (self.gateway.data_dir / "test.log").rename(self.gateway.data_dir / f"{kills}.log")
            self.gateway.start()
            done = self.gateway.command("key", "budget", "tight", "1" if kills % 3 else "0.002")
            assert done.returncode == 0, done.stderr

    def _kill_server(self, whom: str, there: list[int]) -> None:
        if whom == "all":
            for pid in children(self.gateway.process.pid):
                os.kill(pid, signal.SIGKILL)
        self.gateway.kill()
        self._count(whom)
        until(lambda: not any(alive(pid) for pid in there), 10)

    def _count(self, whom: str) -> None:
        self.counted[whom] += 1


@pytest.mark.parametrize(
    ("kills", "database"),
    [
        pytest.param(6, "SQLite", id="six kills"),
        pytest.param(100, "SQLite", id="a hundred kills, SQLite", marks=pytest.mark.long),
        pytest.param(100, "PostgreSQL", id="a hundred kills, PostgreSQL", marks=pytest.mark.long),
    ],
)
def test_every_call_that_the_provider_accepted_has_one_outcome(
    kills: int, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ledger = {"database": request.getfixturevalue("address")} if database == "PostgreSQL" else {}
    with Upstream(answer) as upstream:
        gateway = Gateway(tmp_path, config(upstream, ledger=ledger)).start()
        rig = Kills(gateway, upstream, seed=20_261_122)
        began = time.monotonic()
        rig.run(kills)
        gateway.stop()  # the last start has settled what the last kill left
        ended = agree(gateway, upstream)
        gateway.start()
        gateway.stop()
        assert agree(gateway, upstream) == ended, "another start changed something"
        gateway.files.close()
        said = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "Traceback" not in said
    assert rig.counted.total() == kills
    assert {200, BudgetExceeded.status} <= rig.statuses.keys()
    assert ended["settled"] > kills * 5
    assert ended["orphan"] > 0
    print(
        f"{kills} kills in {time.monotonic() - began:.0f} s: {dict(rig.counted)}; {len(upstream.received)} calls "
        f"accepted by the provider; attempts {dict(ended)}; answers {dict(rig.statuses)}"
    )
