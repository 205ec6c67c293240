"""How many processor cores this process may use."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _CGROUP) -> int:
    """Return the cores that this process may run on, at least 1: its affinity, and its container's quota.

    llama.cpp's threads wait for each other by spinning: more of them than cores makes it many times slower, and a
    container's quota does not show in the number of cores. `quota` is a cgroup-2 `cpu.max` file
    (docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or `max`: no quota
        return cores
