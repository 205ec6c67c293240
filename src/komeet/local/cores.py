"""How many processor cores this process may use, and how many of them the model takes."""

import math
import os
from pathlib import Path

MOST_THREADS = 4

_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def model_threads(cores: int) -> int:
    """Return how many threads the model computes on: all cores but one, at most four, at least one.

    llama.cpp's threads wait for each other by spinning, some hundred times for each token. One that lacks a core for a
    moment holds up all others: on two cores with other work, two threads make 4 tokens/s and one makes 77; on two idle
    cores it is 130 and 80. A model this small gains little from more.
    """
    return max(1, min(MOST_THREADS, cores - 1))


def usable_cores(quota: Path = _CGROUP) -> int:
    """Return the cores that this process may run on, at least 1: its affinity, and its container's quota.

    A container's quota does not show in the number of cores. `quota` is a cgroup-2 `cpu.max` file
    (docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or `max`: no quota
        return cores
