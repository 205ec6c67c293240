"""Measures what Komeet adds to a call, beside nginx in the same run. `python -m bench.overhead --help`.

Both stand in front of the same upstream on this machine and do the same for the caller: check a key, set the
provider's, pass the call on over a kept-alive connection. In alternating rounds each is loaded with whole answers,
then with streams; CPU is user and system time of its whole process tree, per request or event, background work after
the load included.
Komeet runs with its defaults. Every answer is checked; a wrong one fails the run.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from bench import nginx, profiling
from bench.call import WrongAnswer, check
from bench.gateway import Command, Gateway, Komeet
from bench.load import Load, Outcome, Plain, Streamed
from bench.processes import NotStarted, Running, free_ports

SETTLE_SECONDS = 0.5
"""After a load, before CPU is read: what a gateway does after its answer counts too."""


class Sample(Struct, frozen=True, kw_only=True):
    """One round of one gateway."""

    cpu_us: float
    """Per request or event."""
    per_second: float
    busy_p50_us: float
    busy_p99_us: float
    alone_p50_us: float
    alone_p99_us: float
    memory_mb: float
    bad: int


class Comparison(Struct, frozen=True, kw_only=True):
    """All rounds under one load."""

    load: str
    unit: str
    nginx: list[Sample]
    gateway: list[Sample]

    @property
    def ratio(self) -> float:
        """The median, over the rounds, of the gateway's CPU per unit divided by nginx's."""
        return median(ours.cpu_us / limit.cpu_us for ours, limit in zip(self.gateway, self.nginx, strict=True))

    @property
    def bad(self) -> int:
        return sum(sample.bad for sample in self.nginx + self.gateway)


class Setting(Struct, frozen=True):
    """Upstream, nginx and gateway, running."""

    proxy: Running
    proxy_port: int
    gateway: Running
    gateway_port: int
    key: str


def run_load(command: list[str]) -> Outcome:
    """Run a load to its end; raises WrongAnswer if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(f"The load failed: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Outcome)


def measure(process: Running, port: int, key: str, load: Load, seconds: float) -> Sample:
    """Load `port` busily, then one call at a time."""
    before = process.cpu_seconds()
    busy = run_load(load.command(port, key, seconds, alone=False))
    time.sleep(SETTLE_SECONDS)
    cpu = process.cpu_seconds() - before
    alone = run_load(load.command(port, key, max(seconds / 2, 1), alone=True))
    return Sample(
        cpu_us=cpu / max(busy.units, 1) * 1e6,
        per_second=busy.units / seconds,
        busy_p50_us=busy.p50_us,
        busy_p99_us=busy.p99_us,
        alone_p50_us=alone.p50_us,
        alone_p99_us=alone.p99_us,
        memory_mb=process.memory_mb(),
        bad=busy.bad + alone.bad,
    )


@contextmanager
def setting(gateway: Gateway, load: Load, folder: Path, env: dict[str, str]) -> Generator[Setting]:
    """Start everything that one load needs, and check one answer of each; end it all on leaving."""
    with ExitStack() as stack:
        upstream_port, proxy_port, gateway_port = free_ports(3)
        if load.stream:
            upstream = Running([sys.executable, "-m", "bench.upstream", str(upstream_port)], folder / "upstream.log")
            stack.enter_context(upstream).listening(upstream_port)
        else:
            stack.enter_context(nginx.upstream(upstream_port, folder))
        running = stack.enter_context(gateway.start(gateway_port, upstream_port, folder, env))
        running.listening(gateway_port)
        proxy = stack.enter_context(nginx.proxy(proxy_port, upstream_port, gateway.key, folder))
        check(proxy_port, gateway.key, stream=load.stream)
        check(gateway_port, gateway.key, stream=load.stream)
        yield Setting(proxy, proxy_port, running, gateway_port, gateway.key)


def compare(gateway: Gateway, load: Load, folder: Path, rounds: int, seconds: float) -> Comparison:
    """Measure nginx and the gateway in turn, `rounds` times."""
    found = Comparison(load=load.name, unit=load.unit, nginx=[], gateway=[])
    with setting(gateway, load, folder, {}) as up:
        for port in (up.proxy_port, up.gateway_port):
            run_load(load.command(port, up.key, 2, alone=False))  # warm
        for number in range(1, rounds + 1):
            print(f"{load.name}, round {number} of {rounds} ...", file=sys.stderr, flush=True)
            found.nginx.append(measure(up.proxy, up.proxy_port, up.key, load, seconds))
            found.gateway.append(measure(up.gateway, up.gateway_port, up.key, load, seconds))
    return found


def profile(gateway: Gateway, load: Load, folder: Path, seconds: float, into: Path) -> None:
    """Profile the gateway under `load` twice, each in a fresh start, and print the heads of the reports."""
    into.mkdir(parents=True, exist_ok=True)
    with setting(gateway, load, folder, profiling.PERF_ENV) as up:
        command = load.command(up.gateway_port, up.key, seconds, alone=False)
        report = into / f"{load.name}.perf.txt"
        print(f"\n{load.name}: native samples, whole process tree (all of it: {report})")
        print(profiling.perf(up.gateway, command, seconds, report))
    counts = Path(tempfile.mkdtemp(prefix="calls-", dir=folder))
    with setting(gateway, load, folder, profiling.calls_env(counts)) as up:
        command = load.command(up.gateway_port, up.key, seconds, alone=False)
        report = into / f"{load.name}.calls.txt"
        print(f"\n{load.name}: Python calls of the main thread, slowed down by counting (all of it: {report})")
        print(profiling.calls(command, counts, report))


def table(found: Comparison, name: str) -> str:
    """Return the medians of both, and the ratio."""
    head = f"{found.load:<10}{f'CPU µs/{found.unit}':>16}{found.unit + 's/s':>12}{'busy p50 µs':>13}{'p99 µs':>9}"
    lines = [head + f"{'alone p50 µs':>14}{'p99 µs':>9}{'MB':>7}{'wrong':>7}"]
    for who, samples in (("nginx", found.nginx), (name, found.gateway)):
        middle = {field: median(getattr(s, field) for s in samples) for field in Sample.__struct_fields__}
        lines.append(
            f"{who:<10}{middle['cpu_us']:>16.1f}{middle['per_second']:>12.0f}{middle['busy_p50_us']:>13.0f}"
            f"{middle['busy_p99_us']:>9.0f}{middle['alone_p50_us']:>14.0f}{middle['alone_p99_us']:>9.0f}"
            f"{middle['memory_mb']:>7.0f}{sum(s.bad for s in samples):>7}"
        )
    rounds = ", ".join(f"{g.cpu_us / n.cpu_us:.2f}" for g, n in zip(found.gateway, found.nginx, strict=True))
    lines.append(f"ratio     CPU per {found.unit}: {found.ratio:.2f} × nginx (rounds: {rounds})")
    return "\n".join(lines)


def missing() -> str | None:
    """Return what this machine lacks, and how to get it."""
    lacks = [name for name, there in (("nginx-light", nginx.found()), ("wrk", shutil.which("wrk"))) if not there]
    if not Path("/proc/self/stat").exists():
        return "CPU time is read from /proc: the measurement needs Linux."
    return f"The measurement needs nginx and wrk. On Debian: apt-get install {' '.join(lacks)}" if lacks else None


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of nginx and gateway in turn (default: 3)")
    parser.add_argument("--seconds", type=float, default=6, help="of load per measurement (default: 6)")
    parser.add_argument("--only", choices=["plain", "streamed"], help="one load instead of both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="afterwards, profile with perf and cProfile, reports in FOLDER"
    )
    parser.add_argument(
        "--command",
        help="another gateway, which stays in the foreground; its {port}, the {upstream}'s port and the caller's {key} "
        "are filled in",
    )
    return parser.parse_args()


def main() -> int:
    """Measure and print; returns the exit status."""
    given = options()
    if lacks := missing():
        print(lacks, file=sys.stderr)
        return 2
    gateway: Gateway = Command(given.command) if given.command else Komeet()
    with tempfile.TemporaryDirectory(prefix="komeet-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        loads: list[Load] = [load for load in (Plain(folder), Streamed()) if given.only in (None, load.name)]
        try:
            found = [compare(gateway, load, folder, given.rounds, given.seconds) for load in loads]
            for each in found:
                print(f"\n{table(each, gateway.name)}")
            if given.json:
                given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            for load in loads if given.profile else ():
                profile(gateway, load, folder, given.seconds, given.profile)
        except (NotStarted, WrongAnswer) as wrong:
            print(f"\n{wrong}", file=sys.stderr)
            return 1
    bad = sum(each.bad for each in found)
    if bad:
        print(f"\n{bad} answers were wrong: the figures mean nothing.", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
