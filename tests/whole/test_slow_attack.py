"""F1: connections that say nothing, and headers and bodies that drip, are ended in time, and others are served."""

import sys
from pathlib import Path

import pytest
from tests.whole.callers import Callers
from tests.whole.gateway import Gateway
from tests.whole.processes import at, serving
from tests.whole.slow_attack import Attackers, Lives
from tests.whole.upstream import Upstream

SLACK = 5.0
"""Seconds that a busy machine may take to notice; a drip that put its deadline off would live as long as the attack."""


def ended_within(lives: Lives, seconds: float, *, told: bool) -> None:
    """Each was ended in that time, and none is older that is still there."""
    assert lives.count > 0
    assert lives.refused == 0
    assert lives.longest < seconds + SLACK, lives
    assert lives.alive < seconds + SLACK, lives
    assert lives.told == (lives.count if told else 0)


@pytest.mark.slow
def test_attackers_are_ended_in_time_and_callers_are_served(tmp_path: Path) -> None:
    limits = {"header_seconds": 1, "body_seconds": 1, "min_body_rate": 1000, "workers": 1}
    with Upstream() as upstream, Gateway(tmp_path, at(upstream, **limits)) as gateway:
        attack = Attackers(gateway.port, gateway.key, 8 + SLACK, {"silent": 50, "head": 50, "body": 20})
        callers = Callers(gateway.port, gateway.key, 8, rate=20, connections=20)
        came = callers.outcome()
        assert set(came.statuses) == {200}
        assert came.broken == 0
        lives = attack.outcome()
        ended_within(lives["silent"], 1, told=False)
        ended_within(lives["head"], 1 + 5, told=True)  # after a refusal, what it still sends is read for up to 5 s
        ended_within(lives["body"], 1 + 5, told=True)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_twelve_hundred_attackers_make_calls_no_more_than_twice_as_slow(tmp_path: Path) -> None:
    """With the default limits."""
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        serving(gateway, 2)
        Callers(gateway.port, gateway.key, 5, rate=50, connections=50).outcome()  # warm
        before = Callers(gateway.port, gateway.key, 30, rate=50, connections=50).outcome()
        attack = Attackers(gateway.port, gateway.key, 40, {"silent": 500, "head": 500, "body": 200})
        during = Callers(gateway.port, gateway.key, 30, rate=50, connections=50).outcome()
        lives = attack.outcome()
        print(f"p99 {before.of(200).p99_ms:.1f} ms, and {during.of(200).p99_ms:.1f} ms under attack; {lives}")
        assert set(during.statuses) == {200}
        assert during.broken == 0
        ended_within(lives["silent"], 10, told=False)
        ended_within(lives["head"], 10 + 5, told=True)
        ended_within(lives["body"], 10 + 5, told=True)
        assert during.of(200).p99_ms <= 2 * before.of(200).p99_ms
