"""Not a byte more can be written: calls that cost money are refused, nothing is damaged, and it goes on by itself."""

import json
import resource
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from tests.whole.gateway import Gateway
from tests.whole.mixed import COST, agree, answer, config
from tests.whole.processes import serving, until
from tests.whole.upstream import Upstream

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set by prlimit"),
]
NO_LIMIT = resource.RLIM_INFINITY


def spend(gateway: Gateway, key: str, name: str) -> int:
    return gateway.chat(key, model=f"openai/plain-call-{name}", max_completion_tokens=10).status


def test_a_full_disk_refuses_what_costs_money_and_all_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with Upstream(answer) as upstream:
        gateway = Gateway(tmp_path, config(upstream)).start()
        workers = serving(gateway, 2)
        bounded = gateway.create_key("bounded", "--budget", "5")
        keys = {"bounded": bounded, "free": gateway.key}
        for name, key in keys.items():
            assert spend(gateway, key, f"{name}-before") == 200
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (32_768, NO_LIMIT))
        statuses: list[tuple[str, int, float]] = []

        def all_refused() -> bool:
            for name, key in keys.items():
                began = time.monotonic()
                status = spend(gateway, key, f"{name}-{len(statuses)}")
                statuses.append((name, status, time.monotonic() - began))
            return [status for _, status, _ in statuses[-20:]] == [503] * 20

        until(all_refused, 60)
        assert {status for _, status, _ in statuses} == {200, 503}
        answered = sum(status == 200 for _, status, _ in statuses)
        assert len(upstream.received) == answered + 2, "what was refused was sent nevertheless"
        assert gateway.request("GET", "/healthz", key="").status == 200
        refused = sorted(took for _, status, took in statuses if status == 503)
        assert refused[len(refused) // 2] < 0.3
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
        for name, key in keys.items():
            until(lambda: spend(gateway, key, f"{name}-{time.monotonic_ns()}") == 200)  # noqa: B023
        assert serving(gateway, 2) == workers, "nobody has died of it"
        gateway.stop()
        ended = agree(gateway, upstream)
        assert set(ended) <= {"settled", "voided"}
        assert gateway.total().cost == COST["plain"] * len(upstream.received)
        gateway.files.close()
        for name in ("komeet.db", "requests.db"):
            with closing(sqlite3.connect(tmp_path / name)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        said = gateway.errors()
        assert "Traceback" not in said
        print(Counter((name, status) for name, status, _ in statuses), json.dumps(said.splitlines()[-12:], indent=1))
