"""`test_processes` for longer: twenty kills of each kind, and fifty reloads, under load."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.whole.gateway import Gateway
from tests.whole.processes import Load, alive, at, books, children, paced, serving, serving_any, until, workers
from tests.whole.upstream import Upstream

KILLS = 20
RELOADS = 50
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc"),
]


def test_twenty_workers_are_killed(tmp_path: Path) -> None:
    chance = random.Random(20_261_125)
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        serving(gateway, 2)
        with Load(gateway, 50) as load:
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.05, 0.6))
                victim = chance.choice(serving(gateway, 2))
                os.kill(victim, signal.SIGKILL)
                before = load.done
                until(lambda: load.done > before + 50)  # noqa: B023
            serving(gateway, 2)
        assert load.refused == []
        books(gateway, upstream)


@pytest.mark.parametrize("whom", ["the supervisor", "all of them"])
def test_twenty_servers_are_killed(whom: str, tmp_path: Path) -> None:
    chance = random.Random(20_261_125)
    with Upstream(paced) as upstream:
        gateway = Gateway(tmp_path, at(upstream)).start()
        for _ in range(KILLS):
            there = serving(gateway, 2)
            with Load(gateway, 50):
                time.sleep(chance.uniform(0.05, 0.6))
                if whom == "all of them":
                    for pid in children(gateway.process.pid):
                        os.kill(pid, signal.SIGKILL)
                gateway.kill()
                until(lambda: not any(alive(pid) for pid in there), 5)  # noqa: B023
            (tmp_path / "test.log").unlink()
            gateway.start()
        gateway.stop()
        books(gateway, upstream)
        gateway.files.close()


def test_fifty_reloads_cut_nobody_and_refuse_nobody(tmp_path: Path) -> None:
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        serving(gateway, 2)
        with Load(gateway, 230, stream=200 / 230) as load:
            began, before = time.monotonic(), load.done
            for turn in range(1, RELOADS + 1):
                was = serving_any(gateway)
                gateway.process.send_signal(signal.SIGHUP)
                until(lambda: gateway.errors().count("2 workers have the new configuration") == turn, 60)  # noqa: B023
                until(lambda: not set(workers(gateway)) & set(was), 60)  # noqa: B023
            print(f"{(load.done - before) / (time.monotonic() - began):.0f} calls/s over {RELOADS} reloads")
        assert load.cut == []
        assert load.refused == []
        books(gateway, upstream)
