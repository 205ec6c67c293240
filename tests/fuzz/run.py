"""Fuzzes each target under atheris, in a process of its own: `make fuzz`, or `python -m tests.fuzz.run`.

Prints, for each: executions, edges and features that were reached, inputs that reached something new, and what broke.
An input that broke something is in the folder that is named; put it into `tests/fuzz/corpus/TARGET` under a name that
says what it found, and mend what it found. With KOMEET_RECORDINGS, shapes of recorded traffic are begun with, too.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from msgspec import Struct
from tests.fuzz.keep import keep, kept
from tests.fuzz.recorded import shapes
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_SLOWEST: Final = 10
"""Seconds for one input; more is a hang."""
_MEMORY: Final = 1024
"""Megabytes."""
_PROGRESS: Final = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)
_RUNS: Final = re.compile(r"stat::number_of_executed_units: (\d+)")


class Report(Struct, frozen=True, kw_only=True):
    """What came of fuzzing one target."""

    name: str
    seconds: int
    executions: int
    edges: int
    features: int
    found: int
    """Inputs that reached something new, of those that were there at the end."""
    broken: tuple[Path, ...]


def fuzz(target: Target, seconds: int, work: Path) -> Report:
    """Fuzz one target for so many seconds, in a folder below `work`."""
    folder = work / target.name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate([*target.starts(), *shapes(target.name)]):
        (corpus / f"start-{number}").write_bytes(start)
    for file in kept(target.name):
        (corpus / file.name).write_bytes(file.read_bytes())
    began = len(list(corpus.iterdir()))
    options = {
        "max_total_time": seconds,
        "timeout": _SLOWEST,
        "rss_limit_mb": _MEMORY,
        "max_len": target.most,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/",
    }
    told = [f"-{name}={value}" for name, value in options.items()]
    argv = [sys.executable, "-m", "tests.fuzz.child", target.name, *told, str(corpus)]
    log = folder / "log"
    before = time.monotonic()
    with log.open("wb") as out:
        subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    lines = _PROGRESS.findall(text)
    runs = _RUNS.search(text)
    last = lines[-1] if lines else ("0", "0", "0", "0")
    return Report(
        name=target.name,
        seconds=round(time.monotonic() - before),
        executions=int(runs[1]) if runs else int(last[0]),
        edges=int(last[1]),
        features=int(last[2]),
        found=len(list(corpus.iterdir())) - began,
        broken=tuple(sorted(each for each in folder.iterdir() if re.match(r"(crash|timeout|oom|leak)-", each.name))),
    )


def show(report: Report) -> str:
    """Return a line of the table."""
    broken = " ".join([str(each) for each in report.broken]) or "-"
    return (
        f"{report.name:28} {report.seconds:6} {report.executions:12,} {report.edges:7,} {report.features:9,}"
        f" {report.found:7,}  {broken}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz the targets that are named, or all; return whether anything broke."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="this target; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="targets at once (1)")
    parser.add_argument("--work", type=Path, help="a folder for the run; a new one if not named")
    parser.add_argument("--keep", action="store_true", help="then choose anew what is kept in tests/fuzz/corpus")
    asked = parser.parse_args(argv)
    work: Path = asked.work or Path(tempfile.mkdtemp(prefix="komeet-fuzz-"))
    chosen = [target for target in TARGETS if asked.only is None or target.name in asked.only]
    print(
        f"in {work}\n{'target':28} {'s':>6} {'executions':>12} {'edges':>7} {'features':>9} {'new':>7}  broken",
        flush=True,
    )

    def one(target: Target) -> Report:
        report = fuzz(target, asked.seconds, work)
        print(show(report), flush=True)
        return report

    with ThreadPoolExecutor(asked.jobs) as pool:
        reports = list(pool.map(one, chosen))
    if asked.keep:
        for target in chosen:
            files = sorted((work / target.name / "corpus").iterdir())
            print(f"{target.name}: {keep(target, [file.read_bytes() for file in files])} files kept", flush=True)
    return 1 if any(report.broken for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
