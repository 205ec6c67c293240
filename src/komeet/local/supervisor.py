"""Keeps the embedded model running: started when first asked for, started again when it dies, never left behind."""

import asyncio
import logging
import math
import secrets
import signal
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

from komeet.core.clock import Clock
from komeet.core.errors import UpstreamBusy
from komeet.core.http import Origin
from komeet.core.secrets import Secret
from komeet.local.cores import model_threads, usable_cores
from komeet.local.handover import Orders
from komeet.local.process import Child, EndedEarlyError, ending, launch
from komeet.local.weights import SMOLLM2, Release, find, missing

_LOG = logging.getLogger("komeet.local")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between the end of a process and the start of the next: doubled each time, up to this."""
STEADY = 60.0
"""Seconds of running after which the pauses start again from the first."""
GRACE = 2.0
"""Seconds between asking the process to end and ending it."""


class Spawner(Protocol):
    """Starts work in the background; it is supervised, and waited for at shutdown."""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object: ...


class State(StrEnum):
    """Where the embedded model stands."""

    IDLE = "idle"
    """Not asked for yet."""
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    """It died, or did not start; the next try is under way or waits for its time."""
    UNAVAILABLE = "unavailable"
    """Not installed."""
    STOPPED = "stopped"


class Backoff:
    """How long to wait between the end of a process and the start of the next, in seconds."""

    __slots__ = ("_first", "_longest", "_next", "_steady")

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE, steady: float = STEADY) -> None:
        """Begin with `first`, double up to `longest`, and begin again after one that ran for `steady`."""
        self._first = self._next = first
        self._longest = longest
        self._steady = steady

    def after(self, ran: float) -> float:
        """Return the pause after a process that answered for `ran` seconds: twice the last one, or the first again."""
        pause = self._first if ran >= self._steady else self._next
        self._next = min(2 * pause, self._longest)
        return pause


class EmbeddedModel:
    """The embedded model's address, and the process behind it.

    Args:
        data_dir: where `komeet model pull` puts weights, for installations that have no wheel of them.
        clock: measures how long a process ran.
        tasks: runs the supervision.
        threads: how many the model computes on; None is all cores but one, at most four.
        context: tokens of prompt and answer together, for each call.
        slots: calls answered at the same time; more wait in line. Each slot takes memory for its whole context: the
            process has 0.53 GB with two slots of 8192 tokens, 0.90 GB with four.
        start_within: seconds from the start of a process until it must answer.
        release: the weights.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        clock: Clock,
        tasks: Spawner,
        threads: int | None = None,
        context: int = 8192,
        slots: int = 2,
        start_within: float = 60.0,
        release: Release = SMOLLM2,
    ) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._tasks = tasks
        self._threads = threads or model_threads(usable_cores())
        self._context = context
        self._slots = slots
        self._start_within = start_within
        self._release = release
        self._state = State.IDLE
        self._address: tuple[Origin, Secret] | None = None
        self._child: Child | None = None
        self._problem: str | None = None
        self._restarts = 0
        self._next_try = 0.0
        self._closing = asyncio.Event()
        self._tried = asyncio.Event()
        self._ended = asyncio.Event()

    title: ClassVar[str] = "The embedded model"
    """What messages call it."""

    @property
    def state(self) -> State:
        """Where it stands, without looking: it changes as soon as the process ends."""
        return self._state

    @property
    def problem(self) -> str | None:
        """What went wrong last, for operators; None while it answers."""
        return None if self._state is State.READY else self._problem

    @property
    def pid(self) -> int | None:
        """The id of the process, while there is one."""
        return None if self._child is None else self._child.pid

    @property
    def restarts(self) -> int:
        """How often a process was started again."""
        return self._restarts

    def start(self) -> None:
        """Start it before anybody asks; what goes wrong is logged, and told to those who ask."""
        if self._state not in (State.IDLE, State.UNAVAILABLE):
            return
        known = self._problem
        weights = self._installed()
        if weights is None:
            if self._problem != known:  # once, not with every call
                _LOG.warning("%s", self._problem)
            return
        self._state = State.STARTING
        self._tried.clear()
        self._ended.clear()
        self._tasks.spawn("local.supervise", self._supervise(weights))

    async def origin(self) -> tuple[Origin, Secret]:
        """Return where it answers and the key that it takes, starting it if nobody has.

        Raises:
            UpstreamBusy: it is being restarted (`retry_after` says when to come again), or is not installed.
        """
        if self._address is not None:
            return self._address
        self.start()
        if self._state is State.STARTING:
            await self._tried.wait()
        if self._address is not None:
            return self._address
        raise self._refusal()

    async def close(self) -> None:
        """End the process and the supervision, within a few seconds; calls in flight are cut. May be called twice."""
        self._closing.set()
        if self._state in (State.IDLE, State.UNAVAILABLE, State.STOPPED):
            self._state = State.STOPPED
            return
        if self._child is not None:
            self._child.terminate()
        if await _within(GRACE, self._ended):
            return
        if self._child is not None:
            self._child.terminate(signal.SIGKILL)
        if not await _within(GRACE, self._ended):
            _LOG.error("%s: the process does not end; it will when Komeet has", self.title)

    def _installed(self) -> Path | None:
        """Return the weights, or None and leave the state at `unavailable`."""
        self._problem = missing(self._data_dir, self._release)
        weights = find(self._data_dir, self._release) if self._problem is None else None
        if weights is None:
            self._state = State.UNAVAILABLE
        return weights

    def _refusal(self) -> UpstreamBusy:
        match self._state:
            case State.UNAVAILABLE:
                message = self._problem or f"{self.title} is not installed."
                return UpstreamBusy(message, upstream_status=503)
            case State.STOPPED:
                return UpstreamBusy(f"{self.title} was stopped: Komeet is shutting down.", upstream_status=503)
            case _:
                # A start takes about a second; those who come back then find it, or the next refusal.
                wait = max(1, math.ceil(self._next_try - self._clock.monotonic() + 1))
                return UpstreamBusy(
                    f"{self.title} is being started again, and nothing was sent to it. Try again in {wait} s.",
                    upstream_status=503,
                    retry_after=float(wait),
                )

    async def _supervise(self, weights: Path | None) -> None:
        backoff = Backoff()
        try:
            while weights is not None:
                ran = await self._run(weights)
                if self._closing.is_set():
                    break
                pause = backoff.after(ran)
                self._state = State.RESTARTING
                self._restarts += 1
                self._next_try = self._clock.monotonic() + pause
                self._tried.set()
                _LOG.warning("%s stopped: %s; starting it again in %.1f s", self.title, self._problem, pause)
                if await _within(pause, self._closing):
                    break
                weights = self._installed()
        finally:
            if self._state is not State.UNAVAILABLE:
                self._state = State.STOPPED
            self._tried.set()
            self._ended.set()

    async def _run(self, weights: Path) -> float:
        """Run one process until it ends; return for how many seconds it answered."""
        key = secrets.token_urlsafe(32)
        began = self._clock.monotonic()
        try:
            child = await self._launch(weights, key)
        except OSError as error:
            self._problem = f"it could not be started: {error}"
            return 0.0
        self._child = child
        try:
            if self._closing.is_set():
                return 0.0
            async with asyncio.timeout(self._start_within):
                port = await child.answering()
            ready = self._clock.monotonic()
            _LOG.info("%s answers (process %d, started in %.1f s)", self.title, child.pid, ready - began)
            self._address = Origin("http", "127.0.0.1", port), Secret(key)
            self._state = State.READY
            self._tried.set()
            self._problem = ending(await child.ended())
            return self._clock.monotonic() - ready
        except EndedEarlyError as error:
            self._problem = str(error)
        except TimeoutError:
            self._problem = f"it did not answer within {self._start_within:g} s"
        finally:
            self._address = None
            self._child = None
            await child.kill()
        return 0.0

    async def _launch(self, weights: Path, key: str) -> Child:
        orders = Orders(
            key=key,
            weights=str(weights),
            model=self._release.model,
            threads=self._threads,
            context=self._context,
            slots=self._slots,
        )
        return await launch(orders)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`, at most so long; return whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
