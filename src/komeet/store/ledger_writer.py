"""The ledger on a database: one thread writes, and commits all that waits as one transaction (group commit)."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Event, Lock, Thread
from typing import NamedTuple, final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from komeet.core.clock import Clock
from komeet.core.errors import InternalError, KomeetError, Unavailable
from komeet.ledger.decide import Command, Overrun
from komeet.ledger.denial import explain
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.faults import describe, is_outage
from komeet.store.ledger_rows import Applied, Memory, Outdated, apply
from komeet.store.quiet_log import QuietLog
from komeet.store.sqlite import writer
from komeet.store.turn import Turn

_LOG = logging.getLogger(__name__)
_BATCH = 512
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

CANCELLED = "cancelled"
"""The reason of a hold whose caller left while it waited."""
UNAVAILABLE = "unavailable"
"""The reason of a hold that was refused because nobody knew whether it was written."""
UNWRITABLE = "unwritable"
"""The reason of an outcome that the database did not take as it was: its attempt is an orphan."""


class _Waiting(NamedTuple):
    """A hold, and who waits for it."""

    hold: Hold
    future: asyncio.Future[None]


@final
class LedgerWriter:
    """Keeps holds and outcomes (see `ledger.port.Ledger`). Other processes may write the same ledger.

    Each transaction has the database's write lock from its beginning, and sees all that others have committed.

    Holds may be asked for by any event loop. While the database is out of reach every hold is refused, and outcomes
    wait for it in memory.
    """

    def __init__(
        self, engine: Engine, clock: Clock, *, session: str = "", turn: Turn | None = None, most_waiting: int = 10_000
    ) -> None:
        """Start the thread; `close` ends it.

        Args:
            engine: of a database that is at the head of its schema.
            clock: says when a hold was voided, and how often to log.
            session: names this process among those that write at the same time.
            turn: taken for each transaction; for processes that write at the same time.
            most_waiting: commands in the queue above which holds are refused.
        """
        self._engine = engine
        self._clock = clock
        self._session = session
        self._turn = turn
        self._most_waiting = most_waiting
        self._queue: deque[_Waiting | Outcome] = deque()
        self._memory = Memory()
        self._connection: Connection | None = None
        self._lock = Lock()
        self._wake = Event()
        self._closing = False
        self._stopped = False
        self._given_up = Event()
        self._failing = False
        self._alone = 0
        self._overruns = 0
        self._outages = QuietLog(_LOG, clock)
        self._alarms = QuietLog(_LOG, clock)
        self._thread = Thread(target=self._run, name="komeet-ledger", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the last transaction failed: holds are being refused."""
        return self._failing

    @property
    def waiting(self) -> int:
        """Commands that are not durable yet."""
        return len(self._queue)

    @property
    def overruns(self) -> int:
        """Attempts, since the start, that were billed above their reservation."""
        return self._overruns

    async def hold(self, hold: Hold) -> None:
        """Return once the hold is durable on all its accounts; see the port."""
        if not hold.accounts:
            raise InternalError("Something went wrong in the gateway.", detail="a hold without accounts")
        if self._failing:
            raise _unavailable()
        if len(self._queue) >= self._most_waiting:
            raise Unavailable("The ledger cannot keep up; nothing was sent. Try again.", retry_after=1)
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closing:
                raise Unavailable("The gateway is shutting down; nothing was sent. Try again.", retry_after=1)
            self._queue.append(_Waiting(hold, future))
        self._wake.set()
        try:
            await future
        except asyncio.CancelledError:
            # The queue is in order: whatever becomes of the hold, the void comes after it.
            self.end(self._void(hold, CANCELLED))
            raise
        except GeneratorExit:
            # The collector found the coroutine of a loop that is gone, maybe inside a lock of ours: take none.
            self._queue.append(self._void(hold, CANCELLED))
            raise

    def end(self, outcome: Outcome) -> None:
        """Take the attempt's outcome; see the port."""
        with self._lock:
            if not self._stopped:
                self._queue.append(outcome)
                self._wake.set()
                return
        _LOG.error("ledger: closed before the outcome of %s; it will be an orphan", outcome.attempt_id)

    def close(self, patience: float = 10.0) -> None:
        """Write all that waits, and stop; blocks. Holds are refused from now on. May be called twice.

        Args:
            patience: seconds after which a database that is out of reach is given up. The attempts whose outcomes are
                lost then become orphans at the next start.
        """
        with self._lock:
            self._closing = True
        self._wake.set()
        self._thread.join(patience)
        self._given_up.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while self._wait(pause):
            batch = self._take(1 if self._alone else _BATCH)
            self._alone = max(0, self._alone - 1)
            if not batch or self._commit(batch):
                pause, self._failing = 0.0, False
            else:
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._disconnect()

    def _wait(self, pause: float) -> bool:
        """Wait for work; False when there will be none."""
        if pause:
            self._given_up.wait(pause)
        elif not self._queue and not self._closing:
            self._wake.wait()
            self._wake.clear()
        with self._lock:
            self._stopped = self._closing and (not self._queue or self._given_up.is_set())
        if self._stopped and self._queue:
            _LOG.error("ledger: gave up with %d outcomes unwritten; they will be orphans", len(self._queue))
            self._refuse(self._take(len(self._queue)))
        return not self._stopped

    def _take(self, most: int) -> list[_Waiting | Outcome]:
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def _commit(self, batch: Sequence[_Waiting | Outcome]) -> bool:
        """Write the batch; False when the database is out of reach."""
        try:
            applied = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: no error may end it
            self._disconnect()
            if is_outage(error):
                self._suspend(batch, error)
                return False
            if len(batch) == 1:
                self._reject(batch[0], error)
            else:  # one of them cannot be written: the next turns take them one by one
                self._queue.extendleft(reversed(batch))
                self._alone = len(batch)
            return True
        self._alarm(applied.decision.overruns)
        denied = applied.decision.denied
        self._answer(
            [
                (command, explain(denied[place]) if place in denied else None)
                for place, command in enumerate(batch)
                if isinstance(command, _Waiting)
            ]
        )
        return True

    def _transact(self, batch: Sequence[_Waiting | Outcome]) -> Applied:
        if self._connection is None:
            self._connection = writer(self._engine)
        commands = [command.hold if isinstance(command, _Waiting) else command for command in batch]
        try:
            applied = self._apply(self._connection, commands)
        except Outdated:
            self._memory.forget()
            applied = self._apply(self._connection, commands)
        self._memory.learn(applied)
        return applied

    def _apply(self, connection: Connection, commands: Sequence[Command]) -> Applied:
        with nullcontext() if self._turn is None else self._turn.taken(), connection.begin():
            return apply(connection, commands, self._memory, self._session)

    def _disconnect(self) -> None:
        self._memory.forget()
        if self._connection is None:
            return
        try:
            self._connection.invalidate()
            self._connection.close()
        except DBAPIError as error:
            _LOG.debug("ledger: while closing a broken connection: %s", describe(error))
        self._connection = None

    def _suspend(self, batch: Sequence[_Waiting | Outcome], error: BaseException) -> None:
        """Refuse every hold that waits, and keep the outcomes for when the database is back."""
        self._outages.write(logging.ERROR, "ledger: out of reach, holds are refused: %s", describe(error))
        self._failing = True
        self._queue.extendleft(reversed(self._refuse([*batch, *self._take(len(self._queue))])))

    def _refuse(self, batch: Sequence[_Waiting | Outcome]) -> list[_Waiting | Outcome]:
        """Refuse the holds; return what is to be written later, in the same order: outcomes, and voids of the holds.

        A commit that failed may have been done nevertheless; if it was not, a void without a hold changes nothing.
        """
        self._answer([(command, _unavailable()) for command in batch if isinstance(command, _Waiting)])
        return [self._void(c.hold, UNAVAILABLE) if isinstance(c, _Waiting) else c for c in batch]

    def _reject(self, command: _Waiting | Outcome, error: Exception) -> None:
        """Deal with the one command that the database does not take, so that it does not stop the others."""
        if isinstance(command, _Waiting):
            _LOG.error("ledger: hold of %s not written: %s", command.hold.attempt_id, describe(error), exc_info=error)
            self._answer([(command, _unavailable())])
        elif command.reason != UNWRITABLE:
            _LOG.error("ledger: outcome of %s not written: %s", command.attempt_id, describe(error), exc_info=error)
            orphan = Outcome(
                attempt_id=command.attempt_id, state=State.ORPHAN, reason=UNWRITABLE, ended_at=self._clock.unix_ms()
            )
            self._queue.appendleft(orphan)

    def _answer(self, verdicts: Sequence[tuple[_Waiting, KomeetError | None]]) -> None:
        """Tell those who wait, with one call for each event loop."""
        for loop in {waiting.future.get_loop() for waiting, _ in verdicts}:
            own = [(waiting, error) for waiting, error in verdicts if waiting.future.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(_resolve, own)
            except RuntimeError:  # the loop is closed: nobody is there to send what was held
                self._queue.extend(self._void(waiting.hold, CANCELLED) for waiting, _ in own)

    def _void(self, hold: Hold, reason: str) -> Outcome:
        return Outcome(attempt_id=hold.attempt_id, state=State.VOIDED, reason=reason, ended_at=self._clock.unix_ms())

    def _alarm(self, overruns: Sequence[Overrun]) -> None:
        self._overruns += len(overruns)
        for overrun in overruns:
            self._alarms.write(
                logging.ERROR,
                "ledger: overrun: %s billed %d n$ for %s of %s where %d n$ was reserved; accounts blocked: %s",
                overrun.provider,
                overrun.cost,
                overrun.attempt_id,
                overrun.key_id,
                overrun.reserved,
                list(overrun.blocked),
            )


def _resolve(verdicts: Sequence[tuple[_Waiting, KomeetError | None]]) -> None:
    for waiting, error in verdicts:
        if waiting.future.done():
            continue
        if error is None:
            waiting.future.set_result(None)
        else:
            waiting.future.set_exception(error)


def _unavailable() -> Unavailable:
    return Unavailable("The ledger is out of reach; nothing was sent. Try again.", retry_after=1)
