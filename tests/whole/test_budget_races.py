"""500 calls at once against a budget with room for ten, from four workers and from three nodes."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.whole.fleet import Layout, call_at_once, fleet
from tests.whole.gateway import Gateway
from tests.whole.processes import until
from tests.whole.upstream import HELLO, Received, Step, Upstream, usage, whole

from komeet.store import tables

MODEL = "openai/plain-call-race"
CALLS = 500
pytestmark = pytest.mark.timeout(300)
SQLITE = pytest.param(Layout(nodes=1, workers=4, shared=False), id="four workers, SQLite")
WORKERS = pytest.param(Layout(nodes=1, workers=4, shared=True), id="four workers, PostgreSQL", marks=pytest.mark.slow)
NODES = pytest.param(
    Layout(nodes=3, workers=2, shared=True), id="three nodes with two workers each, PostgreSQL", marks=pytest.mark.slow
)


@pytest.fixture
def nodes(
    layout: Layout, upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[list[Gateway]]:
    address = request.getfixturevalue("address") if layout.shared else ""
    with fleet(tmp_path, upstream, layout, address) as running:
        yield running


def held_by_a_call(gateway: Gateway) -> int:
    """What a call holds: found by making one."""
    assert call_at_once([gateway], gateway.key, MODEL, 1) == [200]
    until(lambda: gateway.holds() == 1)
    with gateway.files.ledger.connect() as connection:
        return int(connection.execute(select(tables.holds.c.amount)).scalar_one())


def spent(gateway: Gateway) -> tuple[int, int, int]:
    """What is posted, held and leased of the newest budget."""
    with gateway.files.ledger.connect() as connection:
        rows = connection.execute(select(tables.budget_windows).order_by(tables.budget_windows.c.budget_id))
        row = rows.all()[-1]
        return row.posted, row.held, row.leased


@pytest.mark.parametrize("layout", [SQLITE, WORKERS, NODES])
def test_exactly_ten_of_500_are_sent_and_otherwise_less_than_one_is_left(
    nodes: list[Gateway], upstream: Upstream
) -> None:
    first = nodes[0]
    held = held_by_a_call(first)
    limit = 10 * held

    # The provider bills what was held: 1 000 n$ for each token in, 10 000 for each of 10 out.
    exact = HELLO | {"usage": usage((held - 100_000) // 1_000, 10)}
    upstream.answer = lambda _: whole(exact)
    upstream.received.clear()
    ten = first.create_key("ten", "--budget", f"0.{limit:09d}")
    assert Counter(call_at_once(nodes, ten, MODEL, CALLS)) == {200: 10, 402: CALLS - 10}
    assert len(upstream.received) == 10
    until(lambda: spent(first) == (limit, 0, 0))
    assert call_at_once(nodes, ten, MODEL, len(nodes)) == [402] * len(nodes)

    # It bills anything up to that: what is left over is spent by those who come later.
    chance = random.Random(1)

    def any_cost(_: Received) -> list[Step]:
        return whole(HELLO | {"usage": usage(chance.randint(0, (held - 100_000) // 1_000), chance.randint(0, 10))})

    upstream.answer = any_cost
    upstream.received.clear()
    more = first.create_key("more", "--budget", f"0.{limit:09d}")
    statuses: Counter[int] = Counter()
    while (last := Counter(call_at_once(nodes, more, MODEL, CALLS)))[200]:
        statuses += last
        assert sum(spent(first)) <= limit
        until(lambda: spent(first)[1:] == (0, 0))
    assert statuses.keys() == {200, 402}
    assert statuses[200] == len(upstream.received) > 10
    posted, _, _ = spent(first)
    assert limit - held < posted <= limit
    assert first.audit() == []
