"""Not a byte more can be written: calls that cost money are refused, nothing is damaged, and it goes on by itself."""

import resource
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from tests.whole.gateway import Gateway
from tests.whole.mixed import COST, agree, answer, config
from tests.whole.processes import serving, until
from tests.whole.upstream import Upstream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set by prlimit"),
]
NO_LIMIT = resource.RLIM_INFINITY


class Callers:
    """Two keys, one with a budget, with which calls are made one after the other."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.keys = {"bounded": gateway.create_key("bounded", "--budget", "5"), "free": gateway.key}
        self.statuses: list[int] = []
        self.refusals: list[float] = []
        """How many seconds each 503 took."""

    def call(self) -> list[int]:
        """Make a call with each key."""
        for name, key in self.keys.items():
            began = time.monotonic()
            model = f"openai/plain-call-{name}-{len(self.statuses)}"
            status = self.gateway.chat(key, model=model, max_completion_tokens=10).status
            self.statuses.append(status)
            if status == 503:
                self.refusals.append(time.monotonic() - began)
        return self.statuses[-len(self.keys) :]

    def until_all_are_refused(self) -> None:
        until(lambda: self.call() and self.statuses[-8:] == [503] * 8, 60)
        assert set(self.statuses) == {200, 503}
        assert sorted(self.refusals)[len(self.refusals) // 2] < 0.3

    def until_all_are_answered(self) -> None:
        until(lambda: self.call() == [200, 200])


def books(callers: Callers, upstream: Upstream) -> None:
    """What was refused was not sent, what was sent is in the books; the gateway has ended."""
    gateway = callers.gateway
    assert callers.statuses.count(200) == len(upstream.received), "what was refused was sent nevertheless"
    assert set(agree(gateway, upstream)) <= {"settled", "voided"}
    assert gateway.total().cost == COST["plain"] * len(upstream.received)
    gateway.files.close()
    assert "Traceback" not in gateway.errors()


def test_a_full_disk_refuses_what_costs_money_and_all_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with Upstream(answer) as upstream:
        gateway = Gateway(tmp_path, config(upstream)).start()
        workers = serving(gateway, 2)
        callers = Callers(gateway)
        assert callers.call() == [200, 200]
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (32_768, NO_LIMIT))
        callers.until_all_are_refused()
        assert gateway.request("GET", "/healthz", key="").status == 200
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
        callers.until_all_are_answered()
        assert serving(gateway, 2) == workers, "nobody has died of it"
        gateway.stop()
        books(callers, upstream)
        for name in ("komeet.db", "requests.db"):
            with closing(sqlite3.connect(tmp_path / name)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FULL: LiteralString = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON holds EXECUTE FUNCTION full_disk();
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON outcomes EXECUTE FUNCTION full_disk();
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON leases EXECUTE FUNCTION full_disk();
"""


def test_a_postgresql_that_is_full_is_the_same(tmp_path: Path, address: str) -> None:
    """What such a server says, said by triggers."""
    with Upstream(answer) as upstream, closing(psycopg.connect(address, autocommit=True)) as operator:
        ledger = {"database": address, "key_grace_seconds": 1}
        gateway = Gateway(tmp_path, config(upstream, ledger=ledger)).start()
        workers = serving(gateway, 2)
        callers = Callers(gateway)
        assert callers.call() == [200, 200]
        operator.execute(FULL)
        callers.until_all_are_refused()
        assert gateway.request("GET", "/healthz", key="").status == 200
        operator.execute("DROP FUNCTION full_disk CASCADE")
        callers.until_all_are_answered()
        assert serving(gateway, 2) == workers
        gateway.stop()
        books(callers, upstream)
