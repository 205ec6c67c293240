"""Runs Komeet under mixed traffic and faults for a long time. `python -m bench.soak --minutes 30 --out FOLDER`.

Plain, streamed, translated and embedded calls, bad input, callers that leave or read slowly or not at all; a provider
that refuses, breaks off, stalls, drips and talks nonsense; a reload every few minutes in the first third. The last half
is judged: the workers stay the same there, since a replaced one would hide its growth. At the end the ledger
is compared with the provider's own log. Needs Linux (/proc).
"""

import argparse
import csv
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from tests.whole.gateway import Gateway
from tests.whole.processes import serving, until, workers
from tests.whole.upstream import Upstream

from bench.soak import plot, verdict, watch
from bench.soak.provider import Faulty
from bench.soak.traffic import Traffic
from bench.soak.verdict import Trend
from bench.soak.watch import Sample

WORKERS: Final = 2
EVERY: Final = 10.0
"""Seconds between two samples."""
RELOADS: Final = 4
"""In the first third."""


class Report(Struct, frozen=True, kw_only=True):
    """All that came of it."""

    minutes: float
    rate: float
    seed: int
    calls: dict[str, int]
    skipped: int
    provider_calls: int
    reloads: list[float]
    trends: list[Trend]
    before: Sample
    """Without traffic, before it."""
    after: Sample
    """Without traffic, once all is settled and the workers are replaced once more."""
    orphans: int
    held: int
    wrong: list[str]
    """What did not come back as it had to."""
    problems: list[str]
    samples: list[Sample]


