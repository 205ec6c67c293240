"""What a running Komeet holds: memory, files and threads of each process, and the gauges of its workers (Linux)."""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from msgspec import Struct
from tests.whole.gateway import Gateway
from tests.whole.processes import children, program

_ROLES: Final = {
    "komeet.serving.worker": "worker",
    "komeet.serving.control": "control",
    "komeet.local.child": "embedded chat",
    "komeet.local.wordllama_child": "embedded vectors",
}
_LINE: Final = re.compile(r"^(komeet_[a-z_]+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class ProcessSample(Struct, frozen=True, kw_only=True):
    """One process."""

    role: str
    pid: int
    rss: float
    pss: float
    """MiB; what processes share is divided among them."""
    fds: int
    threads: int


class Sample(Struct, frozen=True, kw_only=True):
    """One moment."""

    at: float
    """Seconds since the traffic began."""
    processes: list[ProcessSample]
    gauges: dict[str, float]
    """Sums over labels of what `/metrics` says."""
    callers: int
    """Calls under way, as the callers see it."""
    calls: int
    """Begun so far."""
    wrong: int
    load: float
    """The machine's, over a minute."""

    def total(self, what: str, role: str | None = None) -> float:
        """Return the sum of one figure over the processes, or over those of one role."""
        return sum(getattr(one, what) for one in self.processes if role in (None, one.role))


def processes(gateway: Gateway) -> list[ProcessSample]:
    """Return the supervisor and its children as they are now."""
    found = [_process("supervisor", gateway.process.pid)]
    for pid in children(gateway.process.pid):
        with contextlib.suppress(OSError):  # it has just ended
            found.append(_process(_ROLES.get(program(pid), "other"), pid))
    return found


def gauges(gateway: Gateway) -> dict[str, float]:
    """Return what `/metrics` says, summed over labels; histograms' buckets left out."""
    text = gateway.request("GET", "/metrics").body.decode()
    found: dict[str, float] = {}
    for name, value in _LINE.findall(text):
        if not name.endswith("_bucket"):
            found[name] = found.get(name, 0.0) + float(value)
    return found


def machine_load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def _process(role: str, pid: int) -> ProcessSample:
    folder = Path(f"/proc/{pid}")
    rollup = (folder / "smaps_rollup").read_text()
    return ProcessSample(
        role=role,
        pid=pid,
        rss=_figure("Rss", rollup) / 1024,
        pss=_figure("Pss", rollup) / 1024,
        fds=len(list((folder / "fd").iterdir())),
        threads=int(_figure("Threads", (folder / "status").read_text())),
    )


def _figure(name: str, text: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
