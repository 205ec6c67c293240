"""Keeps the workers of one listening socket running: replaced when they die and when the configuration changes."""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from komeet.config.load import ConfigError
from komeet.console.status import Status
from komeet.core.clock import Clock
from komeet.core.errors import UpstreamBusy
from komeet.core.ids import new_id
from komeet.core.secrets import Secret
from komeet.local.process import ending
from komeet.local.supervisor import Backoff
from komeet.net.tasks import Tasks
from komeet.pipeline.ports import Embedded
from komeet.serving.keeper import Keeper
from komeet.serving.messages import Locate, Located, NotLocated, Orders, Ready, Retire, Scrape, Sums, ToSupervisor
from komeet.serving.process import WORKER, Process, StartError
from komeet.serving.settings import Settings, Source
from komeet.serving.standing import Chronicle
from komeet.store.errors import StoreError
from komeet.telemetry.exposition import written
from komeet.telemetry.samples import Family, added, past

T = TypeVar("T")

_LOG = logging.getLogger("komeet.serving")

START_WITHIN: Final = 60.0
"""Seconds from the start of a worker until it must take connections."""
LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the configuration file."""
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.1, 10.0, 2.0
"""Seconds between the end of a worker and the start of the next: see `Backoff`."""
_LATE: Final = 2.0
"""Seconds beyond `server.drain_seconds` after which a worker is told to cut what is under way."""
_SETTLING: Final = 15.0
"""Seconds that a worker has then to settle it: its ledger waits 10 for a database that is out of reach."""


class Sessions(Protocol):
    """The data directory, in the supervisor's hands."""

    def settle_session(self, session: str) -> int:
        """Make orphans of what a dead worker left open; return how many there were; blocks, may raise StoreError."""
        ...


class Models(Embedded, Protocol):
    """The embedded models, in the supervisor's hands."""

    def standing(self) -> list[tuple[str, str, int]]:
        """Return name, state and restarts of each."""
        ...