def configuration(upstream: Upstream) -> dict[str, Any]:
    """Return the gateway's configuration: short deadlines, so that what is late is late within the run."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    deadlines = {"connect": 5, "first_byte": 5, "idle": 4, "total": 50}
    # Offered by no bare name: a model without a provider's name before it is nobody's.
    there = {"api_key": "sk-upstream-canary", "deadlines": deadlines, "models": ["none"]}
    return {
        "server": {"workers": WORKERS, "write_seconds": 5, "quiet_seconds": 1, "header_seconds": 5},
        "providers": [
            {"name": "calm", "base_url": upstream.url, **there},
            {"name": "dead", "base_url": f"http://127.0.0.1:{nobody}/v1", **there},
        ],
    }


def sample(gateway: Gateway, began: float, traffic: Traffic | None) -> Sample:
    """Look at everything once."""
    gauges = watch.gauges(gateway)
    return Sample(
        at=time.monotonic() - began,
        processes=watch.processes(gateway),
        gauges=gauges,
        callers=0 if traffic is None else traffic.running,
        calls=0 if traffic is None else traffic.calls.total(),
        wrong=0 if traffic is None else len(traffic.wrong),
        load=watch.machine_load(),
    )


def reload(gateway: Gateway) -> None:
    """Replace the workers, and wait until it is done."""
    said = gateway.errors().count("have the new configuration")
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.errors().count("have the new configuration") > said, 60)


def drive(
    gateway: Gateway, traffic: Traffic, seconds: float, say: Callable[[Sample], None]
) -> tuple[list[Sample], list[float]]:
    """Sample while the traffic lasts, and reload in its first third; return the samples, and when it was reloaded."""
    began = time.monotonic()
    due = [seconds / 3 * turn / (RELOADS + 1) for turn in range(1, RELOADS + 1)]
    found: list[Sample] = []
    reloads: list[float] = []
    turn = 0
    while (now := time.monotonic() - began) < seconds:
        if len(reloads) < len(due) and now >= due[len(reloads)]:
            reloads.append(now)
            reload(gateway)
        found.append(sample(gateway, began, traffic))
        say(found[-1])
        turn += 1
        time.sleep(max(began + turn * EVERY - time.monotonic(), 0))
    return found, reloads


def quiet(gateway: Gateway) -> Sample:
    """Wait until nothing is under way and the workers are new ones; return how it looks then."""
    until(lambda: watch.gauges(gateway).get("komeet_calls_running") == 0, 60)
    old = workers(gateway)
    reload(gateway)
    until(lambda: not set(workers(gateway)) & set(old), 60)
    return sample(gateway, time.monotonic(), None)


def run(minutes: float, rate: float, seed: int, out: Path, *, embedded: bool) -> Report:
    """Run it all; what it writes is in `out`."""
    with Upstream(Faulty().answer) as upstream, Gateway(out / "data", configuration(upstream)) as gateway:
        serving(gateway, WORKERS)
        before = sample(gateway, time.monotonic(), None)
        with Traffic(gateway.port, gateway.key, rate, seed, embedded=embedded) as traffic:
            samples, reloads = drive(gateway, traffic, minutes * 60, _say)
        after = quiet(gateway)
        found = verdict.trends(samples)
        problems = verdict.grown(found) + verdict.books(gateway, upstream, traffic.complete)
        return Report(
            minutes=minutes,
            rate=rate,
            seed=seed,
            calls=dict(traffic.calls.most_common()),
            skipped=traffic.skipped,
            provider_calls=len(upstream.received),
            reloads=reloads,
            trends=found,
            before=before,
            after=after,
            orphans=verdict.orphans(gateway),
            held=verdict.held(gateway),
            wrong=traffic.wrong[:200],
            problems=problems + ([f"{len(traffic.wrong)} answers were wrong"] if traffic.wrong else []),
            samples=samples,
        )


def _say(one: Sample) -> None:
    roles = ", ".join(f"{p.role} {p.pss:.0f} MiB {p.fds} fds" for p in one.processes)
    tasks = one.gauges.get("komeet_tasks", 0)
    print(
        f"{one.at:6.0f} s  {one.calls} calls, {one.callers} under way, {one.wrong} wrong, {tasks:.0f} tasks; {roles}",
        flush=True,
    )


def write(report: Report, out: Path) -> None:
    """Write `soak.json`, and `soak.csv` with a line for each process of each sample."""
    (out / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    with (out / "soak.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["at", "role", "pid", "rss_mib", "pss_mib", "fds", "threads", "tasks", "under_way", "calls"])
        for one in report.samples:
            for process in one.processes:
                row = (f"{one.at:.1f}", process.role, process.pid, f"{process.rss:.2f}", f"{process.pss:.2f}")
                rest = (process.fds, process.threads, one.gauges.get("komeet_tasks", 0), one.callers, one.calls)
                table.writerow([*row, *rest])


def text(report: Report) -> str:
    """Return what there is to say, for people."""
    lines = [f"{'':24}{'first':>9}{'last':>9}{'an hour':>10}"]
    lines += [f"{one.name:24}{one.first:9.1f}{one.last:9.1f}{one.an_hour:+10.2f}" for one in report.trends]
    lines.append(
        f"{sum(report.calls.values())} calls, {report.provider_calls} of them to the provider; "
        f"{len(report.wrong)} wrong, {report.skipped} not begun; {report.orphans} orphans"
    )
    rest = (("before", report.before), ("after", report.after))
    lines += [
        f"{when} the traffic: {one.total('fds'):.0f} file descriptors, {one.gauges.get('komeet_tasks', 0):.0f} tasks, "
        f"{one.total('threads'):.0f} threads, {one.total('pss'):.0f} MiB"
        for when, one in rest
    ]
    return "\n".join([*lines, *(f"PROBLEM: {problem}" for problem in report.problems), *report.wrong[:10]])


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=30, help="calls begun a second (default: 30)")
    parser.add_argument("--seed", type=int, default=20_261_125)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything is written")
    parser.add_argument("--no-embedded", action="store_true", help="leave the embedded models alone")
    parser.add_argument("--redraw", action="store_true", help="run nothing: judge and draw again what is in FOLDER")
    parser.add_argument("--no-plot", action="store_true", help="draw no picture, which needs matplotlib")
    given = parser.parse_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.redraw:
        report = msgspec.json.decode((given.out / "soak.json").read_bytes(), type=Report)
        report = replace(report, trends=verdict.trends(report.samples))
    else:
        report = run(given.minutes, given.rate, given.seed, given.out, embedded=not given.no_embedded)
        write(report, given.out)
    if not given.no_plot:
        plot.draw(report.samples, report.reloads, given.out / "soak.svg")
    print(text(report))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
