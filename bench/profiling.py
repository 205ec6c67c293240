"""Where the time goes: one run under perf (native code, undistorted), one under cProfile (Python calls, slowed down).

Neither changes the program. perf samples the whole process tree; from Python 3.12 on it also names Python functions.
"""

import io
import pstats
import shutil
import subprocess
import time
from pathlib import Path

from bench.processes import Running

SHOWN = 30
"""Rows of each report that are printed; the files hold them all."""

PERF_ENV = {"PYTHONPERFSUPPORT": "1"}
"""Makes Python 3.12+ write a map of its functions for perf; ignored by 3.11."""


def calls_env(folder: Path) -> dict[str, str]:
    """Return what the gateway's environment needs for `calls`."""
    return {"PYTHONPATH": str(Path(__file__).parent / "hook"), "BENCH_CALLS": str(folder)}


def perf(gateway: Running, load: list[str], seconds: float, report: Path) -> str:
    """Sample the gateway under `load`, write the report, and return its head, or why there is none."""
    if shutil.which("perf") is None:
        return "no perf here (Debian: apt-get install linux-perf)"
    data = report.with_suffix(".data")
    pids = ",".join(str(pid) for pid in gateway.tree())
    record = ["perf", "record", "-q", "-F", "997", "-g", "-e", "cpu-clock", "-o", str(data), "-p", pids]
    with subprocess.Popen(load, stdout=subprocess.DEVNULL) as loading:
        time.sleep(min(1.0, seconds / 4))  # past the start
        recorded = subprocess.run(
            [*record, "--", "sleep", str(seconds / 2)], capture_output=True, text=True, check=False
        )
        loading.wait()
    if recorded.returncode:
        return f"perf cannot record here (see kernel.perf_event_paranoid): {recorded.stderr.strip()[-300:]}"
    shares = _report(data, "dso", children=False)
    text = shares + "\n" + _report(data, "dso,symbol", children=False) + "\n" + _report(data, "symbol", children=True)
    report.write_text(text)
    return _head(shares + "\n" + _report(data, "dso,symbol", children=False))


def calls(load: list[str], folder: Path, report: Path) -> str:
    """Count Python calls under `load` in a gateway started with `calls_env`, write the report, and return its head."""
    subprocess.run(load, stdout=subprocess.DEVNULL, check=True)
    (folder / "stop").touch()
    end = time.monotonic() + 10
    while time.monotonic() < end and not list(folder.glob("*.calls")):
        time.sleep(0.1)
    time.sleep(0.5)  # its other processes write too
    files = sorted(folder.glob("*.calls"), key=lambda file: file.stat().st_size)
    if not files:
        return "the gateway wrote no counts: is it a Python program?"
    text = io.StringIO()
    stats = pstats.Stats(*(str(file) for file in files), stream=text)
    stats.sort_stats("tottime").print_stats()
    report.write_text(text.getvalue())
    return _head(text.getvalue())


def _report(data: Path, sort: str, *, children: bool) -> str:
    command = ["perf", "report", "-i", str(data), "--stdio", "-g", "none", "--percent-limit", "0.3", "--sort", sort]
    command.append("--children" if children else "--no-children")
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "\n".join(line.rstrip(" -") for line in found.splitlines() if line.strip() and not line.startswith("#"))


def _head(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[: SHOWN + 10])
