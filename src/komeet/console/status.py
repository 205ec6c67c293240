"""How a running Komeet stands: what anybody on this machine may see. No key, no name of one, nothing of a call."""

from typing import Literal

from msgspec import Struct

Health = Literal["ok", "degraded", "down"]


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """A process that answers calls."""

    pid: int
    state: Literal["starting", "ready", "draining"]
    since: int | None
    """Unix milliseconds at which it took its first connections; None: not yet."""
    calls_running: int
    calls_total: int
    """Since it began."""


class ModelStatus(Struct, frozen=True, kw_only=True):
    """An embedded model."""

    name: str
    state: str
    """As `local.supervisor.State` has them, or `off`. Why, says the log."""
    restarts: int


class ConfigStatus(Struct, frozen=True, kw_only=True):
    """What the workers go by."""

    file: str | None
    """None: there is none, and providers come from the environment."""
    loaded_at: int
    """Unix milliseconds at which it was last taken."""
    problem: str | None
    """Why a later one was not."""


class DataStatus(Struct, frozen=True, kw_only=True):
    """The data directory."""

    directory: str
    locked_by: int
    """The process that keeps other servers out: the supervisor."""


class Status(Struct, frozen=True, kw_only=True):
    """Everything, as of one moment."""

    version: str
    python: str
    now: int
    started_at: int
    """Unix milliseconds, both."""
    workers_wanted: int
    workers: list[WorkerStatus]
    calls_running: int
    calls_total: int
    """Of all workers, and of those that have ended."""
    models: list[ModelStatus]
    config: ConfigStatus
    data: DataStatus

    @property
    def health(self) -> Health:
        """Down where nobody takes connections; degraded where not everything is as it was asked for."""
        ready = sum(worker.state == "ready" for worker in self.workers)
        if not ready:
            return "down"
        return "ok" if ready >= self.workers_wanted and self.config.problem is None else "degraded"
