"""`komeet serve` as a whole, from start to stop: data directory, embedded models, workers, control process."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvloop
from msgspec import Struct

from komeet.app import databases_of
from komeet.config.prices import load_book
from komeet.core.clock import SystemClock
from komeet.local.embedded import EmbeddedModels
from komeet.net.tasks import Tasks
from komeet.serving.files import raise_limit
from komeet.serving.keeper import Keeper
from komeet.serving.messages import Ready
from komeet.serving.settings import Settings, Source
from komeet.serving.supervisor import Supervisor
from komeet.store.database import Prepared, Store

OnReady = Callable[[Ready, int], None]
"""Takes what the first worker says, and how many calls were under way when the last run ended."""


class Sockets(Struct, frozen=True, kw_only=True):
    """Where Komeet listens."""

    calls: socket.socket
    console: socket.socket | None
    """None: there is no control process."""


def run(sockets: Sockets, data_dir: Path, source: Source, settings: Settings, on_ready: OnReady) -> None:
    """Serve on `sockets` until SIGTERM or SIGINT; return once everything is settled. SIGHUP reloads.

    Raises:
        StoreError: the data directory cannot be used, by this process.
        ConfigError: the installed prices cannot be used.
        StartError: no worker can be started.
    """
    raise_limit()
    durability, databases = settings.config.ledger.durability, databases_of(settings.config)
    with (
        closing(Store.prepare(data_dir, SystemClock(), durability=durability, databases=databases)) as prepared,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        load_book(data_dir)  # compiled by one process, where it has to be, and read by the others
        runner.run(_supervise(sockets, data_dir, source, settings, prepared, on_ready))


async def _supervise(
    sockets: Sockets, data_dir: Path, source: Source, settings: Settings, prepared: Prepared, on_ready: OnReady
) -> None:
    clock, tasks = SystemClock(), Tasks()
    embedded = EmbeddedModels(data_dir, clock=clock, tasks=tasks, threads=settings.config.embedded.threads)
    control = Keeper(sockets.console, settings.config.log, tasks=tasks, clock=clock)
    supervisor = Supervisor(
        sockets.calls,
        data_dir,
        source,
        sessions=prepared,
        embedded=embedded,
        control=control,
        tasks=tasks,
        clock=clock,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, supervisor.stop)
    loop.add_signal_handler(signal.SIGINT, supervisor.stop)
    attended = _has_terminal()
    loop.add_signal_handler(
        signal.SIGHUP, lambda: supervisor.stop() if attended and not _has_terminal() else supervisor.reload()
    )
    if settings.config.embedded.enabled and settings.config.embedded.start == "at_start":
        embedded.start()
    try:
        await supervisor.run(settings, lambda ready: on_ready(ready, prepared.recovered))
    finally:
        await embedded.close()
        await tasks.drain(5.0)


def _has_terminal() -> bool:
    """Whether this process belongs to a terminal. SIGHUP also says that it was closed: nobody is there any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
