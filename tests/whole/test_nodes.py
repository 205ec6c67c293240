"""Nodes on one PostgreSQL: closed when nobody can know, and settled by nobody else when they die."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.store.postgres import Cluster
from tests.whole.gateway import Gateway, komeet
from tests.whole.mixed import Mixed, agree, answer, config
from tests.whole.processes import END, Caller, alive, at, children, serving, until
from tests.whole.upstream import HELLO, STREAM, Received, Step, Upstream, chunk, delta, whole

from komeet.store import tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def node(tmp_path: Path, name: str, upstream: Upstream, address: str, **ledger: object) -> Gateway:
    config = at(upstream, drain_seconds=5) | {"ledger": {"database": address, **ledger}}
    return Gateway(tmp_path / name, config)


@contextlib.contextmanager
def halted(cluster: Cluster) -> Generator[None]:
    cluster.halt()
    try:
        yield
    finally:
        cluster.go_on()


def test_without_a_database_no_node_starts_and_it_is_said_why(
    tmp_path: Path, upstream: Upstream, cluster: Cluster, address: str
) -> None:
    gateway = node(tmp_path, "a", upstream, address)
    gateway.data_dir.mkdir()
    config = gateway.data_dir / "a.yaml"
    config.write_text(f"ledger: {{database: '{address}'}}\n")
    cluster.stop()
    try:
        began = time.monotonic()
        refused = komeet("serve", "--port", "0", "--config", str(config), data_dir=gateway.data_dir)
        assert time.monotonic() - began < 30
    finally:
        cluster.start()
    assert refused.returncode == 1
    assert "`ledger.database` cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr
    with gateway:
        assert gateway.chat().status == 200


class Held:
    """A provider whose streams pause after the first word, until they may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, request: Received) -> Iterator[Step]:
        if not request.json.get("stream"):
            yield from whole(HELLO)
            return
        yield STREAM + chunk(delta("One "))
        self.begun.set()
        self.go_on.wait(60)
        yield END


@pytest.mark.parametrize("how", ["stopped", "crashed", "halted"])
def test_a_database_that_goes_away_closes_the_nodes_and_loses_nothing(
    tmp_path: Path, upstream: Upstream, cluster: Cluster, address: str, how: str
) -> None:
    answer = Held()
    upstream.answer = answer
    with node(tmp_path, "a", upstream, address, key_grace_seconds=1) as gateway:
        serving(gateway, 2)
        unknown = "sk-km-" + "x" * 43
        assert gateway.chat().status == 200
        assert gateway.chat(unknown).status == 401
        with contextlib.ExitStack() as stack:
            callers = [stack.enter_context(Caller(gateway, gateway.key)) for _ in range(4)]
            until(lambda: all(len(caller.answers) > 3 for caller in callers))
            pool = stack.enter_context(ThreadPoolExecutor(1))
            streamed = pool.submit(gateway.chat, stream=True)
            until(answer.begun.is_set)
            if how == "halted":
                stack.enter_context(halted(cluster))
            else:
                cluster.stop(signal.SIGINT if how == "stopped" else signal.SIGQUIT)
            gone = time.monotonic()
            until(lambda: all(caller.answers[-1][1] == 503 for caller in callers))
            assert gateway.chat(unknown).status == 503, "nobody can say that it is not known"
            late = [began for caller in callers for began, status, _ in caller.answers if status == 200]
            assert max(late) < gone + 1 + 1, "keys are believed for the grace, and a look"
            refusals = [took for caller in callers for _, status, took in caller.answers if status == 503]
            assert sorted(refusals)[len(refusals) * 9 // 10] < 0.4
            assert gateway.request("GET", "/healthz", key="").status == 200, "it lives"
            answer.go_on.set()
            assert streamed.result().body.endswith(b"data: [DONE]\n\n"), "what was under way is answered to its end"
        if how != "halted":
            cluster.start()
        until(lambda: gateway.chat().status == 200)
        assert gateway.chat(unknown).status == 401
        until(lambda: gateway.total().calls == len(upstream.received))
        until(lambda: gateway.total().held == 0)
        assert {status for caller in callers for _, status, _ in caller.answers} == {200, 503}
        assert gateway.audit() == []


def leased_by_node(gateway: Gateway) -> dict[str, int]:
    """What the sessions of each node that have not ended have leased, in all."""
    leases, sessions = tables.leases.c, tables.sessions.c
    chosen = (
        select(sessions.node, func.coalesce(func.sum(leases.amount), 0).label("amount"))
        .join_from(tables.sessions, tables.leases, leases.session == sessions.session, isouter=True)
        .where(sessions.ended_at.is_(None))
        .group_by(sessions.node)
    )
    with gateway.files.ledger.connect() as connection:
        return {row.node: int(row.amount) for row in connection.execute(chosen)}


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.long)])
def test_a_killed_node_is_settled_by_its_next_start_and_by_no_other(
    times: int, tmp_path: Path, upstream: Upstream, address: str
) -> None:
    """All its processes at once, as when its machine halts; what it had leased stays so, and the others go on."""
    upstream.answer = answer
    first, second = (Gateway(tmp_path / name, config(upstream, ledger={"database": address})) for name in ("a", "b"))
    with second:
        serving(second, 2)
        first.start()
        there = serving(first, 2)
        mine = (tmp_path / "a" / "node").read_text().strip()
        keys = [second.key, second.create_key("bounded", "--budget", "3")]
        for seed in range(times):
            with Mixed(first, keys, 20, seed), Mixed(second, keys, 10, seed) as other:
                until(lambda: leased_by_node(second).get(mine))
                for pid in children(first.process.pid):
                    os.kill(pid, signal.SIGKILL)
                first.kill()
                until(lambda: not any(alive(pid) for pid in there))  # noqa: B023
                before = other.done
                until(lambda: other.done > before + 50)  # noqa: B023
                assert leased_by_node(second)[mine] > 0
                second.process.send_signal(signal.SIGHUP)  # its workers are replaced, and settle their own
                until(lambda: second.errors().count("2 workers have the new configuration") == seed + 1)  # noqa: B023
                assert leased_by_node(second)[mine] > 0, "settled by another node, which cannot know"
            (tmp_path / "a" / "test.log").unlink()
            first.start()
            there = serving(first, 2)
            name = f"openai/plain-call-back-{seed}"
            assert first.chat(model=name, max_completion_tokens=10).status == 200
        first.stop()
    assert agree(first, upstream)["orphan"] > 0
    first.files.close()
