"""Processes that a measurement starts, and what they have used, read from /proc (Linux)."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent


class NotStarted(Exception):
    """A process ended, or did not listen in time; the message holds the end of what it printed."""


class Running:
    """One started process and its children; a context manager that ends them all."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
                env=None if env is None else {**os.environ, **env},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ask the process to end, give it 10 s, then kill what is left of its group."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def listening(self, port: int, seconds: float = 30.0) -> None:
        """Return once something accepts connections on `port`; raises NotStarted after `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise NotStarted(f"Nothing listens on port {port}. The last of its output:\n{self.log.read_text()[-2000:]}")

    def cpu_seconds(self) -> float:
        """Return user and system time of the process and all below it, ended children included."""
        ticks = 0
        for pid in self.tree():
            fields = _stat(pid)
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return the resident memory of the process and all below it."""
        total = 0
        for pid in self.tree():
            try:
                found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            except OSError:
                continue
            total += int(found[1]) if found else 0
        return total / 1024

    def tree(self) -> list[int]:
        """Return the ids of the process and all below it."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            fields = _stat(int(folder.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(folder.name))
        todo, found = [self.pid], list[int]()
        while todo:
            found.append(todo.pop())
            todo += children.get(found[-1], [])
        return found

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _stat(pid: int) -> list[str]:
    """Return what /proc/PID/stat says after the name (proc(5): state, ppid, …); empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
