"""A provider and a Komeet in front of it, for a whole module of tests."""

from collections.abc import Iterator

import pytest
from tests.store.postgres import Cluster, find_binaries
from tests.whole.gateway import Gateway, towards
from tests.whole.upstream import HELLO, Upstream, whole


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """The provider, as if it had just been started."""
    shared_upstream.answer = lambda _: whole(HELLO)
    shared_upstream.received.clear()
    shared_upstream.left = 0
    return shared_upstream


@pytest.fixture(scope="module")
def gateway(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Komeet; what it wrote is searched for tracebacks and secrets when it ends."""
    with Gateway(tmp_path_factory.mktemp("komeet"), towards(shared_upstream.url)) as running:
        yield running
    said = running.errors()
    assert "sk-upstream-canary" not in said
    assert running.key not in said


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that may be stopped and killed, and keeps what it said it would."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL 15 or newer here: install it, or the development tools (make sync-dev)")
    cluster = Cluster(binaries, durable=True)
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster: Cluster) -> str:
    """Of an empty database in it."""
    return cluster.url(cluster.new_database())
