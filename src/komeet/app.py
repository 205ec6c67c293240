"""The composition root: the only module that puts concrete rooms together."""

import asyncio
import gc
import logging
import math
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from komeet.api.application import Application
from komeet.api.surfaces import routes
from komeet.canonical.usage import Usage
from komeet.catalog import profiles
from komeet.config.prices import load_book
from komeet.config.schema import Config
from komeet.core.clock import SystemClock
from komeet.local.embedded import EmbeddedModels
from komeet.metering.count import TokenCounter
from komeet.net.client import Client
from komeet.net.limits import ServerLimits
from komeet.net.media import PublicMedia
from komeet.net.server import STATE_KEY, HttpProtocol, Serving
from komeet.net.tasks import Tasks
from komeet.pipeline.ports import Policy, Ports
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory
from komeet.routing.learned import Learned
from komeet.store.database import Store
from komeet.telemetry.metrics import Metrics
from komeet.wire.formats import FORMATS

_log = logging.getLogger("komeet")


class Counting:
    """Estimates usage in a thread: the first count loads half a second of tables."""

    def __init__(self) -> None:
        self._counter: Final = TokenCounter()

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        return await asyncio.to_thread(self._counter.estimate, prompt, output, encoding=encoding, messages=messages)


def directory(data_dir: Path, providers: tuple[Provider, ...]) -> Directory[Provider]:
    """Return the models that these providers offer, with prices and profiles."""
    return Directory(providers, load_book(data_dir), profiles.load(), SystemClock())


class Gateway:
    """One server process: everything that it holds, from start to stop."""

    def __init__(self, config: Config, data_dir: Path, providers: tuple[Provider, ...]) -> None:
        """Open the data directory, alone, and settle what a crash left open.

        Raises:
            StoreError: it cannot be used; the message says why and what to do.
            ConfigError: the installed prices cannot be read.
        """
        self._config: Final = config
        self._clock: Final = SystemClock()
        self._store: Final = Store.open(data_dir, self._clock, durability=config.ledger.durability)
        try:
            self.directory: Final = directory(data_dir, providers)
            self.directory.listing()  # so that the first who asks for it, or mistypes a name, keeps nobody waiting
        except BaseException:
            self._store.close()
            raise
        self._tasks: Final = Tasks()
        self._metrics: Final = Metrics()
        self._embedded: Final = (
            EmbeddedModels(data_dir, clock=self._clock, tasks=self._tasks, threads=config.embedded.threads)
            if config.embedded.enabled
            else None
        )

    @property
    def orphans(self) -> int:
        """Attempts that the last run left open."""
        return self._store.recovered

    async def start(self) -> Serving:
        """Return what the server's connections share."""
        self._client = Client(self._clock)
        ports = Ports(
            clock=self._clock,
            keys=self._store.keys,
            directory=self.directory,
            learned=Learned(),
            ledger=self._store.ledger,
            fetcher=self._client,
            embedded=self._embedded,
            estimator=Counting(),
            formats=FORMATS,
            media=self._media(),
            tasks=self._tasks,
            observers=(self._store.requests, self._metrics),
            policy=Policy(
                unpriced=self._config.ledger.unpriced,
                budget_output_tokens=self._config.ledger.budget_output_tokens,
                losses=self._config.translation.losses,
                pass_through=self._config.translation.pass_through,
            ),
        )
        ledger = self._store.ledger
        self._metrics.watch(
            {
                "komeet_ledger_waiting": ("Holds and outcomes that are not durable yet", lambda: ledger.waiting),
                "komeet_ledger_failing": ("1 while the ledger cannot be written", lambda: ledger.failing),
                "komeet_ledger_overruns": ("Attempts billed above their reservation", lambda: ledger.overruns),
                "komeet_request_log_dropped": ("Lines lost to the request log", lambda: self._store.requests.dropped),
            }
        )
        application = Application(routes(ports, self._missing, self._metrics.exposition), ports)
        await self._store.keys.start(self._tasks.spawn)
        if self._embedded is not None and self._config.embedded.start == "at_start":
            self._embedded.start()
        server = self._config.server
        limits = ServerLimits(
            body_bytes=server.max_body_bytes,
            header_bytes=server.max_header_bytes,
            header_seconds=server.header_seconds,
            idle_seconds=server.idle_seconds,
            write_seconds=server.write_seconds,
        )
        return Serving(handle=application.handle, refuse=application.refusal, clock=self._clock, limits=limits)

    async def stop(self, patience: float = 5.0) -> None:
        """Settle everything, close everything: each part whatever becomes of the others, and the ledger last.

        Args:
            patience: seconds that work behind calls (counting tokens) may still take.
        """
        async with AsyncExitStack() as ending:  # what is named last ends first
            ending.push_async_callback(asyncio.to_thread, self._store.close)
            ending.push_async_callback(self._client.aclose)
            ending.push_async_callback(self._tasks.drain, patience)
            ending.push_async_callback(self._store.keys.stop)
            if self._embedded is not None:
                ending.push_async_callback(self._embedded.close)

    def _media(self) -> PublicMedia | None:
        wanted = self._config.media
        return PublicMedia(self._clock, limit=wanted.max_bytes, seconds=wanted.seconds) if wanted.fetch else None

    def _missing(self) -> dict[str, str]:
        return {"ledger": "it cannot be written"} if self._store.ledger.failing else {}


class _Server(uvicorn.Server):
    """Says when it listens, and stops the gateway also when it is made to stop at once."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn would leave now, with calls under way: what they cost would never be known.
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()


_Message = MutableMapping[str, Any]


def serve(gateway: Gateway, config: Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on `listener` until SIGTERM or SIGINT; return once everything is settled."""

    def ready() -> None:
        # What was made at the start stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        on_ready()

    _run(_server(gateway, config, ready), listener)


@contextmanager
def serving(gateway: Gateway, config: Config, listener: socket.socket) -> Generator[None]:
    """Serve on `listener` from a thread, for as long as the context lasts; everything is settled when it ends."""
    ready = threading.Event()
    server = _server(gateway, config, ready.set)
    thread = threading.Thread(target=_run, args=(server, listener), name="komeet-server", daemon=True)
    thread.start()
    try:
        while not ready.wait(0.05):
            if not thread.is_alive():
                raise RuntimeError("the server ended before it was ready")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[listener]))


def _server(gateway: Gateway, config: Config, on_ready: Callable[[], None]) -> uvicorn.Server:

    async def lifespan(
        scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """The part of ASGI that uvicorn needs of us: start and stop."""
        assert scope["type"] == "lifespan"
        await receive()
        scope["state"][STATE_KEY] = await gateway.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await gateway.stop(1.0 if server.force_exit else 5.0)
        await send({"type": "lifespan.shutdown.complete"})

    settings = uvicorn.Config(
        lifespan,
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=math.ceil(config.server.drain_seconds),
        backlog=2048,
    )
    server = _Server(settings, on_ready)
    return server
