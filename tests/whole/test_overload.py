"""L4: at three times what it can take, Komeet serves nearly as many as ever, and tells the others at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.whole.callers import Callers
from tests.whole.gateway import Gateway
from tests.whole.processes import at
from tests.whole.upstream import HELLO, Received, Step, Upstream, whole

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(300)]

AT_ONCE = 20
"""Calls that the worker takes at a time, each of which takes a tenth of a second."""
SECONDS = 15


def slow(_: Received) -> Iterator[Step]:
    time.sleep(0.1)
    yield from whole(HELLO)


@pytest.mark.parametrize(("limit", "status"), [("max_calls", 503), ("max_calls_per_key", 429)])
def test_three_times_the_capacity(limit: str, status: int, tmp_path: Path) -> None:
    limits = {"workers": 1, limit: AT_ONCE}
    with Upstream(slow) as upstream, Gateway(tmp_path, at(upstream, **limits)) as gateway:
        full = Callers(gateway.port, gateway.key, SECONDS, connections=AT_ONCE).outcome()
        assert set(full.statuses) == {200}
        peak = full.of(200).count / SECONDS
        over = Callers(gateway.port, gateway.key, SECONDS, rate=3 * peak, connections=400).outcome()
        after = Callers(gateway.port, gateway.key, 5, connections=AT_ONCE).outcome()
        served, refused = over.of(200), over.of(status)
        goodput = served.count / SECONDS / peak
        print(
            f"{limit}: peak {peak:.0f} calls/s; at three times that {goodput:.0%} of it served; {refused.count} got"
            f" {status} in {refused.p50_ms:.1f} ms (p99 {refused.p99_ms:.1f}); after it, p99 is"
            f" {after.of(200).p99_ms:.0f} ms ({full.of(200).p99_ms:.0f} before)"
        )
        assert set(over.statuses) == {200, status}
        assert (over.broken, over.unsent, refused.unannounced) == (0, 0, 0)
        assert goodput >= 0.8
        assert refused.p50_ms <= 50
        assert refused.p99_ms <= 50
        assert set(after.statuses) == {200}, "it has recovered"
        assert after.of(200).p50_ms <= 2 * full.of(200).p50_ms
        assert gateway.audit() == []
