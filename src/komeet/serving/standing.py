"""Puts together how everything stands, out of what the supervisor knows."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from komeet import __version__
from komeet.config.schema import Config
from komeet.console.status import ConfigStatus, DataStatus, ModelStatus, Status, WorkerStatus
from komeet.core.clock import Clock
from komeet.serving.process import Process
from komeet.telemetry.samples import Family, total

_RUNNING: Final = "komeet_calls_running"
_CALLS: Final = "komeet_calls_total"


class Chronicle:
    """What of the supervisor's history is told: since when it runs, by which configuration, and what was wrong."""

    def __init__(self, data_dir: Path, file: Path | None, clock: Clock) -> None:
        self._clock: Final = clock
        self._started_at: Final = clock.unix_ms()
        self._file: Final = None if file is None else str(file)
        self._data: Final = DataStatus(directory=str(data_dir), locked_by=os.getpid())
        self._taken_at = self._started_at
        self._problem: str | None = None

    def took(self) -> None:
        """Note that a configuration was taken, now."""
        self._taken_at, self._problem = self._clock.unix_ms(), None

    def refused(self, why: str) -> None:
        """Note that one was not."""
        self._problem = why

    def status(
        self,
        config: Config,
        wanted: int,
        workers: Iterable[Process],
        past: Iterable[Family],
        models: Iterable[tuple[str, str, int]],
    ) -> Status:
        """Return how everything stands now.

        Args:
            config: the one that holds.
            wanted: how many workers there should be.
            workers: all whose processes have not ended, with what they have counted.
            past: what those had counted that have.
            models: name, state and restarts of each embedded model.
        """
        now, monotonic = self._clock.unix_ms(), self._clock.monotonic()
        known = [_worker(worker, now, monotonic) for worker in workers]
        return Status(
            version=__version__,
            python=platform.python_version(),
            now=now,
            started_at=self._started_at,
            workers_wanted=wanted,
            workers=known,
            calls_running=sum(worker.calls_running for worker in known),
            calls_total=round(total(past, _CALLS)) + sum(worker.calls_total for worker in known),
            models=[
                ModelStatus(name=name, state=state if config.embedded.enabled else "off", restarts=restarts)
                for name, state, restarts in models
            ],
            config=ConfigStatus(file=self._file, loaded_at=self._taken_at, problem=self._problem),
            data=self._data,
        )


def _worker(worker: Process, now: int, monotonic: float) -> WorkerStatus:
    return WorkerStatus(
        pid=worker.pid,
        state="draining" if worker.leaving else "ready" if worker.since else "starting",
        since=now - round(1000 * (monotonic - worker.since)) if worker.since else None,
        calls_running=round(total(worker.counted, _RUNNING)),
        calls_total=round(total(worker.counted, _CALLS)),
    )
