"""Several nodes on one PostgreSQL: one set of keys and money, revoked within a second, closed when nobody can know."""

import contextlib
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Self

import pytest
from tests.store.postgres import Cluster, find_binaries
from tests.whole.gateway import Gateway, komeet
from tests.whole.processes import at, children, paced, program, serving, until
from tests.whole.upstream import Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL 15 or newer here: install it, or the development tools (make sync-dev)")
    cluster = Cluster(binaries, durable=True)
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster: Cluster) -> str:
    return cluster.url(cluster.new_database())


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


class Caller:
    """Calls one node without a pause, and notes what it was answered and when."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.answers: list[tuple[float, int, float]] = []
        self._gateway = gateway
        self._key = key
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            status = self._gateway.chat(self._key).status
            self.answers.append((began, status, time.monotonic() - began))

    def last(self, status: int) -> float:
        """When the last call began that was answered so."""
        return max(began for began, found, _ in self.answers if found == status)


def test_nodes_share_keys_and_money_and_see_a_revocation_within_a_second(
    tmp_path: Path, upstream: Upstream, address: str
) -> None:
    upstream.answer = paced
    with node(tmp_path, "a", upstream, address) as first, node(tmp_path, "b", upstream, address) as second:
        serving(first, 2)
        serving(second, 2)
        key = first.create_key("shared")
        assert second.chat(key).status == 200
        assert first.chat(second.key).status == 200
        with contextlib.ExitStack() as stack:
            callers = [stack.enter_context(Caller(gateway, key)) for gateway in (first, second) for _ in range(4)]
            until(lambda: all(len(caller.answers) > 5 for caller in callers))
            revoked = second.command("key", "revoke", "shared")
            assert revoked.returncode == 0, revoked.stderr
            since = time.monotonic()
            until(lambda: all(caller.answers[-1][1] == 401 for caller in callers))
        assert max(caller.last(200) for caller in callers) < since + 1
        assert {status for caller in callers for _, status, _ in caller.answers} == {200, 401}
        until(lambda: first.total().calls == second.total().calls == len(upstream.received))
        assert first.audit() == []
    assert "out of reach" not in first.errors() + second.errors()


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


@pytest.mark.parametrize("how", ["stopped", "crashed", "halted"])
def test_a_database_that_goes_away_closes_the_nodes_and_loses_nothing(
    tmp_path: Path, upstream: Upstream, cluster: Cluster, address: str, how: str
) -> None:
    upstream.answer = paced
    with node(tmp_path, "a", upstream, address, key_grace_seconds=1) as gateway:
        serving(gateway, 2)
        unknown = "sk-km-" + "x" * 43
        assert gateway.chat().status == 200
        assert gateway.chat(unknown).status == 401
        with contextlib.ExitStack() as stack:
            callers = [stack.enter_context(Caller(gateway, gateway.key)) for _ in range(4)]
            until(lambda: all(len(caller.answers) > 3 for caller in callers))
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
        if how != "halted":
            cluster.start()
        until(lambda: gateway.chat().status == 200)
        assert gateway.chat(unknown).status == 401
        until(lambda: gateway.total().calls == len(upstream.received))
        until(lambda: gateway.total().held == 0)
        assert {status for caller in callers for _, status, _ in caller.answers} == {200, 503}
        assert gateway.audit() == []


def test_a_killed_node_is_settled_by_its_next_start_and_by_no_other(
    tmp_path: Path, upstream: Upstream, address: str
) -> None:
    upstream.answer = paced
    first, second = (node(tmp_path, name, upstream, address) for name in ("a", "b"))
    with second:
        serving(second, 2)
        with first:
            with Caller(first, second.key) as caller:
                until(lambda: len(caller.answers) > 3)
            workers = [pid for pid in children(first.process.pid) if program(pid) == "komeet.serving.worker"]
            assert len(workers) == 2
        first.start()
        serving(first, 2)
        assert first.chat().status == second.chat().status == 200
        first.stop()
        until(lambda: second.total().calls == len(upstream.received))
        assert second.audit() == []
