"""What the samples and the books say: whether anything grew, and whether every call is accounted for."""

import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Final

from msgspec import Struct
from sqlalchemy import func, select
from tests.whole.gateway import Gateway
from tests.whole.upstream import Upstream

from bench.soak.provider import kind_of
from bench.soak.watch import Sample
from komeet.ledger.port import State
from komeet.store import tables

_MOST_GROWTH: Final = 6.0
"""MiB an hour of all processes together: 1 in ten minutes."""
_REFUSED: Final = frozenset({"busy", "broken"})
"""Kinds that the provider refuses: they cost nothing."""


class Trend(Struct, frozen=True, kw_only=True):
    """One figure over the window that is judged."""

    name: str
    first: float
    """Mean of the first tenth of the window."""
    last: float
    """Mean of its last tenth."""
    an_hour: float
    """The slope of a line through all of it."""


def window(samples: Sequence[Sample]) -> list[Sample]:
    """Return the last half: no worker is replaced in it, and the last that were have met each kind of call by then."""
    end = samples[-1].at
    return [sample for sample in samples if sample.at >= end / 2]


def trend(name: str, samples: Sequence[Sample], figure: Callable[[Sample], float]) -> Trend:
    """Return how a figure goes over the samples."""
    at = [sample.at / 3600 for sample in samples]
    values = [figure(sample) for sample in samples]
    middle, mean = fmean(at), fmean(values)
    spread = sum((x - middle) ** 2 for x in at)
    slope = sum((x - middle) * (y - mean) for x, y in zip(at, values, strict=True)) / spread if spread else 0.0
    tenth = max(len(values) // 10, 1)
    return Trend(name=name, first=fmean(values[:tenth]), last=fmean(values[-tenth:]), an_hour=slope)


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """Return what should be flat: memory by role and in all, files, threads, tasks."""
    judged = window(samples)
    roles = dict.fromkeys(one.role for sample in judged for one in sample.processes)
    found = [trend(f"RSS {role}, MiB", judged, lambda s, role=role: s.total("rss", role)) for role in roles]
    found += [
        trend("RSS in all, MiB", judged, lambda s: s.total("rss")),
        # Depends on who else on the machine runs the same programs: shown, not judged.
        trend("PSS in all, MiB", judged, lambda s: s.total("pss")),
        trend("file descriptors", judged, lambda s: s.total("fds")),
        trend("threads", judged, lambda s: s.total("threads")),
        trend("asyncio tasks", judged, lambda s: s.gauges.get("komeet_tasks", 0.0)),
        trend("calls under way", judged, lambda s: s.callers),
    ]
    return found


def grown(found: Sequence[Trend]) -> list[str]:
    """Return what grew more than noise explains."""
    memory = next(each for each in found if each.name.startswith("RSS in all"))
    said = [] if memory.an_hour <= _MOST_GROWTH else [f"memory grows by {memory.an_hour:.1f} MiB an hour"]
    for name in ("file descriptors", "threads", "asyncio tasks"):
        one = next(each for each in found if each.name == name)
        if one.last > one.first * 1.5 + 20:
            said.append(f"{name}: {one.first:.0f} at first, {one.last:.0f} at last")
    return said


def books(gateway: Gateway, upstream: Upstream, complete: Sequence[str]) -> list[str]:
    """Compare the ledger with the provider's own log and with what callers got; return what is wrong."""
    end = time.monotonic() + 60
    while len(ended := gateway.outcomes()) < gateway.holds() and time.monotonic() < end:
        time.sleep(0.5)
    own = {model: state for model, state in ended if kind_of(model) not in _LOCAL}
    received = [request.json["model"] for request in upstream.received]
    accepted = {model for model in received if kind_of(model) not in _REFUSED}
    settled = {model for model, state in own.items() if state is State.SETTLED}
    voided = {model for model, state in own.items() if state is State.VOIDED}
    checks = {
        "holds without an outcome": gateway.holds() - len(ended),
        "calls with two outcomes": sum(1 for model, _ in ended if kind_of(model) not in _LOCAL) - len(own),
        "calls sent twice": len(received) - len(set(received)),
        "calls that the provider saw and the ledger did not": len(set(received) - set(own)),
        "calls that the provider accepted and the ledger voided": len(accepted & voided),
        "calls that were charged and never sent": len(settled - set(received)),
        "calls that the provider refused and the ledger charged": len({m for m in settled if kind_of(m) in _REFUSED}),
        "whole answers that were not settled": len(set(complete) - settled),
        "calls of which nobody knows what they cost": sum(
            1 for model, state in own.items() if state is State.ORPHAN and kind_of(model) not in _UNCERTAIN
        ),
    }
    return [f"{count} {what}" for what, count in checks.items() if count] + gateway.audit()


_LOCAL: Final = frozenset({"smollm2", "wordllama"})
_UNCERTAIN: Final = frozenset({"garbage", "reset", "stall", "leaves"})
"""Kinds of which a provider may have answered something that nobody read: their holds stay, as orphans."""


def held(gateway: Gateway) -> int:
    """Return what is held of all accounts, orphans included, in nano-dollars."""
    with gateway.files.ledger.connect() as connection:
        return connection.execute(select(func.coalesce(func.sum(tables.accounts.c.held), 0))).scalar_one()


def orphans(gateway: Gateway) -> int:
    """Return how many calls ended in doubt; their holds stay until somebody resolves them."""
    return sum(1 for _, state in gateway.outcomes() if state is State.ORPHAN)