class Supervisor:
    """The workers of one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        data_dir: Path,
        source: Source,
        *,
        sessions: Sessions,
        embedded: Models,
        control: Keeper,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        """Know what they need; `run` starts them."""
        self._listener: Final = listener
        self._data_dir: Final = data_dir
        self._source: Final = source
        self._sessions: Final = sessions
        self._embedded: Final = embedded
        self._control: Final = control
        self._chronicle: Final = Chronicle(data_dir, source.file, clock)
        self._tasks: Final = tasks
        self._clock: Final = clock
        self._backoff: Final = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY)
        self._workers: list[Process] = []
        """All whose processes have not ended."""
        self._past: list[Family] = []
        """What workers have counted that have ended."""
        self._not_before = 0.0
        self._look = asyncio.Event()
        self._left = asyncio.Event()
        self._reload = False
        self._stopping = asyncio.Event()
        self._cutting = asyncio.Event()

    async def run(self, settings: Settings, on_ready: Callable[[Ready], None]) -> None:
        """Serve until `stop`; return once every worker has ended.

        Args:
            settings: the first ones.
            on_ready: is called when the first worker takes connections.

        Raises:
            StartError: none of the first workers could start.
        """
        self._settings = settings
        self._known = settings.text
        try:
            first = await self._until_stopped(self._first(settings))
            if isinstance(first, StartError):
                raise first
            if first is not None:
                on_ready(first)
                self._control.start(self._standing)
                self._tasks.spawn("serving.watch", self._watch())
                await self._until_stopped(self._keep())
        finally:
            self._stopping.set()
            self._listener.close()  # its last copies are the workers': they close them too, and nobody listens
            await self._end()
            await self._control.close()  # last: it shows how the others end

    def stop(self) -> None:
        """Let calls under way end, within `server.drain_seconds`; a second time: cut them."""
        if self._stopping.is_set():
            self._cutting.set()
        self._stopping.set()

    def reload(self) -> None:
        """Read the configuration again, and replace the workers one by one; those that there are go on if it is bad."""
        self._reload = True
        self._look.set()

    # Starting and replacing.

    async def _first(self, settings: Settings) -> Ready | StartError:
        """Start all, and return when one is ready, or none can be; the others are waited for in the background."""
        starting = {self._tasks.spawn("serving.start", self._start(settings)) for _ in range(settings.workers)}
        problem = StartError("there are no workers")
        while starting:
            done, starting = await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
            for started in (task.result() for task in done):
                if isinstance(started, Process):
                    self._tasks.spawn("serving.others", self._judge(starting))
                    return await started.ready(0)
                problem = started
        return problem

    async def _judge(self, starting: Iterable[Awaitable[Process | StartError]]) -> None:
        for started in await asyncio.gather(*starting):
            if isinstance(started, StartError):
                self._pause(0.0, f"a worker did not start: {started}")

    async def _keep(self) -> None:
        """Fill the gaps that dead workers leave, and reload when asked to."""
        while True:
            await self._look.wait()
            self._look.clear()
            if self._reload:
                self._reload = False
                await self._replace_all()
            await self._fill()

    async def _fill(self) -> None:
        while (missing := self._settings.workers - len(self._staff())) > 0:
            pause = self._not_before - self._clock.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            await self._judge([self._start(self._settings) for _ in range(missing)])

    async def _start(self, settings: Settings) -> Process | StartError:
        """Start one, and wait until it is ready."""
        session = new_id("wrk_", self._clock)
        try:
            worker = await Process.launch(WORKER, self._listener, session, self._asked)
        except OSError as error:
            return StartError(f"the system refuses another process: {error.strerror or error}")
        if self._stopping.is_set():
            worker.signal(signal.SIGTERM)
        self._workers.append(worker)
        self._tasks.spawn("serving.tend", self._tend(worker))
        worker.tell(Orders(config=settings.text, data_dir=str(self._data_dir), session=session))
        try:
            await worker.ready(START_WITHIN)
        except StartError as error:
            worker.leaving = True
            worker.signal(signal.SIGKILL)
            return error
        worker.since = self._clock.monotonic()
        _LOG.info("worker %d takes connections", worker.pid)
        return worker

    async def _tend(self, worker: Process) -> None:
        """Wait for a worker's end, and do what is to be done then."""
        status = await worker.ended()
        self._workers.remove(worker)
        self._left.set()
        self._past = past(self._past, worker.counted)
        ready = worker.since > 0
        if ready and not worker.leaving and not self._stopping.is_set():
            ran = self._clock.monotonic() - worker.since
            self._pause(ran, f"worker {worker.pid} stopped: {ending(status)}")
        elif ready and status != 0:
            _LOG.warning("worker %d stopped while it drained: %s", worker.pid, ending(status))
        self._look.set()
        await self._settle(worker.session)

    async def _settle(self, session: str) -> None:
        try:
            orphans = await asyncio.to_thread(self._sessions.settle_session, session)
        except StoreError as error:
            _LOG.error("what a worker left open stays held until the next start: %s", error)
            return
        if orphans:
            _LOG.warning("%d calls were under way in it; their holds stay (orphans)", orphans)

    def _pause(self, ran: float, why: str) -> None:
        pause = self._backoff.after(ran)
        self._not_before = max(self._not_before, self._clock.monotonic() + pause)
        _LOG.error("%s; starting another in %.1f s", why, pause)

    async def _replace_all(self) -> None:
        try:
            settings = await asyncio.to_thread(self._source.read)
        except ConfigError as error:
            _LOG.error("the configuration stays as it was: %s", error)
            self._chronicle.refused(str(error))
            return
        self._known = settings.text
        if _databases(settings) != _databases(self._settings):
            _LOG.error("the configuration stays as it was: another database is taken when Komeet is started again")
            return
        _say_what_stays(self._settings, settings)
        old = self._staff()
        for place in range(max(settings.workers, len(old))):
            if place < settings.workers:
                started = await self._start(settings)
                if isinstance(started, StartError):
                    _LOG.error("the reload is given up; %s the new configuration: %s", _have(place), started)
                    self._chronicle.refused(f"{_have(place)} it: {started}")
                    return
            if place == 0:
                self._settings = settings
            if place < len(old):
                _relieve(old[place], settings.config.server.reload_seconds)
        _LOG.info("reloaded: %s the new configuration", _have(settings.workers))
        self._chronicle.took()
        self._control.replace()

    def _staff(self) -> list[Process]:
        """Those that serve, or are about to."""
        return [worker for worker in self._workers if not worker.leaving]

    async def _watch(self) -> None:
        """Reload when the configuration file has changed."""
        while not await _within(LOOK_EVERY, self._stopping):
            text = await asyncio.to_thread(self._source.changed, self._known)
            if text is not None:
                self._known = text
                _LOG.info("%s has changed", self._source.file)
                self.reload()

    # Ending.

    async def _end(self) -> None:
        """End every worker: those that drain too, and those that are not ready yet."""
        drain = self._settings.config.server.drain_seconds
        for how, patience in ((signal.SIGTERM, drain + _LATE), (signal.SIGINT, _SETTLING), (signal.SIGKILL, _SETTLING)):
            for worker in self._workers:
                worker.leaving = True
                worker.signal(how)
            if await self._all_ended(patience, self._cutting if how is signal.SIGTERM else None):
                break

    async def _all_ended(self, patience: float, cut: asyncio.Event | None) -> bool:
        """Wait until all have ended, for so long, or until `cut`; return whether they have."""
        waits = [self._tasks.spawn("serving.ended", self._emptied())]
        if cut is not None:
            waits.append(self._tasks.spawn("serving.cut", _set(cut)))
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self._workers

    async def _emptied(self) -> None:
        while self._workers:
            self._left.clear()
            await self._left.wait()

    async def _until_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what `work` returns, or None, and end it, when `stop` comes first."""
        task = self._tasks.spawn("serving.work", work)
        stopped = self._tasks.spawn("serving.stopped", _set(self._stopping))
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    # What workers ask.

    def _asked(self, worker: Process, message: ToSupervisor) -> None:
        match message:
            case Locate():
                self._tasks.spawn("serving.locate", self._locate(worker, message))
            case Scrape(number=number):
                self._tasks.spawn("serving.scrape", self._scrape(worker, number))
            case _:
                _LOG.error("worker %d said what was not expected", worker.pid)

    async def _locate(self, worker: Process, question: Locate) -> None:
        try:
            origin, key = await self._embedded.origin(question.model)
        except UpstreamBusy as error:
            worker.tell(NotLocated(number=question.number, message=error.message, retry_after=error.retry_after))
            return
        worker.tell(Located(number=question.number, host=origin.host, port=origin.port, key=key.reveal()))

    async def _standing(self) -> Status:
        await self._measure()
        settings = self._settings
        return self._chronicle.status(
            settings.config, settings.workers, self._workers, self._past, self._embedded.standing()
        )

    async def _measure(self) -> None:
        await asyncio.gather(*(each.measure() for each in self._workers if each.since > 0))

    async def _scrape(self, worker: Process, number: int) -> None:
        await self._measure()
        text = await asyncio.to_thread(_sums, self._past, [each.counted for each in self._workers])
        worker.tell(Sums(number=number, text=text))


def _have(count: int) -> str:
    return "1 worker has" if count == 1 else f"{count} workers have"


def _sums(past: list[Family], living: list[list[Family]]) -> bytes:
    return written(added((past, *living)))


def _relieve(worker: Process, seconds: float) -> None:
    """Let a worker go that has a successor."""
    if worker.serving:
        worker.tell(Retire(seconds=seconds))
    else:  # it has never taken a connection
        worker.signal(signal.SIGTERM)
    worker.leaving = True


def _databases(settings: Settings) -> tuple[Secret | None, Secret | None]:
    return settings.config.ledger.database or None, settings.config.request_log.database or None


def _say_what_stays(was: Settings, wanted: Settings) -> None:
    """Warn of options that only a start of Komeet reads."""
    old, new = was.config, wanted.config
    stay = {
        "server.host": old.server.host != new.server.host,
        "server.port": old.server.port != new.server.port,
        "data_dir": old.data_dir != new.data_dir,
        "console": old.console != new.console,
        "embedded.threads": old.embedded.threads != new.embedded.threads,
        "log": old.log != new.log,
    }
    for option in (name for name, changed in stay.items() if changed):
        _LOG.warning("%s: the new value is taken when Komeet is started again", option)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`, at most so long; return whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
